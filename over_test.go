package ssehub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// transport is a way from a handler to its client, in memory, so that it also
// works with fake time.
type transport struct {
	carry func(t testing.TB, handler http.Handler, rec *ssetest.Recorder, req *http.Request)
}

// transports are all that the tests of behaviour run over.
var transports = map[string]transport{
	// The handler has the recorder itself.
	"recorder": {func(_ testing.TB, handler http.Handler, rec *ssetest.Recorder, req *http.Request) {
		handler.ServeHTTP(rec, req)
	}},
	// A connection that was taken over, and that takes what fits at once.
	"hijacked": {network{buffered: true}.carry},
	// One that does not.
	"hijacked plain": {network{}.carry},
	"hijacked TLS":   {network{tls: true}.carry},
	// Middleware that hides the connection leaves it to net/http.
	"HTTP/1.1": {network{hide: true}.carry},
	"HTTP/2":   {network{http2: true}.carry},
}

type network struct {
	buffered, hide, tls, http2 bool
}

// carry returns when both sides of the stream have ended.
func (n network) carry(t testing.TB, handler http.Handler, rec *ssetest.Recorder, req *http.Request) {
	var open sync.WaitGroup // handlers and connections
	config := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols)}
	config.Protocols.SetHTTP1(!n.http2)
	config.Protocols.SetUnencryptedHTTP2(n.http2)
	config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Done()
		if n.hide {
			w = unwrapper{w}
		}
		handler.ServeHTTP(w, r)
	})
	pipes := ssetest.Listen()
	var ln net.Listener = &trackingListener{Listener: pipes, open: &open, buffered: n.buffered}
	if n.tls {
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate()}})
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = config.Serve(ln) // always an error, here of Close
	}()
	client := &http.Transport{Protocols: config.Protocols, DialContext: pipes.Dial}
	if n.tls {
		client.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := pipes.Dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return tls.Client(noGoodbye{conn}, &tls.Config{InsecureSkipVerify: true}), nil
		}
	}
	defer func() {
		client.CloseIdleConnections()
		_ = config.Close()
		<-served
		open.Wait()
	}()
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host = "http", "ssetest"
	if n.tls {
		req.URL.Scheme = "https"
	}
	res, err := client.RoundTrip(req)
	if err != nil {
		return // the test is over
	}
	defer res.Body.Close()
	copyHeader(rec.Header(), res.Header)
	rec.WriteHeader(res.StatusCode)
	_ = rec.FlushError()
	for buf := make([]byte, 32<<10); ; {
		size, err := res.Body.Read(buf)
		_, _ = rec.Write(buf[:size])
		_ = rec.FlushError()
		if err != nil {
			return
		}
	}
}

// copyHeader leaves out what a server adds to each response.
func copyHeader(to, from http.Header) {
	for name, values := range from {
		if name != "Date" && name != "Content-Length" {
			to[name] = values
		}
	}
}

// noGoodbye keeps the goodbye of a TLS client, which is 24 bytes in TLS 1.3, to itself.
// Without a buffer it would wait for the server to read it, while that waits alike in
// http.Server.Close, under a lock, so that the time in which both give up does not come.
type noGoodbye struct{ net.Conn }

func (c noGoodbye) Write(p []byte) (int, error) {
	if len(p) == 24 {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// trackingListener keeps count of the connections that are open.
type trackingListener struct {
	net.Listener
	open     *sync.WaitGroup
	buffered bool
}

func (l *trackingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	if l.buffered {
		conn = newSocket(conn)
	}
	return &trackedConn{Conn: conn, done: sync.OnceFunc(l.open.Done)}, nil
}

type trackedConn struct {
	net.Conn
	done func()
}

func (c *trackedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}

// TryWrite is that of a socket.
func (c *trackedConn) TryWrite(p []byte) (int, error) {
	if s, ok := c.Conn.(*socket); ok {
		return s.TryWrite(p)
	}
	return 0, http.ErrNotSupported
}

// socket is a connection with a send buffer, as the kernel has one.
type socket struct {
	net.Conn // without one

	mu       sync.Mutex
	queue    []byte
	err      error // why nothing more can be sent
	closed   bool
	deadline time.Time
	changed  chan struct{} // closed and replaced whenever one of these changes
}

const sendBuffer = 64 << 10

func newSocket(conn net.Conn) *socket {
	s := &socket{Conn: conn, changed: make(chan struct{})}
	go s.send()
	return s
}

// notify needs s.mu.
func (s *socket) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// send is the network: it goes on with what is queued after Close.
func (s *socket) send() {
	defer s.Conn.Close()
	for {
		s.mu.Lock()
		p, closed, changed := s.queue, s.closed, s.changed
		s.mu.Unlock()
		if len(p) == 0 {
			if closed {
				return
			}
			<-changed
			continue
		}
		n, err := s.Conn.Write(p)
		s.mu.Lock()
		s.queue = s.queue[n:]
		if err != nil {
			s.err, s.closed, s.queue = err, true, nil
		}
		s.notify()
		s.mu.Unlock()
	}
}

func (s *socket) TryWrite(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.closed {
		return 0, net.ErrClosed
	}
	n := min(len(p), sendBuffer-len(s.queue))
	s.queue = append(s.queue, p[:n]...)
	s.notify()
	return n, nil
}

func (s *socket) Write(p []byte) (n int, err error) {
	for {
		taken, err := s.TryWrite(p[n:])
		if n += taken; err != nil || n == len(p) {
			return n, err
		}
		s.mu.Lock()
		changed, deadline, full := s.changed, s.deadline, len(s.queue) == sendBuffer
		s.mu.Unlock()
		if !full {
			continue
		}
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-changed:
		case <-late:
			return n, os.ErrDeadlineExceeded
		}
	}
}

func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	s.notify()
	return nil
}

func (s *socket) SetDeadline(t time.Time) error {
	_ = s.SetWriteDeadline(t)
	return s.SetReadDeadline(t)
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	return n, err
}

// Close lets a client that does not read have what is queued for a second.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = s.Conn.SetReadDeadline(time.Unix(1, 0))
	_ = s.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	s.notify()
	return nil
}

// certificate is for a server that nobody verifies.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// The socket of these tests keeps what a socket promises.
func TestSocket(t *testing.T) {
	a, b := net.Pipe()
	s := newSocket(a)
	n, err := s.TryWrite(make([]byte, sendBuffer+1))
	require.NoError(t, err)
	require.LessOrEqual(t, n, sendBuffer)
	require.NoError(t, s.SetWriteDeadline(time.Now()))
	_, err = s.Write(make([]byte, 2*sendBuffer))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, s.Close())
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(got), n)
	_, err = s.TryWrite([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}
