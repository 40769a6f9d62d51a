package main

import (
	"encoding/json"
	"log"
	"net/http"
	"strconv"
	"sync"
)

// capabilities are the optional parts of the suite that are to be run.
var capabilities = []string{
	"bom", "comments", "headers", "last-event-id", "post", "read-timeout", "report", "restart",
	"server-directed-shutdown-request",
}

// maxRequest bounds what the suite may ask for at once.
const maxRequest = 1 << 20

// service keeps the streams that the suite has asked for.
type service struct {
	http.ServeMux
	quit     chan struct{} // closed when the suite has no more to ask
	quitOnce sync.Once

	mu      sync.Mutex // guards the rest
	streams map[string]*stream
	last    int
}

func newService() *service {
	s := &service{quit: make(chan struct{}), streams: make(map[string]*stream)}
	s.HandleFunc("GET /{$}", s.status)
	s.HandleFunc("POST /{$}", s.create)
	s.HandleFunc("DELETE /{$}", s.stop)
	s.HandleFunc("POST /streams/{id}", s.command)
	s.HandleFunc("DELETE /streams/{id}", s.remove)
	return s
}

// close ends all streams.
func (s *service) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range s.streams {
		stream.close()
	}
	clear(s.streams)
}

func (s *service) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(map[string]any{"name": "ssehub", "capabilities": capabilities})
	if err != nil {
		log.Print("status: ", err)
	}
}

func (s *service) create(w http.ResponseWriter, r *http.Request) {
	var p params
	if !read(w, r, &p) {
		return
	}
	if p.StreamURL == "" || p.CallbackURL == "" {
		http.Error(w, "streamUrl and callbackUrl are needed", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.last++
	id := strconv.Itoa(s.last)
	s.streams[id] = open(p)
	s.mu.Unlock()
	w.Header().Set("Location", "/streams/"+id)
	w.WriteHeader(http.StatusCreated)
}

func (s *service) stop(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNoContent)
	s.quitOnce.Do(func() { close(s.quit) })
}

func (s *service) command(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	stream := s.streams[r.PathValue("id")]
	s.mu.Unlock()
	if stream == nil {
		http.NotFound(w, r)
		return
	}
	var c struct{ Command string }
	if !read(w, r, &c) {
		return
	}
	if c.Command != "restart" {
		http.Error(w, "unknown command", http.StatusBadRequest)
		return
	}
	stream.sub.Reconnect()
	w.WriteHeader(http.StatusNoContent)
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	stream := s.streams[r.PathValue("id")]
	delete(s.streams, r.PathValue("id"))
	s.mu.Unlock()
	if stream == nil {
		http.NotFound(w, r)
		return
	}
	stream.close()
	w.WriteHeader(http.StatusNoContent)
}

// read decodes the body of r, or refuses r.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(v)
	if err != nil {
		http.Error(w, "not the JSON that was expected", http.StatusBadRequest)
	}
	return err == nil
}
