package main

import (
	"context"
	"errors"
	"time"
)

// session is a server process and the connections to it.
type session struct {
	srv    *child
	others []*child // nodes that share its log
	gen    *generator
	stuck  bool // the server hears nothing any more
}

// startSession starts a server and makes a generator that has not opened its
// connections yet.
func startSession(ctx context.Context, o options, t task, p plan) (*session, error) {
	t.Profiles = o.profileDir
	srv, err := startServer(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &session{srv: srv}
	if err := s.plan(o, p); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// plan makes the generator, with what the server has said of itself.
func (s *session) plan(o options, p plan) (err error) {
	if p.request == "" {
		p.request = newRequest(s.srv.Path, "")
	}
	p.greeted = s.srv.Greeted
	p.stall = o.stall
	s.gen, err = newGenerator(p)
	return err
}

func (s *session) close() {
	if s.gen != nil {
		s.gen.close()
	}
	if s.stuck {
		s.srv.kill()
	}
	s.srv.stop()
	for _, other := range s.others {
		other.stop()
	}
}

// open opens all connections and returns when messages will reach them.
func (s *session) open(ctx context.Context) error {
	addrs := []string{s.srv.Addr}
	for _, other := range s.others {
		addrs = append(addrs, other.Addr)
	}
	if err := s.gen.open(ctx, addrs...); err != nil {
		return err
	}
	if s.srv.Greeted {
		return nil
	}
	return s.gen.awaitHello(ctx, s.srv.hello)
}

// openSession does both.
func openSession(ctx context.Context, o options, t task, p plan) (*session, error) {
	s, err := startSession(ctx, o, t, p)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// publishGrace is how long a server may still be busy with publishing when
// nothing more comes from it.
const publishGrace = time.Second

var errStuck = errors.New("the server does not come to the end of publishing")

// publish has messages published and reads them. It returns what the server
// said and when the last delivery was read. A server that is stuck is an error,
// and start is then when it was told to begin.
func (s *session) publish(ctx context.Context, how string, first, messages int, rate float64, pause time.Duration) (sent published, last int64, err error) {
	type answer struct {
		published
		err error
	}
	answers := make(chan answer, 1)
	sent.Start = monotonic()
	go func() { // ends at the latest when the server is stopped
		p, err := call[published](s.srv, how, first, messages, rate)
		answers <- answer{p, err}
	}()
	s.gen.expect(first + messages)
	last = s.gen.collect(ctx, pause)
	select {
	case a := <-answers:
		if a.err != nil {
			return sent, last, a.err
		}
		return a.published, last, nil
	case <-ctx.Done():
		return sent, last, ctx.Err()
	case <-time.After(publishGrace):
		s.stuck = true
		return sent, last, errStuck
	}
}

// meters are CPU times.
type meters struct {
	server, load, all time.Duration
}

func (s *session) meters() (m meters, err error) {
	pids := s.srv.PIDs
	for _, other := range s.others {
		pids = append(pids, other.PIDs...)
	}
	if m.server, err = cpuTimeOf(pids); err != nil {
		return m, err
	}
	m.all, err = machineCPUTime()
	m.load = cpuTime()
	return m, err
}

// cores adds what was used since before, in cores, to a result.
func (s *session) cores(before meters, took time.Duration, r *result) (server time.Duration, err error) {
	after, err := s.meters()
	if err != nil {
		return 0, err
	}
	server = after.server - before.server
	load, all := after.load-before.load, after.all-before.all
	r.Figures["server_cores"] = float64(server) / float64(took)
	r.Figures["load_cores"] = float64(load) / float64(took)
	r.Figures["other_cores"] = max(0, float64(all-server-load)/float64(took))
	return server, nil
}

// finish reads what comes late and counts.
func (s *session) finish(ctx context.Context, r *result) error {
	s.gen.settle(ctx)
	r.Tally = s.gen.tally()
	return s.gen.failure()
}

var coreColumns = []column{
	{key: "server_cores", head: "server cores", format: ratioText},
	{key: "load_cores", head: "load cores", format: ratioText},
	{key: "other_cores", head: "other cores", format: ratioText},
}
