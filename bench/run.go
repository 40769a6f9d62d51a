package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"
)

// serverNames are the servers in the order in which they take turns.
var serverNames = []string{"ours", "bare"}

// burst is what one server did with one burst.
type burst struct {
	Server      string        `json:"server"`
	Pair        int           `json:"pair"`
	Conns       int           `json:"conns"`
	Messages    int           `json:"messages"`
	Size        int           `json:"size"`
	Time        time.Duration `json:"time_ns"`    // from the first publish to the last delivery
	Publish     time.Duration `json:"publish_ns"` // from the first publish to the end of the last
	Rate        float64       `json:"deliveries_per_second"`
	ServerCores float64       `json:"server_cores"` // CPU time / Time
	LoadCores   float64       `json:"load_cores"`
	OtherCores  float64       `json:"other_cores"` // what else kept the machine busy
	Tally       tally         `json:"tally"`
	Failure     string        `json:"failure,omitempty"` // why the first connection ended that did
}

// idle is what connections cost one server that only wait. The figures are
// bytes for each connection.
type idle struct {
	Server string  `json:"server"`
	Pair   int     `json:"pair"`
	Conns  int     `json:"conns"`
	RSS    float64 `json:"rss_bytes_per_conn"`
	Heap   float64 `json:"heap_inuse_bytes_per_conn"`
	Stack  float64 `json:"stack_inuse_bytes_per_conn"`
}

// run measures everything and tells progress of each step.
func run(ctx context.Context, opts options, progress io.Writer) (*report, error) {
	stop, err := startProfileIn(opts.profileDir, "load.prof")
	if err != nil {
		return nil, err
	}
	defer stop()
	rep := &report{origin: newOrigin()}
	for pair := 1; pair <= opts.pairs; pair++ {
		for _, server := range serverNames {
			if err := rep.measure(ctx, opts, server, pair, progress); err != nil {
				return nil, fmt.Errorf("%s: %w", server, err)
			}
		}
	}
	rep.summarize()
	return rep, nil
}

// measure adds one server's turn.
func (r *report) measure(ctx context.Context, opts options, server string, pair int, progress io.Writer) error {
	if opts.conns > 0 {
		fmt.Fprintf(progress, "pair %d/%d, burst, %s: ", pair, opts.pairs, server)
		b, err := runBurst(ctx, opts, server, pair)
		if err != nil {
			return err
		}
		fmt.Fprintf(progress, "%.2f M deliveries/s, %d lost\n", b.Rate/1e6, b.Tally.Lost)
		r.Bursts = append(r.Bursts, b)
	}
	if opts.idle > 0 {
		fmt.Fprintf(progress, "pair %d/%d, idle, %s: ", pair, opts.pairs, server)
		i, err := runIdle(ctx, opts, server, pair)
		if err != nil {
			return err
		}
		fmt.Fprintf(progress, "%.1f kB/connection\n", i.RSS/1e3)
		r.Idles = append(r.Idles, i)
	}
	return nil
}

func runBurst(ctx context.Context, opts options, server string, pair int) (burst, error) {
	messages := opts.messages
	if server == "bare" {
		messages = opts.bareMessages
	}
	b := burst{Server: server, Pair: pair, Conns: opts.conns, Messages: messages, Size: opts.size}
	srv, err := startServer(ctx, opts, server, messages)
	if err != nil {
		return b, err
	}
	defer srv.stop()
	gen, err := newGenerator(opts.conns, messages, opts.size)
	if err != nil {
		return b, err
	}
	defer gen.close()
	if err := gen.open(ctx, srv.addr); err != nil {
		return b, err
	}
	err = b.measure(ctx, srv, gen)
	return b, err
}

// measure has the server publish and follows it to the last delivery.
func (b *burst) measure(ctx context.Context, srv *child, gen *generator) error {
	before, err := readMeters(srv)
	if err != nil {
		return err
	}
	sent, last, err := publishAndCollect(ctx, srv, gen)
	if err != nil {
		return err
	}
	after, err := readMeters(srv)
	if err != nil {
		return err
	}
	gen.settle(ctx)
	b.Tally = gen.tally()
	if err := gen.failure(); err != nil {
		b.Failure = err.Error()
	}
	b.Publish = sent.Took
	b.Time = max(time.Duration(last-sent.Start), 1)
	seconds := b.Time.Seconds()
	b.Rate = float64(b.Tally.Received) / seconds
	server, load, all := after.server-before.server, after.load-before.load, after.all-before.all
	b.ServerCores = server.Seconds() / seconds
	b.LoadCores = load.Seconds() / seconds
	b.OtherCores = max(0, (all-server-load).Seconds()/seconds)
	return nil
}

// publishAndCollect returns what the server said and when the last delivery was
// read.
func publishAndCollect(ctx context.Context, srv *child, gen *generator) (sent published, last int64, err error) {
	type result struct {
		published
		err error
	}
	results := make(chan result, 1)
	go func() { // ends at the latest when the server is stopped
		p, err := call[published](srv, "burst")
		results <- result{p, err}
	}()
	last = gen.collect(ctx)
	select {
	case r := <-results:
		return r.published, last, r.err
	case <-ctx.Done():
		return sent, last, ctx.Err()
	case <-time.After(stall): // it may be stuck in writing to who no longer reads
		return sent, last, errors.New("the server does not come to the end of publishing")
	}
}

// meters are CPU times.
type meters struct {
	server, load, all time.Duration
}

func readMeters(srv *child) (m meters, err error) {
	u, err := call[usage](srv, "usage")
	if err != nil {
		return m, err
	}
	all, err := machineCPUTime()
	return meters{server: u.CPU, load: cpuTime(), all: all}, err
}

func runIdle(ctx context.Context, opts options, server string, pair int) (idle, error) {
	i := idle{Server: server, Pair: pair, Conns: opts.idle}
	srv, err := startServer(ctx, opts, server, opts.messages)
	if err != nil {
		return i, err
	}
	defer srv.stop()
	before, err := call[memory](srv, "memory")
	if err != nil {
		return i, err
	}
	gen, err := newGenerator(opts.idle, opts.messages, opts.size)
	if err != nil {
		return i, err
	}
	defer gen.close()
	if err := gen.open(ctx, srv.addr); err != nil {
		return i, err
	}
	after, err := call[memory](srv, "memory")
	if err != nil {
		return i, err
	}
	n := float64(opts.idle)
	i.RSS = float64(after.RSS-before.RSS) / n
	i.Heap = float64(after.Heap-before.Heap) / n
	i.Stack = float64(after.Stack-before.Stack) / n
	return i, nil
}

// startProfileIn profiles this process into a file of dir until the returned
// function is called. It does nothing if there is no dir.
func startProfileIn(dir, file string) (stop func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
