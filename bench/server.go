package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// peer is one server under test.
type peer struct {
	handler http.Handler // nil if it listens itself, at addr
	addr    string
	path    string // of the stream, with the query; "/" if empty

	publish func(data []byte) error // it may not keep data
	// signal publishes an event of a type, which is no message, and returns its
	// id where streams can go on behind it.
	signal  func(typ string) (id string, err error)
	greeted bool // it begins each stream with a hello

	end func() // its own way to end streams, for -conformance; nil if it has none

	pids  []int // of its processes; nil means this one
	close func()
}

// task is what a server process is told about its measurement.
type task struct {
	Server   string `json:"server"`
	Conns    int    `json:"conns"`    // for the limit of open files
	Messages int    `json:"messages"` // that it must be able to hold; 0 leaves buffers as they are by default
	Size     int    `json:"size"`     // of one message's data
	Replay   bool   `json:"replay"`   // streams go on where they were
	Engine   string `json:"engine"`   // its URL, for a node
	Profiles string `json:"profiles"` // directory, if any
}

// listening is a server's first word.
type listening struct {
	Addr    string `json:"addr"`
	Path    string `json:"path"`
	Greeted bool   `json:"greeted"`
	PIDs    []int  `json:"pids"`
}

// serve is the whole life of a server process: it listens, says where, obeys
// commands and returns at the end of its input.
func serve(t task, commands io.Reader, answers io.Writer) error {
	newPeer := servers[t.Server].start
	if newPeer == nil {
		return fmt.Errorf("no server is called %q", t.Server)
	}
	stop, err := startProfileIn(t.Profiles, t.Server+".prof")
	if err != nil {
		return err
	}
	defer stop()
	out := json.NewEncoder(answers)
	p, err := newPeer(t)
	if err != nil {
		return reply(out, nil, err)
	}
	if p.close != nil {
		defer p.close()
	}
	if p.handler != nil {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return reply(out, nil, err)
		}
		p.addr = ln.Addr().String()
		srv := &http.Server{Handler: p.handler, ReadHeaderTimeout: 10 * time.Second}
		defer srv.Close()
		go func() { _ = srv.Serve(ln) }() // ends with srv.Close
	}
	hello := listening{Addr: p.addr, Path: p.path, Greeted: p.greeted, PIDs: p.pids}
	if err := reply(out, hello, nil); err != nil {
		return err
	}
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		value, err := obey(lines.Text(), p, t)
		if err := reply(out, value, err); err != nil {
			return err
		}
	}
	return lines.Err()
}

func reply(out *json.Encoder, value any, err error) error {
	if err != nil {
		return out.Encode(answer{Error: err.Error()})
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return out.Encode(answer{Value: raw})
}

// The types of events that are not messages.
const (
	helloType  = "ssehub.hello" // tells the load generator that messages will come
	gapType    = "ssehub.gap"
	anchorType = "anchor" // where streams resume
)

var errNoReplay = errors.New("no replay")

func obey(line string, p peer, t task) (any, error) {
	var command string
	var first, messages int
	var rate float64
	if _, err := fmt.Sscan(line, &command, &first, &messages, &rate); err != nil {
		return nil, fmt.Errorf("command %q: %w", line, err)
	}
	switch command {
	case "burst":
		return publishAll(p, t.Size, first, messages)
	case "many":
		return publishMany(p, t.Size, first, messages)
	case "paced":
		return publishPaced(p, t.Size, first, messages, rate)
	case "hello":
		if p.signal == nil {
			return nil, errors.New("no hello")
		}
		_, err := p.signal(helloType)
		return nil, err
	case "prepare":
		return prepare(p, t.Size, messages)
	case "memory":
		return measureMemory(p)
	case "topics":
		return measureTopicsCost(first, messages, t.Size)
	case "publish-cost":
		return measurePublishCost(first, messages, t.Size)
	default:
		return nil, fmt.Errorf("unknown command %q", command)
	}
}

// publishAll publishes as fast as the server lets it.
func publishAll(p peer, size, first, messages int) (published, error) {
	data := newPayload(size)
	start := monotonic()
	for seq := first; seq < first+messages; seq++ {
		putSeq(data, seq)
		if err := p.publish(data); err != nil {
			return published{}, err
		}
	}
	return published{Start: start, Took: time.Duration(monotonic() - start)}, nil
}

// publishMany publishes from many goroutines, in no order. Each message has the time
// at which it was begun.
func publishMany(p peer, size, first, messages int) (published, error) {
	start := monotonic()
	var next atomic.Int64
	errs := make([]error, publishers)
	var all sync.WaitGroup
	for i := range publishers {
		all.Go(func() {
			data := newPayload(size)
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= messages {
					return
				}
				putSeq(data, first+n)
				putStamp(data, monotonic())
				errs[i] = p.publish(data)
			}
		})
	}
	all.Wait()
	return published{Start: start, Took: time.Duration(monotonic() - start)}, errors.Join(errs...)
}

// publishPaced publishes so many messages a second, each at its own absolute
// time, and writes that time into it, not the time at which the server came to
// it: a server that is late shows it in the latency of all that had to wait.
func publishPaced(p peer, size, first, messages int, rate float64) (published, error) {
	data := newPayload(size)
	start := monotonic()
	for n := range messages {
		at := start + int64(float64(n)/rate*float64(time.Second))
		if err := sleepUntil(at); err != nil {
			return published{}, err
		}
		putSeq(data, first+n)
		putStamp(data, at)
		if err := p.publish(data); err != nil {
			return published{}, err
		}
	}
	return published{Start: start, Took: time.Duration(monotonic() - start)}, nil
}

// sleepUntil sleeps to a monotonic time in the kernel, as Go's timers are late
// by up to a millisecond where nothing else runs.
func sleepUntil(at int64) error {
	t := unix.NsecToTimespec(at)
	return ignoringEINTR(func() error {
		return unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &t, nil)
	})
}

// prepare publishes an event to resume from and messages behind it. It returns
// the event's id.
func prepare(p peer, size, messages int) (prepared, error) {
	if p.signal == nil {
		return prepared{}, errNoReplay
	}
	id, err := p.signal(anchorType)
	if err != nil {
		return prepared{}, err
	}
	_, err = publishAll(p, size, 0, messages)
	return prepared{ID: id}, err
}

func measureMemory(p peer) (memory, error) {
	if p.pids != nil {
		rss, err := proportionalSize(p.pids)
		return memory{RSS: rss}, err
	}
	// The second collection empties what sync.Pools still held after the first.
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	rss, err := residentSize()
	return memory{RSS: rss, Heap: int64(stats.HeapInuse), Stack: int64(stats.StackInuse)}, err
}
