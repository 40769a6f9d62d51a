package main

import "strings"

// tally counts what became of the messages of one measurement.
type tally struct {
	Expected   int64 `json:"expected"`
	Received   int64 `json:"received"` // for the first time
	Lost       int64 `json:"lost"`     // never received
	Duplicated int64 `json:"duplicated"`
	Reordered  int64 `json:"reordered"` // received after a later one
	Malformed  int64 `json:"malformed"` // wrong length or no sequence number
	Gaps       int64 `json:"gaps"`      // the server told of a loss
	Closed     int64 `json:"closed"`    // connections that ended too early
}

func (t *tally) add(o tally) {
	t.Expected += o.Expected
	t.Received += o.Received
	t.Lost += o.Lost
	t.Duplicated += o.Duplicated
	t.Reordered += o.Reordered
	t.Malformed += o.Malformed
	t.Gaps += o.Gaps
	t.Closed += o.Closed
}

// clean reports whether every message arrived exactly once and in order.
func (t *tally) clean() bool {
	return t.Received == t.Expected && t.Lost+t.Duplicated+t.Reordered+t.Malformed+t.Gaps+t.Closed == 0
}

// others says what was wrong besides losses.
func (t *tally) others() string {
	var faults []string
	for _, f := range []struct {
		n    int64
		name string
	}{
		{t.Duplicated, "twice"}, {t.Reordered, "out of order"}, {t.Malformed, "malformed"},
		{t.Gaps, "gaps"}, {t.Closed, "closed"},
	} {
		if f.n > 0 {
			faults = append(faults, grouped(float64(f.n))+" "+f.name)
		}
	}
	if faults == nil {
		return "0"
	}
	return strings.Join(faults, ", ")
}

// checker follows the sequence numbers of one connection.
type checker struct {
	messages   int
	size       int
	end        int // behind the last of them
	next       int // behind the highest that was seen
	nextDigits [seqDigits]byte
	received   int      // different ones
	seen       []uint64 // a bit for each message; made when the first is out of order
	duplicated int
	reordered  int
	malformed  int
	gaps       int
	hello      bool
	byPlace    bool   // they are told apart by their places in the log, from 1 on
	times      *times // nil if nobody asks when messages arrive
}

func newChecker(messages, size int) checker {
	c := checker{messages: messages, size: size, end: messages}
	putSeq(c.nextDigits[:], 0)
	return c
}

// goByPlace has messages told apart by their places in the log.
func (c *checker) goByPlace() {
	c.byPlace = true
	c.end, c.next = c.messages+1, 1
	putSeq(c.nextDigits[:], 1)
}

// message takes a message's number and the length of its data. It returns the number
// if the message has come for the first time.
func (c *checker) message(number *[seqDigits]byte, length int) (seq int, ok bool) {
	// Nearly always it is the next. Comparing digits costs a fraction of
	// reading them, and this runs millions of times a second beside the server.
	if *number == c.nextDigits && length == c.size && c.next < c.end && c.seen == nil {
		c.received++
		c.next++
		c.count()
		return c.next - 1, true
	}
	seq, ok = parseSeq(number[:])
	if !ok || length != c.size || seq < c.end-c.messages || seq >= c.end {
		c.malformed++
		return 0, false
	}
	return seq, c.outOfOrder(seq)
}

// count adds one to nextDigits.
func (c *checker) count() {
	for i := seqDigits - 1; i >= 0; i-- {
		if c.nextDigits[i]++; c.nextDigits[i] <= '9' {
			return
		}
		c.nextDigits[i] = '0'
	}
}

// outOfOrder takes all messages from the first on that is not the next.
func (c *checker) outOfOrder(seq int) (first bool) {
	if c.seen == nil {
		c.seen = make([]uint64, (c.end+63)/64)
		for i := range c.next {
			c.seen[i/64] |= 1 << (i % 64)
		}
	}
	word, bit := &c.seen[seq/64], uint64(1)<<(seq%64)
	switch {
	case *word&bit != 0:
		c.duplicated++
		return false
	case seq < c.next:
		c.reordered++
	}
	*word |= bit
	c.received++
	c.next = max(c.next, seq+1)
	return true
}

// complete reports whether there is nothing to wait for.
func (c *checker) complete() bool {
	return c.received == c.messages
}

func (c *checker) tally() tally {
	return tally{
		Expected:   int64(c.messages),
		Received:   int64(c.received),
		Lost:       int64(c.messages - c.received),
		Duplicated: int64(c.duplicated),
		Reordered:  int64(c.reordered),
		Malformed:  int64(c.malformed),
		Gaps:       int64(c.gaps),
	}
}
