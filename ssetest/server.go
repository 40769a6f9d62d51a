package ssetest

import (
	"net"
	"net/http"
	"sync"
)

// Server is an http.Server on a [Listener]: an httptest.Server without the
// network.
type Server struct {
	URL      string
	Config   *http.Server
	Listener *Listener

	conns     conns
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
	s.conns.Listener = s.Listener
	s.transport = &http.Transport{DialContext: s.Listener.Dial}
	go func() {
		defer close(s.done)
		_ = config.Serve(&s.conns) // always an error, here of Close
	}()
	return s
}

// Client returns an http.Client whose every request reaches the Server,
// whatever its host.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: s.transport}
}

// Close cuts all connections, those that a handler has taken over too, and ends
// the Server.
func (s *Server) Close() {
	s.transport.CloseIdleConnections()
	_ = s.Config.Close()
	<-s.done
	s.conns.cut()
}

// conns remembers the connections that it accepts: an http.Server forgets those
// that are taken over.
type conns struct {
	*Listener
	mu  sync.Mutex
	all []net.Conn
}

// Accept implements net.Listener.
func (c *conns) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, conn)
	return conn, nil
}

func (c *conns) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		_ = conn.Close() // most are closed already
	}
}
