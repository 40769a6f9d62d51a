package ssehub

import "sync/atomic"

// BrokerStats says how it goes with Options.Broker; it is zero without one. "Ever" is
// as in Stats.
type BrokerStats struct {
	// Err is why its log cannot be read, nil while it can. Streams stay
	// meanwhile, and the hub tries again. A Broker that neither fails nor answers
	// is found out within 10 s.
	Err      error
	Failures uint64 // how often reading has ended, ever
	// Unread is how many numbers this hub's own events are ahead of what it has
	// read.
	Unread   uint64
	Appended uint64 // events that the Broker has taken from this hub, ever, and those of hubs to each other
	Refused  uint64 // such events for which it has returned an error, ever
	// Latency is the time that it took to take one.
	Latency Histogram
}

// health is what a hub finds out about its Broker.
type health struct {
	err               atomic.Pointer[error]
	failures          atomic.Uint64
	appended, refused atomic.Uint64
	latency           histogram
}

// note says whether the log can be read.
func (s *health) note(err error) {
	if err == nil {
		s.err.Store(nil)
		return
	}
	s.err.Store(&err)
}

func (s *health) snapshot() BrokerStats {
	b := BrokerStats{
		Failures: s.failures.Load(),
		Appended: s.appended.Load(),
		Refused:  s.refused.Load(),
		Latency:  s.latency.snapshot(),
	}
	if err := s.err.Load(); err != nil {
		b.Err = *err
	}
	return b
}
