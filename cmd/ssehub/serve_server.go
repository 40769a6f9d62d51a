package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ssehub-go/ssehub"
)

// server is what serve's handlers share.
type server struct {
	cmd      *serveCmd
	hub      *ssehub.Hub
	auth     *auth
	log      *slog.Logger
	draining context.Context // it has ended
}

// serve listens, and drains when ctx has ended.
func (s *server) serve(ctx context.Context, public, ops http.Handler) error {
	c := s.cmd
	failed := make(chan error, 2)
	main, err := s.listen("events", c.Listen, public, c.TLSCert, c.TLSKey, failed)
	if err != nil {
		return err
	}
	servers := []*http.Server{main}
	if c.OpsListen != "" {
		other, err := s.listen("operations", c.OpsListen, ops, "", "", failed)
		if err != nil {
			return errors.Join(err, main.Close())
		}
		servers = append(servers, other) // answers until the end
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
		s.log.Info("draining", "for", c.Drain)
	}
	drain, cancel := context.WithTimeout(context.Background(), c.Drain)
	defer cancel()
	late := s.hub.Shutdown(drain) // before http.Server.Shutdown, which ends no stream
	for _, server := range servers {
		late = errors.Join(late, server.Shutdown(drain), server.Close())
	}
	if late != nil {
		s.log.Warn("cut what had not ended", "error", late)
	}
	s.log.Info("ended")
	return err
}

func (s *server) listen(what, addr string, handler http.Handler, cert, key string, failed chan<- error) (*http.Server, error) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(s.cmd.H2C)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	scheme, serve := "http", func() error { return server.Serve(listener) }
	if cert != "" {
		scheme, serve = "https", func() error { return server.ServeTLS(listener, cert, key) }
	}
	go func() {
		if err := serve(); err != http.ErrServerClosed {
			failed <- fmt.Errorf("serve %s: %w", what, err)
		}
	}()
	s.log.Info("listening", "for", what, "url", scheme+"://"+listener.Addr().String())
	return server, nil
}
