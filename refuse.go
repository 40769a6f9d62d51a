package ssehub

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// refusal is why a request to a Handler gets no stream.
type refusal string

const (
	refusedSite    refusal = "site"     // another origin, or a host that is not ours
	refusedDenied  refusal = "denied"   // by Authorize, or without one
	refusedStreams refusal = "streams"  // Limits
	refusedSubject refusal = "subject"  //
	refusedAddr    refusal = "addr"     //
	refusedTopic   refusal = "topic"    //
	refusedRate    refusal = "rate"     //
	refusedBroker  refusal = "broker"   // is down, or its log is not read yet
	refusedEnding  refusal = "shutdown" //
)

var reasonsToRefuse = [...]refusal{refusedSite, refusedDenied, refusedStreams, refusedSubject, refusedAddr,
	refusedTopic, refusedRate, refusedBroker, refusedEnding}

// refusals counts them, and logs no more of them than somebody can read.
type refusals struct {
	mu     sync.Mutex
	counts map[refusal]uint64
	from   time.Duration // of the second in which
	logged int           // that many were
	unsaid int           // since one was
}

const refusalsPerSecond = 10 // that are logged

// refused counts a refusal, and logs it. Of the request nothing else is logged, as
// it may hold secrets.
func (h *Hub) refused(r *http.Request, why refusal, args ...any) {
	unsaid, log := h.refusals.count(why, h.now())
	if !log {
		return
	}
	if unsaid > 0 {
		args = append(args, "unsaid", unsaid)
	}
	h.opts.Logger.InfoContext(r.Context(), "ssehub: refused", append([]any{"why", string(why)}, args...)...)
}

// count returns whether a refusal should be logged, and how many were not before.
func (s *refusals) count(why refusal, now time.Duration) (unsaid int, log bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts == nil {
		s.counts = make(map[refusal]uint64)
	}
	s.counts[why]++
	if now-s.from >= time.Second {
		s.from, s.logged = now, 0
	}
	if s.logged >= refusalsPerSecond {
		s.unsaid++
		return 0, false
	}
	s.logged++
	unsaid, s.unsaid = s.unsaid, 0
	return unsaid, true
}

// snapshot returns the number of each, zeros too: who reads them must be able to see
// the first one come.
func (s *refusals) snapshot() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]uint64, len(reasonsToRefuse))
	for _, why := range reasonsToRefuse {
		counts[string(why)] = s.counts[why]
	}
	return counts
}

// sendAway answers a client that may come back.
func (h *Hub) sendAway(w http.ResponseWriter, r *http.Request, why refusal, wait time.Duration, args ...any) {
	h.refused(r, why, args...)
	wait = max(wait, time.Second)
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		sse.SetHeader(w.Header())
		_, _ = w.Write(retryLine(wait)) // an error: it is gone anyway
		return
	}
	status, text := http.StatusServiceUnavailable, "too many streams"
	switch why {
	case refusedSubject, refusedAddr:
		status = http.StatusTooManyRequests
	case refusedBroker:
		text = "not ready"
	case refusedEnding:
		text = "shutting down"
	}
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	http.Error(w, text, status)
}

// forbid answers a client that may not.
func (h *Hub) forbid(w http.ResponseWriter, r *http.Request, text string, args ...any) {
	h.refused(r, refusedDenied, args...)
	http.Error(w, text, http.StatusForbidden)
}
