// Command contract exposes package client to the test suite for SSE clients of
// any language that LaunchDarkly has published, github.com/launchdarkly/sse-contract-tests:
// an HTTP service, on localhost and the port that PORT says or 8000, that starts
// clients as it is told and reports back what they see.
//
//	go run . &
//	sse-contract-tests --url http://localhost:8000 --stop-service-at-end
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	port := os.Getenv("PORT")
	if port == "" {
		port = "8000"
	}
	if err := listenAndServe(ctx, "localhost:"+port); err != nil {
		log.Fatal("contract: ", err)
	}
}

// listenAndServe serves until ctx ends or the suite says so.
func listenAndServe(ctx context.Context, addr string) error {
	service := newService()
	defer service.close()
	server := &http.Server{Addr: addr, Handler: service, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-service.quit:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := server.Shutdown(ctx) // lets the answer out that the suite waits for
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}
