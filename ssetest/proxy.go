package ssetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Proxy stands in front of a server and does to its connections what networks
// do: see [Fault]. It knows nothing of HTTP, and passes TLS on as it is.
type Proxy struct {
	listener  net.Listener
	scheme    string
	toServer  dialFunc
	transport *http.Transport
	ctx       context.Context // ends with Close
	end       context.CancelFunc
	running   sync.WaitGroup

	mu     sync.Mutex
	pick   func(n int) Fault
	live   map[int]*proxied
	stats  ProxyStats
	news   chan struct{} // closed and replaced when stats change
	closed bool
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// ProxyStats counts what a [Proxy] has done.
type ProxyStats struct {
	Accepted int // connections
	Open     int // of them, now
	Cut      int // by the Proxy, by a Fault or CutAll
}

// NewProxy returns a Proxy that listens on a port of its own of 127.0.0.1, in
// front of the server at target: host:port, or a URL. The error is one of
// listening, or of the URL. Close ends it.
func NewProxy(target string) (*Proxy, error) {
	scheme, addr, err := splitTarget(target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return serveProxy(listener, scheme, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}), nil
}

func splitTarget(target string) (scheme, addr string, err error) {
	if !strings.Contains(target, "://") {
		_, _, err := net.SplitHostPort(target)
		return "http", target, err
	}
	u, err := url.Parse(target)
	if err != nil {
		return "", "", err
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Host == "" {
		return "", "", fmt.Errorf("ssetest: %q is no URL of a server", target)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return u.Scheme, net.JoinHostPort(u.Hostname(), port), nil
}

// ServeProxy returns a Proxy on a listener, which connects to the server by
// dial. In memory, and so in a testing/synctest bubble, it is
//
//	proxy := ssetest.ServeProxy(ssetest.Listen(), server.Listener.Dial)
//
// As connections in memory know neither resets nor half of an end, Cut and End
// close them there, which for their other side is an end like any other.
func ServeProxy(listener net.Listener, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *Proxy {
	return serveProxy(listener, "http", dial)
}

func serveProxy(listener net.Listener, scheme string, dial dialFunc) *Proxy {
	p := &Proxy{
		listener: listener,
		scheme:   scheme,
		toServer: dial,
		pick:     func(int) Fault { return Fault{} },
		live:     make(map[int]*proxied),
		news:     make(chan struct{}),
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.transport = &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}
	p.running.Go(p.accept)
	return p
}

// Addr returns the address to connect to, as host:port.
func (p *Proxy) Addr() string {
	return p.listener.Addr().String()
}

// URL returns the Proxy's URL, with the scheme of the server's.
func (p *Proxy) URL() string {
	return p.scheme + "://" + p.Addr()
}

// Dial connects to the Proxy, whatever the address. It fits
// http.Transport.DialContext.
func (p *Proxy) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if l, ok := p.listener.(*Listener); ok {
		return l.Dial(ctx, network, addr)
	}
	return new(net.Dialer).DialContext(ctx, p.listener.Addr().Network(), p.Addr())
}

// Client returns an http.Client whose every request goes through the Proxy,
// whatever its host, over a connection of its own.
func (p *Proxy) Client() *http.Client {
	return &http.Client{Transport: p.transport}
}

// SetFaults has pick decide about each further connection; the first of all has
// number 0. It is called for one at a time. Nil means no faults.
func (p *Proxy) SetFaults(pick func(n int) Fault) {
	if pick == nil {
		pick = func(int) Fault { return Fault{} }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pick = pick
}

// Apply sets the Fault of open connections: those of these numbers or, without
// any, all. The zero Fault lets what is stalled go on. A piece that is just
// being forwarded is still subject to the Fault before.
func (p *Proxy) Apply(f Fault, numbers ...int) {
	for _, c := range p.chosen(numbers) {
		c.set(f)
	}
}

// CutAll resets all open connections.
func (p *Proxy) CutAll() {
	p.Apply(Fault{Cut: Now})
}

func (p *Proxy) chosen(numbers []int) []*proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	var conns []*proxied
	for n, c := range p.live {
		if len(numbers) == 0 {
			conns = append(conns, c)
		}
		for _, number := range numbers {
			if n == number {
				conns = append(conns, c)
			}
		}
	}
	return conns
}

// Stats returns what was counted until now.
func (p *Proxy) Stats() ProxyStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Wait returns when ok is true of Stats, or with the error of ctx.
func (p *Proxy) Wait(ctx context.Context, ok func(ProxyStats) bool) error {
	for {
		p.mu.Lock()
		stats, news := p.stats, p.news
		p.mu.Unlock()
		if ok(stats) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close cuts all connections and ends the Proxy. It returns when nothing of it
// is left, and may be called again.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	_ = p.listener.Close() // there is nobody who could do more about it
	for _, c := range p.chosen(nil) {
		c.reset()
	}
	p.running.Wait()
	p.transport.CloseIdleConnections()
}

// acceptPause is how long to wait when files have run out.
const acceptPause = 5 * time.Millisecond

func (p *Proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		switch {
		case err == nil:
			p.add(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			select {
			case <-time.After(acceptPause):
			case <-p.ctx.Done():
				return
			}
		}
	}
}

func (p *Proxy) add(client net.Conn) {
	p.mu.Lock()
	n, pick := p.stats.Accepted, p.pick
	p.mu.Unlock()
	c := newProxied(p, n, client, pick(n))
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.live[n] = c
	p.count(1, 1, 0)
	p.mu.Unlock()
	p.running.Go(c.run)
}

func (p *Proxy) countCut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(0, 0, 1)
}

// count needs p.mu.
func (p *Proxy) count(accepted, open, cut int) {
	p.stats.Accepted += accepted
	p.stats.Open += open
	p.stats.Cut += cut
	close(p.news)
	p.news = make(chan struct{})
}
