package ssehub

import (
	"cmp"
	"slices"
	"sort"
	"time"
)

// All topics together keep no more than Options.MaxHistory. A publisher only
// looks at a sum; one that sees it above the limit starts a goroutine that takes
// from the topics, the one with the most lag first, until there is an eighth of
// the limit to spare. Until that has caught up, publishers have another eighth,
// and then wait: who waits loses nothing, while a publisher that made room in its
// own topic would take from readers who are not to blame.

// evictStep is how many bytes one hold of the hub's lock takes, but from a topic
// under Latest, whose front is made anew as a whole.
const evictStep = 1 << 20

// evictLogPeriod is the shortest time between two lines in the Logger.
const evictLogPeriod = 10 * time.Second

// victim is a topic, or a pattern, that may have to give.
type victim struct {
	topic *topic
	lag   int64 // bytes that its slowest reader has not got
	bytes int64 // that it keeps
	taken int64
}

// budgetRoom returns a channel to wait on if too much is kept for one more
// event. It needs h.mu.
func (h *Hub) budgetRoom() <-chan struct{} {
	if limit := h.opts.MaxHistory; h.kept.bytes <= limit+limit/8 {
		return nil
	}
	if h.room == nil {
		h.room = make(chan struct{})
	}
	return h.room
}

// checkBudget comes behind every append. It needs h.mu.
func (h *Hub) checkBudget() {
	if h.kept.bytes > h.opts.MaxHistory && !h.evicting {
		h.evicting = true
		h.tasks.Go(h.runEvict)
	}
}

func (h *Hub) runEvict() {
	var gave []victim
	for least := 1; ; least = 0 { // the newest event of each topic goes last
		victims, done := h.victims()
		for i := 0; i < len(victims) && !done; i++ {
			v := &victims[i]
			done = h.evict(v, least)
			if v.taken > 0 {
				gave = append(gave, *v)
			}
		}
		if done {
			h.logEvicted(gave)
			return
		}
	}
}

// evictDone reports whether enough is free, and then has publishers go on: not
// sooner, or each step would wake all of them. It needs h.mu.
func (h *Hub) evictDone() bool {
	if h.excess() > 0 && !h.noNews() {
		return false
	}
	h.evicting = false
	if h.room != nil {
		close(h.room)
		h.room = nil
	}
	return true
}

// excess is how many bytes are to be dropped. It needs h.mu.
func (h *Hub) excess() int64 {
	return h.kept.bytes - (h.opts.MaxHistory - h.opts.MaxHistory/8)
}

// victims returns who may have to give, in this order: the most lag first, then,
// where nobody lags, the most bytes; or that it is done.
func (h *Hub) victims() (victims []victim, done bool) {
	h.mu.Lock()
	readers := h.readerList()
	h.mu.Unlock()
	slow := slowest(readers)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := 0; i < len(h.all); i++ {
		t := h.all[i]
		if _, bytes := t.kept(); bytes > 0 {
			v := victim{topic: t, bytes: bytes}
			if r := slow[t]; r != nil {
				v.lag = t.behind(r.got.Load())
			}
			if v.lag <= maxSegment {
				v.lag = 0 // that much may be in a write, which is no lag
			}
			victims = append(victims, v)
		}
		if i%sweepStep == sweepStep-1 {
			h.mu.Unlock() // for a moment: the topics that a change moves are seen or not, and both will do
			h.mu.Lock()
		}
	}
	h.mu.Unlock()
	slices.SortFunc(victims, func(a, b victim) int {
		return cmp.Or(cmp.Compare(b.lag, a.lag), cmp.Compare(b.bytes, a.bytes))
	})
	h.mu.Lock()
	return victims, h.evictDone()
}

// evict takes from v until enough is free, which it reports, or v has no more to
// give than its newest events, least of them.
func (h *Hub) evict(v *victim, least int) (done bool) {
	for {
		h.mu.Lock()
		gave := v.topic.give(h.excess(), least)
		v.taken += gave
		h.evicted += gave
		done = h.evictDone()
		h.mu.Unlock()
		if done || gave == 0 {
			return done
		}
	}
}

// logEvicted tells the operator who gave the most, now and then.
func (h *Hub) logEvicted(gave []victim) {
	if len(gave) == 0 {
		return
	}
	h.mu.Lock()
	now, total := h.now(), h.evicted
	tell := h.warnedAt == 0 || now-h.warnedAt >= evictLogPeriod
	if tell {
		h.warnedAt = now
	}
	h.mu.Unlock()
	if tell {
		most := slices.MaxFunc(gave, func(a, b victim) int { return cmp.Compare(a.taken, b.taken) })
		h.opts.Logger.Warn("ssehub: topics keep more than MaxHistory, events are dropped",
			"topic", most.topic.name, "lag", most.lag, "bytes", most.taken, "topics", len(gave), "total", total)
	}
}

// give drops what is oldest in t, down to its newest events, least of them, until
// bytes are free, or about evictStep. It returns how many are, 0 if there is
// nothing to give. It needs Hub.mu.
func (t *topic) give(bytes int64, least int) int64 {
	if bytes <= 0 {
		return 0
	}
	_, before := t.kept()
	if l := t.latest; l != nil {
		// The window first, as most of it lives on in the front or is superseded.
		front := Retention{Bytes: max(1, before-bytes)}
		t.shrink(0, Retention{Bytes: 1}, front, least)
		if f := l.front.Load(); f.bytes > front.Bytes && f.events > least {
			t.compact(0, front, least)
		}
	} else {
		window := Retention{Bytes: max(1, t.bytes-min(bytes, evictStep))}
		t.shrink(0, window, window, least)
	}
	if log := t.ephemeral.Load(); log != nil {
		if _, left := t.kept(); left == before { // what is told goes before what is not
			log.shrink(0, Retention{Bytes: 1}, Retention{}, least)
			if log.events == 0 {
				t.ephemeral.Store(nil)
			}
		}
	}
	if t.block != nil {
		t.block.makeRoom()
	}
	_, after := t.kept()
	return before - after
}

// behind returns how many of the kept bytes are of events behind cursor. It needs
// Hub.mu.
func (t *topic) behind(cursor uint64) (bytes int64) {
	logs := [][]*segment{*t.segments.Load()}
	if t.latest != nil {
		logs = append(logs, t.latest.front.Load().segments)
	}
	for _, segments := range logs {
		for _, s := range slices.Backward(segments) {
			entries := s.final()
			i := sort.Search(len(entries), func(i int) bool { return entries[i].seq > cursor })
			i = max(i, s.first)
			bytes += int64(uint32(s.used) - start(entries, i))
			if i > s.first {
				break
			}
		}
	}
	return bytes
}
