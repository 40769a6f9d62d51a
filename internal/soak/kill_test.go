//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var kills = flag.Int("kills", 20, "servers that TestServerKilled kills")

func init() { roles["killed"] = serveKilled }

// serveKilled is told which life it is, and publishes until it is killed, events so
// large that this will often be in the middle of one.
func serveKilled(in *bufio.Scanner, out *json.Encoder) {
	in.Scan()
	life := in.Text()
	hub := ssehub.New(nil)
	// Of an address of its own, as its readers go on asking there when it is dead.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(250), rand.IntN(250), 1+rand.IntN(250)))
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(narrow{listener}, hub.Handler("n"))) }()
	_ = out.Encode(listener.Addr().String())
	for n := 1; ; n++ {
		text := strings.Repeat("x", rand.IntN(200_000))
		data := fmt.Appendf(nil, "%s %d %d %s", life, n, crc32.ChecksumIEEE([]byte(text)), text)
		if _, err := hub.Publish(context.Background(), "n", sse.Message{Data: data}); err != nil {
			panic(err)
		}
		<-time.After(3 * time.Millisecond)
	}
}

// Promises 2 and 3, and faults 75 and 93: whenever the server is killed, its clients
// get whole events only, in order, each once, and before the first of the next
// server they are told that it is another log.
func TestServerKilled(t *testing.T) {
	var addr atomic.Value
	addr.Store("127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	readers := make([]*survivor, 4)
	for i := range readers {
		readers[i] = &survivor{t: t, told: make(map[string]bool)}
		all.Go(func() { readers[i].read(ctx, &addr) })
	}
	var halves atomic.Int64
	for life := range *kills {
		server, err := startChild("killed")
		require.NoError(t, err)
		require.NoError(t, server.tell("%d", life))
		var at string
		require.NoError(t, server.hear(&at))
		addr.Store(at)
		all.Go(func() {
			if endsInFrame(at) {
				halves.Add(1)
			}
		})
		<-time.After(20*time.Millisecond + time.Duration(rand.IntN(80_000))*time.Microsecond)
		server.kill()
	}
	cancel()
	all.Wait()
	events, epochs := 0, 0
	for _, r := range readers {
		events += r.events
		epochs += r.epochs
	}
	t.Logf("%d kills, %d of them in the middle of an event to the one that was looked at; %d readers got %d events, and were told %d times that the log is another",
		*kills, halves.Load(), len(readers), events, epochs)
	require.Positive(t, events)
	require.Greater(t, epochs, *kills/3)
}

// survivor is a reader that outlives servers.
type survivor struct {
	t       *testing.T
	life, n int
	id      ssehub.Position
	told    map[string]bool // reasons of gaps since the last event

	events, epochs int
}

func (s *survivor) read(ctx context.Context, addr *atomic.Value) {
	transport := &http.Transport{DisableKeepAlives: true}
	sub := client.Subscribe(ctx, "", &client.Options{
		HTTPClient: &http.Client{Transport: transport},
		NewRequest: func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr.Load().(string)+"/", nil)
		},
		Backoff:       client.Backoff{Base: 2 * time.Millisecond, Min: time.Millisecond, Max: 5 * time.Millisecond},
		ControlEvents: true, // gaps have their place among the events
	})
	for m := range sub.Events() {
		switch m.Type {
		case sse.TypeGap:
			var gap sse.Gap
			assert.NoError(s.t, json.Unmarshal(m.Data, &gap))
			s.told[gap.Reason] = true
		case "":
			s.take(m)
		}
	}
}

// take holds m against what was before.
func (s *survivor) take(m sse.Message) {
	var life, n int
	var sum uint32
	_, err := fmt.Sscanf(string(m.Data), "%d %d %d ", &life, &n, &sum)
	assert.NoError(s.t, err)
	text := m.Data[strings.LastIndexByte(string(m.Data), ' ')+1:]
	assert.Equal(s.t, sum, crc32.ChecksumIEEE(text), "half an event was delivered")
	pos, err := ssehub.ParsePosition(m.ID)
	assert.NoError(s.t, err)

	switch {
	case s.events == 0: // the first of all
	case life == s.life:
		assert.Equal(s.t, s.id.Epoch, pos.Epoch)
		if n != s.n+1 {
			assert.Greater(s.t, n, s.n)
			assert.True(s.t, s.told[sse.ReasonWindow] || s.told[sse.ReasonOverflow], "%d behind %d of life %d, untold", n, s.n, life)
		}
	default:
		assert.Greater(s.t, life, s.life, "an event of a server that was killed before")
		assert.NotEqual(s.t, s.id.Epoch, pos.Epoch)
		assert.True(s.t, s.told[sse.ReasonEpoch], "%d of life %d behind life %d, untold: %v", n, life, s.life, s.told)
		s.epochs++
	}
	s.told = make(map[string]bool)
	s.life, s.n, s.id = life, n, pos
	s.events++
}

// endsInFrame reads a stream until its server is killed, and reports whether that
// was in the middle of an event.
func endsInFrame(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	var end []byte
	for b := make([]byte, 4<<10); ; {
		n, err := conn.Read(b)
		end = append(end, b[:n]...)
		end = end[max(0, len(end)-2):]
		if err != nil {
			return len(end) > 0 && string(end) != "\n\n"
		}
	}
}
