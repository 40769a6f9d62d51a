//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

func init() { roles["descriptors"] = serveWithFew }

// serveWithFew has 64 descriptors. It is told "cpu", and says how much of a second
// it took, "accepted", "joined", "streams", "refused", or what to publish.
func serveWithFew(in *bufio.Scanner, out *json.Encoder) {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 64, Max: 64}); err != nil {
		panic(err)
	}
	hub := ssehub.New(nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	var errs countLines
	var accepted atomic.Int64
	server := &http.Server{Handler: hub.Handler("n"), ErrorLog: log.New(&errs, "", 0), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			accepted.Add(1)
		}
	}}
	go func() { panic(server.Serve(listener)) }()
	_ = out.Encode(listener.Addr().String())
	for in.Scan() {
		switch what := in.Text(); what {
		case "cpu":
			before := cpuTime()
			<-time.After(time.Second)
			_ = out.Encode((cpuTime() - before).Seconds())
		case "streams":
			_ = out.Encode(hub.Stats().Subscribers)
		case "joined":
			_ = out.Encode(hub.Stats().Joined)
		case "accepted":
			_ = out.Encode(accepted.Load())
		case "refused":
			_ = out.Encode(errs.n.Load())
		default:
			_, err := hub.Publish(context.Background(), "n", sse.Message{Data: []byte(what)})
			_ = out.Encode(fmt.Sprint(err))
		}
	}
}

// countLines counts what is logged of descriptors.
type countLines struct{ n atomic.Int64 }

func (c *countLines) Write(p []byte) (int, error) {
	if strings.Contains(string(p), syscall.EMFILE.Error()) {
		c.n.Add(1)
	}
	return len(p), nil
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Faults 60: a server that has used up its descriptors serves the streams that it
// has, takes no CPU, and accepts who waits once others have left.
func TestDescriptorsUsedUp(t *testing.T) {
	const clients, leave = 80, 40
	server, err := startChild("descriptors")
	require.NoError(t, err)
	defer server.kill()
	var addr string
	require.NoError(t, server.hear(&addr))
	number := func(what string) (n float64) {
		require.NoError(t, server.tell("%s", what))
		require.NoError(t, server.hear(&n))
		return n
	}
	publish := func(text string) {
		var err string
		require.NoError(t, server.tell("%s", text))
		require.NoError(t, server.hear(&err))
		require.Equal(t, "<nil>", err)
	}

	got := make(chan gotEvent, 10*clients)
	conns := make([]net.Conn, clients)
	for i := range conns {
		if conns[i], err = dial(addr, "/", "", 0); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		go func() { readEvents(conns[i], i, got) }()
	}
	require.Eventually(t, func() bool { return number("refused") > 0 && number("accepted") == number("streams") }, 30*time.Second, 10*time.Millisecond)
	served := int(number("streams"))
	require.Greater(t, served, 20)
	require.Less(t, served, 64)

	publish("full")
	have := make(map[int]bool)
	for range served {
		e := receive(t, got)
		require.Equal(t, "full", e.text)
		have[e.client] = true
	}
	require.Len(t, have, served)
	cpu := number("cpu")
	require.Less(t, cpu, 0.2, "seconds of CPU in a second of want")

	left := 0
	for i := range have {
		if left < leave {
			conns[i].Close()
			delete(have, i)
			left++
		}
	}
	require.Eventually(t, func() bool {
		return int(number("joined")) == clients && int(number("streams")) == clients-leave // the latter alone comes by on the way
	}, 30*time.Second, 10*time.Millisecond)
	publish("after")
	for range clients - leave {
		require.Equal(t, "after", receive(t, got).text)
	}
	t.Logf("%d of %d had a stream, with %.3f s of CPU in a second; all %d that stayed had one once %d had left", served, clients, cpu, clients-leave, leave)
}

type gotEvent struct {
	client int
	text   string
}

// readEvents passes on what comes, but for the hub's own.
func readEvents(conn net.Conn, client int, got chan<- gotEvent) {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return
	}
	dec := sse.NewDecoder(res.Body)
	for m := (sse.Message{}); dec.Decode(&m) == nil; {
		if m.Type != sse.TypeHello {
			got <- gotEvent{client, string(m.Data)}
		}
	}
}

func receive(t *testing.T, got <-chan gotEvent) gotEvent {
	select {
	case e := <-got:
		return e
	case <-time.After(30 * time.Second):
		require.Fail(t, "no event")
		return gotEvent{}
	}
}
