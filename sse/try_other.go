//go:build !unix

package sse

import "net"

// newTrier returns nil for what has no such write.
func newTrier(conn net.Conn) trier {
	t, _ := conn.(trier)
	return t
}
