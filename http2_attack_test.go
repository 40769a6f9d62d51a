package ssehub_test

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// Types of HTTP/2 frames (RFC 9113, section 6).
const (
	frameData      = 0
	frameHeaders   = 1
	frameRSTStream = 3
	frameSettings  = 4
)

// http2Conn is a connection whose client does as it likes.
type http2Conn struct {
	net.Conn
	t *testing.T
}

// dialHTTP2 begins a connection over which the server may send window bytes for each
// stream, unless it is given more.
func dialHTTP2(t *testing.T, listener *ssetest.Listener, window uint32) *http2Conn {
	conn, err := listener.Dial(t.Context(), "", "")
	require.NoError(t, err)
	c := &http2Conn{conn, t}
	c.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	initialWindow := binary.BigEndian.AppendUint32([]byte{0, 4}, window)
	c.frame(frameSettings, 0, 0, initialWindow)
	return c
}

// send ignores errors, as the server may well have had enough.
func (c *http2Conn) send(text string) {
	_, _ = io.WriteString(c, text)
}

func (c *http2Conn) frame(typ, flags byte, stream uint32, payload []byte) {
	n := len(payload)
	head := []byte{byte(n >> 16), byte(n >> 8), byte(n), typ, flags}
	c.send(string(append(binary.BigEndian.AppendUint32(head, stream), payload...)))
}

// get asks for "/" in the words of HPACK's static table (RFC 7541, appendix A).
func (c *http2Conn) get(stream uint32) {
	const endStream, endHeaders = 1, 4
	const host = "localhost"
	c.frame(frameHeaders, endStream|endHeaders, stream, []byte("\x82\x86\x84\x41"+string(rune(len(host)))+host))
}

// read calls f with each frame until the connection ends.
func (c *http2Conn) read(f func(typ byte, stream uint32, payload []byte)) {
	head := make([]byte, 9)
	for {
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(c, payload); err != nil {
			return
		}
		f(head[3], binary.BigEndian.Uint32(head[5:]), payload)
	}
}

// serveHTTP2 serves the hub's topic n in memory.
func serveHTTP2(t *testing.T, hub *ssehub.Hub) *ssetest.Server {
	config := &http.Server{Handler: hub.Handler("n"), Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0)}
	config.Protocols.SetHTTP1(true)
	config.Protocols.SetUnencryptedHTTP2(true)
	server := ssetest.Serve(config)
	t.Cleanup(server.Close)
	return server
}

// streamID is that of the nth request of a client.
func streamID(n int) uint32 { return uint32(2*n + 1) }

// A connection whose client lets nothing through holds up nobody, and its streams are
// cut at the write timeout. Faults 51.
func TestHTTP2ZeroWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 100
		hub := newHub(t, &ssehub.Options{WriteTimeout: 5 * time.Second})
		server := serveHTTP2(t, hub)
		conn := dialHTTP2(t, server.Listener, 0)
		defer conn.Close()
		go conn.read(func(byte, uint32, []byte) {})
		for n := range streams {
			conn.get(streamID(n))
		}
		synctest.Wait()
		rec, end := stream(t, hub.Handler("n"), "/", "")
		synctest.Wait()
		start := time.Now()
		publishNumbers(t, hub, "n", 1, 100)
		synctest.Wait()
		require.Len(t, texts(rec.Messages()), 100)
		require.Zero(t, time.Since(start))
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		require.Equal(t, 1, hub.Stats().Subscribers)
		end()
	})
}

// Requests that are taken back at once leave nothing, and a client that overdoes it
// loses its connection (CVE-2023-44487). Faults 51.
func TestHTTP2RapidReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(t, &ssehub.Options{Limits: ssehub.Limits{Streams: 1000}})
		server := serveHTTP2(t, hub)
		conn := dialHTTP2(t, server.Listener, 1<<16)
		defer conn.Close()
		go conn.read(func(byte, uint32, []byte) {})
		for n := range 5000 {
			conn.get(streamID(n))
			if n == 0 {
				synctest.Wait() // one at least begins before it is taken back
			}
			conn.frame(frameRSTStream, 0, streamID(n), []byte{0, 0, 0, 8}) // CANCEL
			if n%100 == 0 {
				publish(t, hub, "n", "x")
			}
		}
		synctest.Wait()
		stats := hub.Stats()
		require.Positive(t, stats.Joined)
		require.Zero(t, stats.Subscribers)
		require.Zero(t, stats.Streams)
		rec, _ := stream(t, hub.Handler("n"), "/", "")
		synctest.Wait()
		publish(t, hub, "n", "and on")
		synctest.Wait()
		require.Equal(t, []string{"and on"}, texts(rec.Messages()))
	})
}

// Each of many streams of one connection has everything, in order. Faults 51.
func TestHTTP2ManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 100
		hub := newHub(t, nil)
		server := serveHTTP2(t, hub)
		conn := dialHTTP2(t, server.Listener, 1<<20)
		defer conn.Close()
		conn.frame(8, 0, 0, []byte{0, 127, 0, 0}) // WINDOW_UPDATE of the connection
		var mu sync.Mutex
		bodies := make(map[uint32]*strings.Builder)
		for n := range streams {
			bodies[streamID(n)] = new(strings.Builder)
		}
		go conn.read(func(typ byte, stream uint32, payload []byte) {
			if typ == frameData {
				mu.Lock()
				defer mu.Unlock()
				bodies[stream].Write(payload)
			}
		})
		for n := range streams {
			conn.get(streamID(n))
		}
		synctest.Wait()
		require.Equal(t, streams, hub.Stats().Subscribers)
		publishNumbers(t, hub, "n", 1, 50)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		_, want, _ := strings.Cut(bodies[1].String(), "\n\n") // behind the hello, which differs
		require.Equal(t, 50, strings.Count(want, "data: "))
		for _, body := range bodies {
			_, events, _ := strings.Cut(body.String(), "\n\n")
			require.Equal(t, want, events)
		}
	})
}
