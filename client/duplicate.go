package client

import (
	"strconv"
	"strings"

	"github.com/ssehub-go/ssehub/sse"
)

// startFrom takes the place from which a hub's stream goes on. Only behind an
// id that the hub has recognised are its numbers above that id's.
func (s *Subscription) startFrom(hello sse.Hello) {
	s.fromHub, s.epoch, s.newest = true, hello.Epoch, 0
	if seq, ok := s.seq(s.lastID); ok && hello.Verdict == sse.VerdictResumed {
		s.newest = seq
	}
}

// isDuplicate reports whether an event that has brought its id was delivered
// before, as may happen where events come to the hub twice. Numbers rise within
// an epoch, so the newest is all there is to remember. Ids that are not the
// hub's, of an application that writes to the same stream, are not judged.
func (s *Subscription) isDuplicate(id string) bool {
	seq, ok := s.seq(id)
	if !ok {
		return false
	}
	if seq <= s.newest {
		return true
	}
	s.newest = seq
	return false
}

// seq returns the number in an id of the hub that is read.
func (s *Subscription) seq(id string) (uint64, bool) {
	digits, ok := strings.CutPrefix(id, s.epoch+"-")
	if !s.fromHub || s.epoch == "" || !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil
}
