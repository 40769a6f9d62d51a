package ssetest

import "net/http"

// Server is an http.Server on a [Listener]: an httptest.Server without the
// network.
type Server struct {
	URL      string
	Config   *http.Server
	Listener *Listener

	transport *http.Transport
	done      chan struct{}
}

// NewServer starts to serve handler. Close ends it.
func NewServer(handler http.Handler) *Server {
	return Serve(&http.Server{Handler: handler})
}

// Serve is NewServer with a configuration of the http.Server, which it uses as
// it is.
func Serve(config *http.Server) *Server {
	s := &Server{
		URL:      "http://ssetest",
		Config:   config,
		Listener: Listen(),
		done:     make(chan struct{}),
	}
	s.transport = &http.Transport{DialContext: s.Listener.Dial}
	go func() {
		defer close(s.done)
		_ = config.Serve(s.Listener) // always an error, here of Close
	}()
	return s
}

// Client returns an http.Client whose every request reaches the Server,
// whatever its host.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: s.transport}
}

// Close cuts all connections and ends the Server, as http.Server.Close does.
func (s *Server) Close() {
	s.transport.CloseIdleConnections()
	_ = s.Config.Close()
	<-s.done
}
