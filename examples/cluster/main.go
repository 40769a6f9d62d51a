// Cluster is two hubs on one log, behind one address. Kill one: its readers go on at
// the other, and miss nothing.
//
//	go run .
//
// It starts three NATS servers, two processes of its own that serve streams, and a proxy
// in front of these. With -broker the log is in servers that run already:
//
//	go run . -broker nats://127.0.0.1:4222
//
// In earnest each of these is on a machine of its own: see compose.yaml.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on; port 0 picks a free one")
	broker := flag.String("broker", "", "`URL` of NATS servers, or several with commas; without, three are started")
	node := flag.String("node", "", "be a node of this `name`, and nothing else")
	hosts := flag.String("hosts", "", "`names` that a node is asked for, with commas, if it is behind a proxy on its own machine")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *node != "" {
		var allowed []string
		if *hosts != "" {
			allowed = strings.Split(*hosts, ",")
		}
		err = runNode(ctx, *node, *addr, *broker, allowed, os.Stdout)
	} else {
		err = run(ctx, *addr, *broker, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts everything and serves until ctx ends.
func run(ctx context.Context, addr, broker string, out io.Writer) error {
	if broker == "" {
		urls, stop, err := startNATS(3)
		if err != nil {
			return err
		}
		defer stop()
		broker = urls
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	nodes, err := startNodes(broker, "n1", "n2")
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer nodes.stop()
	server := &http.Server{Handler: nodes.front(), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(out, "Open    http://%s/\nBroker  %s\nStop    Ctrl-C\n", listener.Addr(), broker)
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		nodes.stop() // its streams end first
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return errors.Join(ignore(server.Shutdown(ctx), context.DeadlineExceeded), server.Close())
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
