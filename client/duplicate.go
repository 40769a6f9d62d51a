package client

import (
	"strconv"
	"strings"

	"github.com/ssehub-go/ssehub/sse"
)

// startFrom takes the place from which a hub's stream goes on. Only behind an
// id that the hub has recognised are its numbers above that id's.
func (s *Subscription) startFrom(hello sse.Hello) {
	s.fromHub, s.epoch, s.next = true, hello.Epoch, 0
	if seq, ok := s.seq(s.lastID); ok && hello.Verdict == sse.VerdictResumed {
		s.next = seq + 1
	}
}

// isDuplicate reports whether an event that has brought its id was delivered
// before, as may happen where events come to the hub twice. Numbers rise within
// an epoch, so the next is all there is to remember; that of a state may be 0, as
// of before the first event. Ids that are not the hub's, of an application that
// writes to the same stream, are not judged.
func (s *Subscription) isDuplicate(id string) bool {
	seq, ok := s.seq(id)
	if !ok {
		return false
	}
	if seq < s.next {
		return true
	}
	s.next = seq + 1
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
