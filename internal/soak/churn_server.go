//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// report is what the server says.
type report struct {
	Addr   string         `json:",omitempty"` // first
	Base   *sample        `json:",omitempty"` // before the first client
	Sample *sample        `json:",omitempty"`
	Last   map[string]int `json:",omitempty"` // the last number of each sequence, once publishers have stopped
	End    *ending        `json:",omitempty"`
}

// ending is what is left when all clients have gone.
type ending struct {
	Sample    sample
	Hub       string // what is left in it, or nothing
	Shutdown  string // its error, or nothing
	Stacks    string // of goroutines, if there are too many
	Published uint64
	Delivered uint64
	Joined    uint64
	Gaps      map[string]uint64
}

const (
	perTopic = 5                // events in each of the topics that come and go
	fleeting = "t"              // their sequence
	keptFor  = 2 * time.Second  // and then they are dropped
	maxAge   = 5 * time.Second  // of a stream
	settling = 20 * time.Second // longer than anything may take to end, but for patterns
	linger   = 35 * time.Second // and these
)

// churnServer is the server that the clients come to.
type churnServer struct {
	hub     *ssehub.Hub
	mu      sync.Mutex
	numbers map[string]int // last, by sequence
}

// serveChurn is told "stop" for the publishers, and once all clients have left
// "settle", or "settle patterns" to wait for those, too.
func serveChurn(in *bufio.Scanner, out *json.Encoder) {
	s := &churnServer{numbers: make(map[string]int), hub: ssehub.New(&ssehub.Options{
		History:      ssehub.Retention{Events: 1000, Age: keptFor},
		Heartbeat:    500 * time.Millisecond,
		WriteTimeout: 500 * time.Millisecond,
		Retry:        20 * time.Millisecond,
		MaxAge:       maxAge,
		Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
			grant := ssehub.Grant{Subject: "someone", Check: func(context.Context) error { return nil }}
			if rand.IntN(10) == 0 {
				grant.Expires = time.Now().Add(time.Second)
			}
			return grant, nil
		},
	})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(narrow{listener}) }()
	base := s.base(listener.Addr().String())
	_ = out.Encode(report{Addr: listener.Addr().String(), Base: &base})

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	publishing := s.publish(ctx)
	start := time.Now()
	for in.Scan() {
		switch in.Text() {
		case "sample":
			now := takeSample(start)
			_ = out.Encode(report{Sample: &now})
		case "stop":
			cancel()
			publishing.Wait()
			_ = out.Encode(report{Last: s.numbers})
		case "settle", "settle patterns":
			end := s.settle(start, base, in.Text() != "settle")
			_ = out.Encode(report{End: &end})
		}
	}
	_ = server.Close()
}

// handler has streams that are taken over, and those that are not behind /held.
func (s *churnServer) handler() http.Handler {
	mux := http.NewServeMux()
	stream := s.hub.Handler()
	mux.Handle("/taken", stream)
	mux.HandleFunc("/held", func(w http.ResponseWriter, r *http.Request) {
		stream.ServeHTTP(held{w}, r)
	})
	return mux
}

// held hides http.Hijacker.
type held struct{ http.ResponseWriter }

func (h held) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// narrow gives connections little room in the kernel, so that a client that does
// not read is soon noticed.
type narrow struct{ net.Listener }

func (n narrow) Accept() (net.Conn, error) {
	conn, err := n.Listener.Accept()
	if err == nil {
		_ = conn.(*net.TCPConn).SetWriteBuffer(32 << 10)
	}
	return conn, err
}

// base is what there is when the first client has been here.
func (s *churnServer) base(addr string) sample {
	conn, err := dial(addr, "/taken?topic=p.0", "", 0)
	if err == nil {
		_, _ = http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
	}
	least := takeSample(time.Now())
	until(500*time.Millisecond, func() bool {
		now := takeSample(time.Now())
		least.Goroutines = min(least.Goroutines, now.Goroutines)
		least.Descriptors = min(least.Descriptors, now.Descriptors)
		return false
	})
	return least
}

// publish starts the publishers: of sequences that stay, one of them of large
// events, and one whose topics come and go.
func (s *churnServer) publish(ctx context.Context) *sync.WaitGroup {
	all := new(sync.WaitGroup)
	for topic, every := range map[string]time.Duration{"p.0": 2, "p.1": 2, "p.2": 5, "p.bulk": 10} {
		all.Go(func() {
			for range ticks(ctx, every*time.Millisecond) {
				size := rand.IntN(200)
				if topic == "p.bulk" {
					size = 16 << 10
				}
				s.next(topic, size)
			}
		})
	}
	all.Go(func() {
		for range ticks(ctx, 2*time.Millisecond) {
			s.next(fleeting, 20)
		}
	})
	return all
}

// topicOf is the topic of number n of a sequence.
func topicOf(sequence string, n int) string {
	if sequence == fleeting {
		return fmt.Sprint("t.", n/perTopic)
	}
	return sequence
}

// next publishes the next number of a sequence. Each has one publisher.
func (s *churnServer) next(sequence string, size int) {
	s.mu.Lock()
	s.numbers[sequence]++
	n := s.numbers[sequence]
	s.mu.Unlock()
	data := fmt.Appendf(nil, "%s %d %s", sequence, n, strings.Repeat("x", size))
	if _, err := s.hub.Publish(context.Background(), topicOf(sequence, n), sse.Message{Data: data}); err != nil {
		panic(err)
	}
}

// ticks ends with ctx.
func ticks(ctx context.Context, every time.Duration) <-chan time.Time {
	out := make(chan time.Time)
	go func() {
		defer close(out)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case now := <-tick.C:
				select {
				case out <- now:
				case <-ctx.Done():
				}
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// settle waits until nothing is left, and ends the hub.
func (s *churnServer) settle(start time.Time, base sample, patterns bool) ending {
	var end ending
	until(settling+linger, func() bool {
		end.Hub = s.left(patterns)
		end.Sample = takeSample(start)
		return end.Hub == "" && end.Sample.Goroutines <= base.Goroutines && end.Sample.Descriptors <= base.Descriptors
	})
	if end.Sample.Goroutines > base.Goroutines {
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		end.Stacks = stacks.String()
	}
	stats := s.hub.Stats()
	end.Published, end.Delivered, end.Joined, end.Gaps = stats.Published, stats.Delivered, stats.Joined, stats.GapsByReason
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.hub.Shutdown(ctx); err != nil {
		end.Shutdown = err.Error()
	}
	return end
}

// left says what is still in the hub.
func (s *churnServer) left(patterns bool) string {
	stats := s.hub.Stats()
	if !patterns {
		stats.Patterns = 0
	}
	if stats.Subscribers+stats.Streams+stats.Topics+stats.Patterns+stats.Events == 0 {
		return ""
	}
	return fmt.Sprintf("%d subscribers, %d streams, %d topics, %d patterns, %d events",
		stats.Subscribers, stats.Streams, stats.Topics, stats.Patterns, stats.Events)
}
