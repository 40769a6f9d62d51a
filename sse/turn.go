package sse

import (
	"context"
	"slices"
	"sync"
)

// turn is a lock for who writes. Unlike a Mutex's, a wait for it ends with a
// context, and fake time (testing/synctest) goes on meanwhile. Unlike a channel it
// needs no memory of its own as long as nobody waits.
type turn struct {
	mu      sync.Mutex // never held while anything waits
	taken   bool
	waiting []chan struct{} // each is closed when the turn is handed to it
}

// try takes the turn if nobody has it.
func (t *turn) try() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		return false
	}
	t.taken = true
	return true
}

// take waits for the turn, and returns false if ctx ends first.
func (t *turn) take(ctx context.Context) bool {
	t.mu.Lock()
	if !t.taken {
		t.taken = true
		t.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	t.waiting = append(t.waiting, mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(t.waiting, mine)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 { // it was handed over at the same time
		t.give()
	}
	return false
}

// give hands the turn to who has waited longest, if anybody does.
func (t *turn) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.taken, t.waiting = false, nil
		return
	}
	close(t.waiting[0])
	t.waiting = t.waiting[1:]
}
