package main

import (
	"fmt"
	"strconv"
)

// peerIDs numbers the events of a server that has no ids of its own.
type peerIDs struct {
	n     int
	plain bool // the number alone, where the server will have it so
}

// next is not safe for concurrent use: one goroutine publishes.
func (p *peerIDs) next() string {
	n := p.n
	p.n++
	if p.plain {
		return strconv.Itoa(n)
	}
	// Of one width, so that they sort as text, for the repository that does.
	return fmt.Sprintf("peer%09d", n)
}
