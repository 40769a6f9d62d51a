package ssehub

import (
	"slices"
	"time"
)

// sweepStep is how many topics one hold of the hub's lock looks at, so that a
// sweep over a million never keeps a publisher waiting.
const sweepStep = 256

// scheduleSweep arms the timer that drops what is too old and forgets topics
// that nobody needs. There is none while there are no topics. It needs h.mu.
func (h *Hub) scheduleSweep() {
	if h.sweep != nil || h.draining {
		return
	}
	// An event may outstay its age in memory by a quarter. It is never
	// replayed after it, as join trims too.
	period := max(h.idleAge()/4, time.Millisecond)
	h.sweep = time.AfterFunc(period, h.runSweep)
}

// idleAge is how long a topic is remembered that nobody reads and that keeps
// nothing.
func (h *Hub) idleAge() time.Duration {
	if h.opts.History.Age > 0 {
		return h.opts.History.Age
	}
	return defaultAge
}

func (h *Hub) runSweep() {
	for i := 0; ; {
		h.mu.Lock()
		if h.draining {
			h.mu.Unlock()
			return
		}
		now := h.now()
		for range sweepStep {
			if i >= len(h.all) {
				h.endSweep()
				h.mu.Unlock()
				return
			}
			if !h.forget(h.all[i], now) {
				i++ // else another topic has taken its place
			}
		}
		h.mu.Unlock()
	}
}

func (h *Hub) endSweep() {
	h.sweep = nil
	if h.peak > 1024 && len(h.all) < h.peak/64 {
		// Neither a map nor a slice gives memory back, and a million topics
		// leave 60 MB. What is copied is so little that publishers can wait.
		h.all = slices.Clip(slices.Clone(h.all))
		h.peak = len(h.all)
		h.topics = make(map[string]*topic, len(h.all)) // maps.Clone would keep the size
		for _, t := range h.all {
			h.topics[t.name] = t
		}
	}
	if len(h.all) > 0 {
		h.scheduleSweep()
	}
}

// forget removes t if nobody reads it and, unless it is a pattern, it keeps
// nothing. A topic's last position stays behind as a bound for all topics that
// are not in memory, or an old id would look complete. So that this costs nobody
// a false gap while clients come back, an empty topic stays for as long as an
// event would. It needs h.mu.
func (h *Hub) forget(t *topic, now time.Duration) bool {
	t.trim(now, h.opts.History)
	t.trimEphemeral(now)
	if t.latest != nil && t.expires.Load() && t.latest.front.Load().expired(now) {
		t.compact(now, h.opts.History, 1)
	}
	events, bytes := t.kept()
	switch {
	case t.readers > 0:
		return false
	case t.pattern && now-t.idle >= patternLinger:
		h.patterns.put(t.name, nil)
	case t.latest != nil && t.latest.hasLost(h.allLost):
		return false // new readers are told, and nothing else knows
	case t.pattern || events > 0 || now-t.idle < h.idleAge():
		return false
	default:
		h.forgotten = max(h.forgotten, t.dropped.Load())
	}
	t.count(-events, -bytes)
	t.events, t.bytes = 0, 0
	t.setSegments(nil) // others may remember it, topics a pattern until their next event
	t.ephemeral.Store(nil)
	if t.latest != nil {
		h.latest--
	}
	if t.block != nil {
		h.blocking--
	}
	delete(h.topics, t.name)
	end := len(h.all) - 1
	moved := h.all[end]
	h.all[t.index], moved.index = moved, t.index
	h.all[end] = nil
	h.all = h.all[:end]
	return true
}
