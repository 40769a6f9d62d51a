package ssehub

import "fmt"

// Where the hub's own log begins and ends, when that is not for Publish to say:
// what a broker has dropped, what it never had, and a log that begins anew.

// skipTo moves the head over numbers that have no events for readers.
func (h *Hub) skipTo(seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.noNews() {
		h.head.Store(max(h.head.Load(), seq))
		h.endNewsIfDue()
	}
}

// endNewsIfDue lets readers end, after Shutdown has begun, when all is there that
// this hub has published. It needs h.mu.
func (h *Hub) endNewsIfDue() {
	if h.draining && !h.noNews() && (h.acked.Epoch != h.epoch || h.head.Load() >= h.acked.Seq) {
		h.endNews()
		h.tasks.Go(h.wakeAll)
	}
}

// settle compares what the broker keeps with what the hub has. What is not kept
// before first is lost, if the hub does not have it.
func (h *Hub) settle(bounds Bounds, first uint64) error {
	var lost uint64
	defer func() { // behind the lock
		if lost > 0 {
			h.opts.Logger.Warn("ssehub: broker has dropped events before this hub had them", "up to", lost)
		}
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	head := h.head.Load()
	switch before := max(1, first) - 1; {
	case h.noNews():
	case h.epoch == "":
		h.begin(bounds.Epoch, before)
	case bounds.Epoch != h.epoch:
		h.beginAnew(bounds.Epoch, before)
	case bounds.Last < head:
		return fmt.Errorf("ssehub: broker's log ends at %d, and had %d", bounds.Last, head)
	case before > head:
		h.lose(before)
		lost = before
	}
	h.endNewsIfDue()
	return nil
}

// begin sets the epoch. It needs h.mu.
func (h *Hub) begin(epoch string, before uint64) {
	h.epoch, h.forgotten, h.lostEnd = epoch, before, lostEnd{}
	h.head.Store(before)
}

// beginAnew leaves all logs to the readers that have them, until arrive. It needs h.mu.
func (h *Hub) beginAnew(epoch string, before uint64) {
	var nowhere total // counts what they have from now on
	for _, t := range h.all {
		t.total = &nowhere
		if log := t.ephemeral.Load(); log != nil {
			log.total = &nowhere
		}
		if t.readers > 0 {
			h.orphans = append(h.orphans, t)
		}
	}
	h.kept = total{}
	h.topics, h.all, h.peak = make(map[string]*topic), nil, 0
	h.patterns = trie{version: h.patterns.version + 1}
	h.latest, h.blocking = 0, 0
	h.begun.Add(1) // before the head, see reader.read
	h.begin(epoch, before)
	h.pages.forget()
	h.missed()
	select {
	case <-h.ready:
		h.ready = make(chan struct{})
	default:
	}
}

// arrive has readers find out that the log has begun anew, and join again, when all
// is read that was there: else they would take that for news.
func (h *Hub) arrive() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.ready)
	h.life.Store(h.begun.Load()) // before waking, see reader.park
	for _, t := range h.orphans {
		if t.armed.Swap(false) {
			h.wake(t)
		}
	}
	h.orphans = nil
}

// lose gives up all that is in memory, so that every reader is told that
// what came up to seq may be lost. It needs h.mu.
func (h *Hub) lose(seq uint64) {
	for _, t := range h.all {
		t.lose(seq, h.now(), h.opts.History)
		if t.armed.Swap(false) {
			h.wake(t)
		}
	}
	h.forgotten, h.allLost = seq, seq
	h.head.Store(seq)
	h.missed()
}
