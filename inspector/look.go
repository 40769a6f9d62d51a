package inspector

import (
	"cmp"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	every   = time.Second // between two looks of one page
	share   = 10          // of the time, at most one part is spent looking
	perPage = 50          // rows
	maxPage = 200         // that can be reached: a search finds the rest
	maxText = 256         // bytes of a name in a row
	maxList = 5           // topics of a subscriber in its row
)

// look is what one event of the stream says.
type look struct {
	At      int64   `json:"at"` // milliseconds
	Took    float64 `json:"took"`
	Publish bool    `json:"publish"` // it may be possible
	Hub     figures `json:"hub"`
	view
}

// figures are the hub's. Numbers that only rise become rates on the page.
type figures struct {
	Subscribers    int               `json:"subscribers"`
	Streams        int               `json:"streams"`
	MaxStreams     int               `json:"maxStreams"`
	Joined         uint64            `json:"joined"`
	Topics         int               `json:"topics"`
	Patterns       int               `json:"patterns"`
	Position       string            `json:"position"`
	Events         int               `json:"events"`
	Bytes          int64             `json:"bytes"`
	MaxBytes       int64             `json:"maxBytes"`
	Evicted        int64             `json:"evicted"`
	Draining       bool              `json:"draining"`
	Gaps           map[string]uint64 `json:"gaps"`
	Refused        map[string]uint64 `json:"refused"`
	Published      uint64            `json:"published"`
	PublishedBytes uint64            `json:"publishedBytes"`
	Delivered      uint64            `json:"delivered"`
	DeliveredBytes uint64            `json:"deliveredBytes"`
	Latency        []uint64          `json:"latency"` // how many took up to 1 µs, 2 µs, 4 µs …
	LagMs          int64             `json:"lagMs"`
	Broker         *broker           `json:"broker"` // null: it says nothing of one
}

type broker struct {
	Err      string   `json:"err"`
	Failures uint64   `json:"failures"`
	Unread   uint64   `json:"unread"`
	Appended uint64   `json:"appended"`
	Refused  uint64   `json:"refused"`
	Latency  []uint64 `json:"latency"`
}

// view is a page of topics or of subscribers.
type view struct {
	Total       int          `json:"total"` // that the search has found
	Page        int          `json:"page"`  // from 0
	Pages       int          `json:"pages"` // at most maxPage
	Topics      []topic      `json:"topics,omitempty"`
	Subscribers []subscriber `json:"subscribers,omitempty"`
}

type topic struct {
	Name        string `json:"name"`
	Pattern     bool   `json:"pattern"`
	Policy      string `json:"policy"`
	Position    string `json:"position"`
	Subscribers int    `json:"subscribers"`
	Events      int    `json:"events"`
	Bytes       int64  `json:"bytes"`
	Published   uint64 `json:"published"`
	Lag         int    `json:"lag"`
	LagMs       int64  `json:"lagMs"`
	Gaps        uint64 `json:"gaps"`
}

type subscriber struct {
	Conn     string   `json:"conn"`
	Subject  string   `json:"subject"`
	Topics   []string `json:"topics"`
	More     int      `json:"more"` // topics
	Verdict  string   `json:"verdict"`
	Position string   `json:"position"`
	Lag      int      `json:"lag"`
	LagMs    int64    `json:"lagMs"`
	AgeMs    int64    `json:"ageMs"`
}

// query is what a page wants to see.
type query struct {
	subscribers bool
	search      string // in lower case
	sort        string
	desc        bool
	page        int
}

func parseQuery(r *http.Request) query {
	page, _ := strconv.Atoi(r.FormValue("page")) // or 0
	return query{
		subscribers: r.FormValue("view") == "subscribers",
		search:      strings.ToLower(clip(r.FormValue("q"))),
		sort:        r.FormValue("sort"),
		desc:        r.FormValue("desc") == "true",
		page:        max(0, min(page, maxPage-1)),
	}
}

// serveLooks streams looks until the client leaves or the hub has ended.
func (i *inspector) serveLooks(w http.ResponseWriter, r *http.Request) {
	conn, err := sse.Upgrade(w, r)
	if err != nil {
		return
	}
	defer conn.Close()
	q := parseQuery(r)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		l, ok := i.look(conn.Done(), q)
		if !ok || conn.WriteJsonEvent("look", l) != nil || l.Hub.Draining && l.Hub.Subscribers == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-conn.Done():
			return
		}
	}
}

// look looks when it is its turn, or reports that done came first.
func (i *inspector) look(done <-chan struct{}, q query) (*look, bool) {
	select {
	case i.turn <- struct{}{}:
	case <-done:
		return nil, false
	}
	start := time.Now()
	defer func() { time.AfterFunc((share-1)*time.Since(start), func() { <-i.turn }) }()
	l := &look{At: start.UnixMilli(), Publish: i.opts.Publish != nil, Hub: figuresOf(i.hub.Stats())}
	if q.subscribers {
		l.Subscribers = pick(&l.view, q, i.hub.Subscribers(), subscriberHas, subscribersBy, subscriberRow)
	} else {
		l.Topics = pick(&l.view, q, i.hub.Topics(), topicHas, topicsBy, topicRow)
	}
	l.Took = time.Since(start).Seconds() * 1000
	return l, true
}

// pick walks all and returns the rows of the page that q asks for. Of all that there
// is it holds no more than some pages.
func pick[T, R any](v *view, q query, all iter.Seq[T], has func(*T, string) bool,
	orders map[string]func(a, b *T) int, row func(*T) R) []R {
	by := order(q, orders)
	need := (q.page + 1) * perPage
	var first []*T
	var full bool // then what is behind first[need-1] is on no page up to it
	var s T       // one for all that are left out, as has and by have it escape
	for s = range all {
		if !has(&s, q.search) {
			continue
		}
		v.Total++
		if full && by(&s, first[need-1]) > 0 {
			continue
		}
		one := s
		if first = append(first, &one); len(first) >= 2*need+perPage {
			slices.SortFunc(first, by)
			clear(first[need:])
			first, full = first[:need], true
		}
	}
	slices.SortFunc(first, by)
	v.Pages = min(maxPage, max(1, (v.Total+perPage-1)/perPage))
	v.Page = min(q.page, v.Pages-1)
	rows := []R{}
	for i := min(v.Page*perPage, len(first)); i < min((v.Page+1)*perPage, len(first)); i++ {
		rows = append(rows, row(first[i]))
	}
	return rows
}

// order is by what q asks for, and then by name.
func order[T any](q query, orders map[string]func(a, b *T) int) func(a, b *T) int {
	by, name := orders[q.sort], orders[""]
	if by == nil {
		by = name
	}
	return func(a, b *T) int {
		c := by(a, b)
		if q.desc {
			c = -c
		}
		return cmp.Or(c, name(a, b))
	}
}

// by orders by a number or text.
func by[T any, N cmp.Ordered](of func(*T) N) func(a, b *T) int {
	return func(a, b *T) int { return cmp.Compare(of(a), of(b)) }
}

var topicsBy = map[string]func(a, b *ssehub.TopicStats) int{
	"":            by(func(s *ssehub.TopicStats) string { return s.Topic }),
	"subscribers": by(func(s *ssehub.TopicStats) int { return s.Subscribers }),
	"events":      by(func(s *ssehub.TopicStats) int { return s.Events }),
	"bytes":       by(func(s *ssehub.TopicStats) int64 { return s.Bytes }),
	"published":   by(func(s *ssehub.TopicStats) uint64 { return s.Published }),
	"lag":         by(func(s *ssehub.TopicStats) int { return s.Lag }),
	"lagMs":       by(func(s *ssehub.TopicStats) time.Duration { return s.LagTime }),
	"gaps":        by(gapsOf),
	"position":    by(func(s *ssehub.TopicStats) uint64 { return s.Last.Seq }),
}

var subscribersBy = map[string]func(a, b *ssehub.SubscriberStats) int{
	"":        by(func(s *ssehub.SubscriberStats) string { return s.Conn }),
	"subject": by(func(s *ssehub.SubscriberStats) string { return s.Subject }),
	"lag":     by(func(s *ssehub.SubscriberStats) int { return s.Lag }),
	"lagMs":   by(func(s *ssehub.SubscriberStats) time.Duration { return s.LagTime }),
	"ageMs":   by(func(s *ssehub.SubscriberStats) time.Duration { return s.Age }),
}

func gapsOf(s *ssehub.TopicStats) (n uint64) {
	for gaps := range maps.Values(s.GapsByReason) {
		n += gaps
	}
	return n
}

func topicHas(s *ssehub.TopicStats, search string) bool {
	return contains(s.Topic, search)
}

func subscriberHas(s *ssehub.SubscriberStats, search string) bool {
	return contains(s.Conn, search) || contains(s.Subject, search) ||
		slices.ContainsFunc(s.Topics, func(topic string) bool { return contains(topic, search) })
}

func contains(text, search string) bool {
	return search == "" || strings.Contains(strings.ToLower(text), search)
}

var policies = map[ssehub.Overflow]string{
	ssehub.SkipToOldest: "skip", ssehub.Disconnect: "disconnect", ssehub.Latest: "latest", ssehub.Block: "block",
}

func topicRow(s *ssehub.TopicStats) topic {
	return topic{
		Name: clip(s.Topic), Pattern: s.Pattern, Policy: policies[s.Policy], Position: s.Last.String(),
		Subscribers: s.Subscribers, Events: s.Events, Bytes: s.Bytes, Published: s.Published,
		Lag: s.Lag, LagMs: s.LagTime.Milliseconds(), Gaps: gapsOf(s),
	}
}

func subscriberRow(s *ssehub.SubscriberStats) subscriber {
	n := min(len(s.Topics), maxList)
	topics := make([]string, n)
	for i := range topics {
		topics[i] = clip(s.Topics[i])
	}
	return subscriber{
		Conn: s.Conn, Subject: clip(s.Subject), Topics: topics, More: len(s.Topics) - n, Verdict: s.Verdict,
		Position: s.Position.String(), Lag: s.Lag, LagMs: s.LagTime.Milliseconds(), AgeMs: s.Age.Milliseconds(),
	}
}

func figuresOf(s ssehub.Stats) figures {
	f := figures{
		Subscribers: s.Subscribers, Streams: s.Streams, MaxStreams: s.MaxStreams, Joined: s.Joined,
		Topics: s.Topics, Patterns: s.Patterns, Position: s.Position.String(),
		Events: s.Events, Bytes: s.Bytes, MaxBytes: s.MaxBytes, Evicted: s.Evicted, Draining: s.Draining,
		Gaps: s.GapsByReason, Refused: s.Refused,
		Published: s.Published, PublishedBytes: s.PublishedBytes, Delivered: s.Delivered, DeliveredBytes: s.DeliveredBytes,
		Latency: counts(s.Latency), LagMs: s.LagTime.Milliseconds(),
	}
	if b := s.Broker; b != (ssehub.BrokerStats{}) {
		f.Broker = &broker{Failures: b.Failures, Unread: b.Unread, Appended: b.Appended, Refused: b.Refused, Latency: counts(b.Latency)}
		if b.Err != nil {
			f.Broker.Err = clip(b.Err.Error())
		}
	}
	return f
}

// counts has how many durations are up to each bound.
func counts(h ssehub.Histogram) []uint64 {
	return slices.Collect(func(yield func(uint64) bool) {
		for _, n := range h.Buckets() {
			if !yield(n) {
				return
			}
		}
	})
}

// clip cuts what is too long for a row, between characters.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
