package main

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain makes the test binary a server where the program would run itself
// as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	// A server with the race detector would linger for a second at its end.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

// TestGeneratorCountsFaults lets it meet a server that does everything wrong.
func TestGeneratorCountsFaults(t *testing.T) {
	const size = 12
	hello := "event: ssehub.hello\ndata: {}\n\n"
	wire := chunkedHead + chunks(hello+
		wireMessages(0, 2, size)+wireMessages(1, 1, size)+ // 1 twice
		wireMessages(3, 1, size)+wireMessages(2, 1, size)+ // 2 late
		"event: ssehub.gap\ndata: {}\n\n"+
		wireMessages(5, 1, size), 10) // 4 and 6 never
	opened := make(chan struct{})
	addr := serveBytes(t, wire, opened)
	gen, err := newGenerator(testPlan(3, 7, size))
	if err != nil {
		t.Fatal(err)
	}
	defer gen.close()
	if err := gen.open(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	close(opened)
	gen.collect(t.Context(), 0)
	want := tally{Expected: 21, Received: 15, Lost: 6, Duplicated: 3, Reordered: 3, Gaps: 3, Closed: 3}
	if got := gen.tally(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestGeneratorRefusedConnection(t *testing.T) {
	atOnce := make(chan struct{})
	close(atOnce)
	addr := serveBytes(t, "HTTP/1.1 503 Service Unavailable\r\n\r\n", atOnce)
	gen, err := newGenerator(testPlan(1, 1, 12))
	if err != nil {
		t.Fatal(err)
	}
	defer gen.close()
	if err := gen.open(t.Context(), addr); !errors.Is(err, errHead) {
		t.Errorf("got %v, want %v", err, errHead)
	}
}

// TestGeneratorGivesUp: a server that stands still costs as long as the stall,
// and what is missing is lost.
func TestGeneratorGivesUp(t *testing.T) {
	const size = 12
	addr := serveBytes(t, plainHead+"event: ssehub.hello\ndata: {}\n\n"+wireMessages(0, 1, size), nil)
	p := testPlan(2, 3, size)
	p.stall = time.Second
	gen, err := newGenerator(p)
	require.NoError(t, err)
	defer gen.close()
	require.NoError(t, gen.open(t.Context(), addr))
	gen.collect(t.Context(), 0)
	assert.Equal(t, tally{Expected: 6, Received: 2, Lost: 4}, gen.tally())
}

func testPlan(conns, messages, size int) plan {
	return plan{conns: conns, messages: messages, size: size, request: testRequest, greeted: true, stall: 5 * time.Second}
}

var testRequest = newRequest("/", "")

// serveBytes answers every connection's request with wire and closes it once
// end is closed or the test has ended.
func serveBytes(t *testing.T, wire string, end <-chan struct{}) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_, _ = io.ReadFull(conn, make([]byte, len(testRequest)))
				_, _ = io.WriteString(conn, wire)
				select {
				case <-end:
				case <-t.Context().Done():
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().String()
}
