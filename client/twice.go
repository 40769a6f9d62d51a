package client

import (
	"strconv"
	"strings"

	"github.com/ssehub-go/ssehub/sse"
)

// position is a hub's event id, taken apart.
type position struct {
	epoch string
	seq   uint64
	known bool // false: nothing is to be compared with
}

func parsePosition(id string) position {
	i := strings.LastIndexByte(id, '-')
	if i < 0 {
		return position{}
	}
	seq, err := strconv.ParseUint(id[i+1:], 10, 64)
	return position{epoch: id[:i], seq: seq, known: err == nil}
}

// startFrom takes the place from which a hub's stream goes on. Only behind an
// id that the hub has recognised are its numbers above that id's.
func (s *Subscription) startFrom(hello sse.Hello) {
	s.newest = position{}
	if hello.Verdict == sse.VerdictResumed {
		s.newest = parsePosition(s.lastID)
	}
	s.fromHub = true
}

// twice reports whether an event that has brought its id was delivered before,
// as may happen where the events have come to the hub twice. Positions rise
// within an epoch, so the newest is all there is to remember.
func (s *Subscription) twice(id string) bool {
	if !s.fromHub {
		return false // ids of others mean nothing to us
	}
	p := parsePosition(id)
	if p.known && s.newest.known && p.epoch == s.newest.epoch && p.seq <= s.newest.seq {
		return true
	}
	s.newest = p
	return false
}
