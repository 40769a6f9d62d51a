package ssetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"
)

// stuckBuffer is what the kernel may hold for a client that never reads.
const stuckBuffer = 4 << 10

// DialStuck asks the server at url, which begins with http://, for a stream as a
// client that never reads, with a receive buffer as small as the system lets it
// be. Reading from the connection ends that: it has the answer from its first
// byte. What the server's own send buffer takes, some megabytes over loopback,
// comes on top, so a test has to publish more than that.
func DialStuck(ctx context.Context, url string) (net.Conn, error) {
	return dialStuck(ctx, new(net.Dialer).DialContext, url)
}

// DialStuck is [DialStuck] for the Server, on which there is no buffer at all.
func (s *Server) DialStuck(ctx context.Context, url string) (net.Conn, error) {
	return dialStuck(ctx, s.Listener.Dial, url)
}

func dialStuck(ctx context.Context, dial dialFunc, url string) (net.Conn, error) {
	scheme, addr, err := splitTarget(url)
	if err != nil {
		return nil, err
	}
	if scheme != "http" {
		return nil, fmt.Errorf("ssetest: %q does not begin with http://", url)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(stuckBuffer) // then it takes longer to be stuck
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetWriteDeadline(deadline)
	}
	if err := req.Write(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, conn.SetWriteDeadline(time.Time{})
}
