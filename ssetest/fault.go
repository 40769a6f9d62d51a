package ssetest

import "time"

// Now is the number of bytes that have passed already.
const Now = -1

// Fault is what a [Proxy] does to a connection. Its numbers of bytes are of the
// answer, head included, and count from when the Fault was set; zero means
// never, and [Now], or any negative number, at once. The zero value forwards
// everything as it comes.
type Fault struct {
	// Cut resets both sides behind so many bytes, as a router does that has
	// forgotten the connection. The client may lose some that are on their way.
	Cut int64
	// End ends the client's side behind so many bytes, with a FIN. The server's
	// side stays open, and what comes from it is thrown away.
	End int64
	// Stall forwards no more in either direction behind so many bytes, nor that
	// a side has ended, until another Fault is set. The side that goes on writing
	// fills the buffers between it and the Proxy and then waits.
	Stall int64
	// Slice forwards the answer in pieces of at most so many bytes. How many is
	// random, but always the same for the connection of a number. Zero leaves the
	// pieces as they come.
	Slice int
	// Delay holds each piece of the answer back. What comes meanwhile is the
	// next piece: with a small Slice it makes a reader slow.
	Delay time.Duration
}

// reached says whether a limit of a Fault counts when so many bytes have passed.
func reached(limit, passed int64) bool {
	return limit < 0 || limit > 0 && passed >= limit
}

// left is how many of n bytes may pass before the first limit is reached.
func (f Fault) left(n int, passed int64) int {
	for _, limit := range []int64{f.Cut, f.End, f.Stall} {
		if limit > passed {
			n = int(min(int64(n), limit-passed))
		}
	}
	return n
}
