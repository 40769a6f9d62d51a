package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stuckClient is a connection that asks for a stream and never reads it. Its
// buffers are as small as can be, so that the server is soon stuck with it.
type stuckClient struct {
	fd     int
	local  int // ports
	remote int
}

const (
	stuckReceive = 4 << 10 // bytes, of the receive buffer
	// stuckSegment keeps the server's send buffer small, which grows with the
	// size of a segment: over loopback that is 64 KiB otherwise.
	stuckSegment = 536
)

func openStuck(addr, request string) (*stuckClient, error) {
	target, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := dial(target, request, func(fd int) error {
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, stuckReceive),
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, stuckSegment))
	})
	if err != nil {
		return nil, err
	}
	c := &stuckClient{fd: fd, remote: int(target.Port())}
	if err := c.await(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// await waits for the head, which is left where it is.
func (c *stuckClient) await() error {
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	if v4, ok := name.(*unix.SockaddrInet4); ok {
		c.local = v4.Port
	}
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	return ignoringEINTR(func() error {
		n, err := unix.Poll(fds, 5000)
		if err == nil && n == 0 {
			return errors.New("the stuck client was not answered")
		}
		return err
	})
}

func (c *stuckClient) close() { _ = unix.Close(c.fd) }

// queued is how many bytes the kernel has for it, on both sides.
func (c *stuckClient) queued() (sum int64, err error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0, err
	}
	client, server := fmt.Sprintf(":%04X", c.local), fmt.Sprintf(":%04X", c.remote)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		sent, received, _ := strings.Cut(f[4], ":")
		var queue string
		switch {
		case strings.HasSuffix(f[1], server) && strings.HasSuffix(f[2], client):
			queue = sent
		case strings.HasSuffix(f[1], client) && strings.HasSuffix(f[2], server):
			queue = received
		default:
			continue
		}
		n, err := strconv.ParseInt(queue, 16, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
