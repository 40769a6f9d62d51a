package ssehub

import "time"

// Ephemeral events have numbers in the hub's one order, but no ids, and a log of
// their own beside their topic's, so that a flood of them does not push the
// others out of the window. A reader takes from there what was published since
// it joined, and is not told when it was too slow for them.

// ephemeralKeep bounds that log: time enough to wake up and write.
var ephemeralKeep = Retention{Events: 1000, Bytes: 256 << 10, Age: 30 * time.Second}

// appendEphemeral is append for an event without an id.
func (t *topic) appendEphemeral(e *appending, line []byte) (wake bool) {
	log := t.ephemeral.Load()
	if log == nil {
		log = newTopic(t.name, SkipToOldest, 0, t.total)
		log.line, log.pattern, log.copies = t.line, t.pattern, true
		t.ephemeral.Store(log)
	}
	log.append(e, line, "", ephemeralKeep)
	t.last.Store(e.seq) // behind the event, before armed, as in append
	return t.armed.Load() && t.armed.CompareAndSwap(true, false)
}

// trimEphemeral drops what is too old, and the log with its last event. It needs
// Hub.mu.
func (t *topic) trimEphemeral(now time.Duration) {
	if log := t.ephemeral.Load(); log != nil {
		if log.trim(now, ephemeralKeep); log.events == 0 {
			t.ephemeral.Store(nil)
		}
	}
}
