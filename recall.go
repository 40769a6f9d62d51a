package ssehub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// A Broker may keep more than a hub does. A reader that comes back from before what its
// topics' logs have takes that from the broker, up to where it has joined. Readers come
// back together, when a node has gone, and each needs about the same: so they take it
// from pages that all share, and that are read once.

const (
	recallPage  = 1024    // numbers in a page, which begins at a multiple of it
	recallBytes = 4 << 20 // and bytes, unless one event is larger
	recallKeep  = 4       // pages of that many bytes are kept, or as many with less
	recallPages = 64      //
	recallCost  = 150     // bytes of an event besides its frame, or so
)

// recall is what a reader takes from the broker before anything that the hub has.
type recall struct {
	at    uint64 // everything up to it was handed out or told as lost
	until uint64
	buf   []byte
}

// page is a part of the broker's log: all that it has behind after, up to end.
type page struct {
	epoch   string
	after   uint64
	planned uint64        // where it ends unless it gets too large
	loaded  chan struct{} // closed when what follows is set
	end     uint64
	first   uint64 // that was kept when it was read: what is missing below it may be lost
	events  []recalled
	bytes   int
	err     error
}

// recalled is an event of a page.
type recalled struct {
	seq    uint64
	at     time.Duration // as Hub.now
	ttl    uint32
	topics []string
	frame  []byte
}

// pages are those that were read last.
type pages struct {
	mu  sync.Mutex
	all []*page // oldest first
}

// recallFrom has r go on behind pos in the broker's log, and reports false if that does
// not reach back to it. An error says that nobody knows for now.
func (r *reader) recallFrom(ctx context.Context, pos Position) (bool, error) {
	if r.hub.opts.Broker == nil {
		return false, nil
	}
	bounds, err := r.hub.askBounds(ctx)
	if err != nil {
		return false, fmt.Errorf("ssehub: bounds of broker: %w", err)
	}
	if bounds.Epoch != pos.Epoch || bounds.First > pos.Seq+1 {
		return false, nil
	}
	r.recall = &recall{at: pos.Seq, until: r.joined}
	r.cursor, r.past = r.joined, nil
	return true, nil
}

// nextRecalled returns frames from the broker, nil when r has all of them. Where the
// broker fails a stream ends with its error; a Subscription, which does not come back, is
// told a gap.
func (r *reader) nextRecalled() ([]byte, error) {
	c := r.recall
	for c.at < c.until {
		p, err := r.hub.page(r.epoch, c.at)
		if err != nil && r.conn != nil {
			return nil, err // its client comes back, and may get everything then
		}
		if err != nil || p.first > c.at+1 {
			lost := c.until
			if err == nil {
				lost = min(p.first-1, c.until)
			}
			var frames []byte
			for i := range r.seats { // a client that is cut between them must hear of all again
				var id Position
				if i == len(r.seats)-1 {
					id = r.position(lost)
				}
				name := r.seats[i].topic.name
				frames = r.appendGap(frames, r.seats[i].topic, sse.Gap{
					Reason: sse.ReasonWindow, From: r.position(c.at).String(), To: r.position(lost).String(), Topic: name,
				}, id)
			}
			c.at = lost
			return frames, nil
		}
		if frames := r.takeRecalled(p); len(frames) > 0 {
			return frames, nil
		}
	}
	r.recall = nil
	return nil, nil
}

// takeRecalled moves on in a page, and returns what r reads of it.
func (r *reader) takeRecalled(p *page) []byte {
	c := r.recall
	buf, now := c.buf[:0], r.hub.now()
	r.taken = taken{}
	i, _ := slices.BinarySearchFunc(p.events, c.at+1, func(e recalled, seq uint64) int { return cmp.Compare(e.seq, seq) })
	for ; i < len(p.events) && p.events[i].seq <= c.until; i++ {
		e := &p.events[i]
		if e.ttl == 0 || now-e.at < time.Duration(e.ttl)*time.Millisecond {
			lines := r.linesOf(e.topics)
			if lines != nil && len(buf) > 0 && len(buf)+len(lines)+len(e.frame) > maxBatch {
				c.buf = buf
				return buf
			}
			if lines != nil {
				if r.named {
					buf = append(buf, lines...)
				}
				buf = appendWithID(buf, e.frame, r.epoch, e.seq)
				r.taken.events++
			}
		}
		c.at = e.seq
	}
	c.at = max(c.at, min(p.end, c.until))
	c.buf = buf
	return buf
}

// linesOf returns the lines of the topics that r reads of an event's, as the first of
// its logs has them, or nil if it reads none.
func (r *reader) linesOf(topics []string) (lines []byte) {
	for i := range r.seats {
		t := r.seats[i].topic
		for _, name := range topics {
			if name == t.name || t.pattern && matches(t.name, name) && (r.allow == nil || r.allow(name)) {
				lines = append(append(append(lines, "topic: "...), name...), '\n')
			}
		}
		if lines != nil {
			return lines
		}
	}
	return nil
}

// page returns a page that goes on behind the position at, which may begin before it.
func (h *Hub) page(epoch string, at uint64) (*page, error) {
	for {
		head := h.head.Load()
		if at >= head {
			return nil, errBegunAnew // and is not read as far yet
		}
		p, mine := h.pages.find(epoch, at, head)
		if mine {
			p.err = h.load(p)
			h.pages.loaded(p)
		}
		<-p.loaded
		if p.err != nil {
			return nil, fmt.Errorf("ssehub: read from broker: %w", p.err)
		}
		if p.end > at {
			return p, nil
		}
	}
}

// find returns the page in which what is behind at should be, and whether the caller
// must load it.
func (s *pages) find(epoch string, at, head uint64) (p *page, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	after := at - at%recallPage
	planned := min(after+recallPage, head)
	for _, p := range s.all {
		if p.epoch != epoch || at < p.after || at >= p.planned {
			continue
		}
		select {
		case <-p.loaded:
		default:
			return p, false
		}
		if at < p.end {
			return p, false
		}
		after = max(after, p.end) // that one got too large
	}
	p = &page{epoch: epoch, after: after, planned: planned, loaded: make(chan struct{})}
	s.all = append(s.all, p)
	return p, true
}

// forget drops all pages, as the log is another one.
func (s *pages) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = nil
}

// loaded lets those see p who wait for it, and drops what is too much.
func (s *pages) loaded(p *page) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(p.loaded)
	if p.err != nil {
		s.all = slices.DeleteFunc(s.all, func(other *page) bool { return other == p })
	}
	bytes := 0
	for _, p := range s.all {
		select {
		case <-p.loaded:
			bytes += p.bytes
		default:
		}
	}
	for len(s.all) > 1 && (bytes > recallKeep*recallBytes || len(s.all) > recallPages) {
		select {
		case <-s.all[0].loaded:
			bytes -= s.all[0].bytes
		default:
		}
		s.all = slices.Delete(s.all, 0, 1)
	}
}

// load reads a page from the broker.
func (h *Hub) load(p *page) error {
	ctx, cancel := context.WithTimeout(h.ctx, readyTimeout)
	defer cancel()
	p.end = p.planned
	r := Range{After: Position{Epoch: p.epoch, Seq: p.after}, Until: p.planned}
	for e, err := range h.opts.Broker.Read(ctx, r) {
		if errors.Is(err, ErrInvalidEvent) && e.Position != (Position{}) {
			continue // the follower has told of it
		}
		if err != nil {
			return err
		}
		if e.Ephemeral {
			continue
		}
		frame, err := appendFrame(nil, &e.Message)
		if err != nil {
			continue // as above
		}
		p.events = append(p.events, recalled{e.Position.Seq, h.since(e.Time), milliseconds(e.TTL), e.Topics, frame})
		if p.bytes += len(frame) + recallCost; p.bytes >= recallBytes {
			p.end = e.Position.Seq
			break
		}
	}
	bounds, err := h.opts.Broker.Bounds(ctx)
	if err == nil && bounds.Epoch != p.epoch {
		err = errBegunAnew
	}
	p.first = bounds.First
	return err
}
