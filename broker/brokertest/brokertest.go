// Package brokertest holds an implementation of ssehub.Broker against its
// contract.
//
//	func TestBroker(t *testing.T) {
//		brokertest.Run(t, brokertest.Harness{New: open, Trim: trim, Restart: restart})
//	}
//
// It has a Broker in memory, too, that can be made to fail, and a benchmark of how
// fast a hub follows one.
package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
)

// Harness is what Run needs of an implementation.
type Harness struct {
	// New returns a Broker with a log of its own that is empty and keeps at least
	// 20,000 events and 16 MiB. What it needs to end it leaves to t.Cleanup.
	New func(t testing.TB) ssehub.Broker
	// Peer returns another Broker for the log of b, as another node has it. Nil
	// means that b itself is as good.
	Peer func(t testing.TB, b ssehub.Broker) ssehub.Broker
	// Trim has b drop the events before first, or some more. Nil leaves out what
	// tests that.
	Trim func(t testing.TB, b ssehub.Broker, first uint64)
	// Restart ends what b stands on without a warning, starts it again, and
	// returns a Broker for the same log; b is not used any more. Nil leaves out
	// what tests that.
	Restart func(t testing.TB, b ssehub.Broker) ssehub.Broker
	// Forgets says that nothing outlives a Restart: then the Epoch must change.
	Forgets bool
}

// patience is how long anything may take.
const patience = time.Minute

// Run runs all tests of the contract. Each test says which sentence it is about.
func Run(t *testing.T, h Harness) {
	if h.Peer == nil {
		h.Peer = func(_ testing.TB, b ssehub.Broker) ssehub.Broker { return b }
	}
	for _, test := range []struct {
		name, about string
		run         func(*suite)
	}{
		{"Empty", "2, 5, 8", (*suite).empty},
		{"Content", "4 (Append may have kept memory)", (*suite).content},
		{"Ranges", "5", (*suite).ranges},
		{"Follow", "1, 6, 8", (*suite).follow},
		{"OneOrder", "1, 3", (*suite).oneOrder},
		{"Trim", "2, 7, 8, 9", (*suite).trim},
		{"Restart", "1, 8, 9", (*suite).restart},
		{"IdempotencyKey", "10", (*suite).idempotencyKey},
		{"Contexts", "1, 5, 6, 11", (*suite).contexts},
		{"SlowReader", "11", (*suite).slowReader},
		{"OtherEpoch", "9", (*suite).otherEpoch},
		{"Hubs", "1, 3, 8", (*suite).hubs},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("this is about sentence %s of ssehub.Broker", test.about)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			hangs := time.AfterFunc(2*patience, func() { panic("brokertest: " + t.Name() + " hangs, as some method does not end with its context") })
			defer hangs.Stop()
			test.run(&suite{T: t, Harness: h, ctx: ctx})
		})
	}
}
