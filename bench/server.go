package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"
)

// peer is one server under test.
type peer struct {
	handler http.Handler
	publish func(data []byte) error // it may not keep data
}

// peers makes the servers by name.
var peers = map[string]func(opts options) peer{
	"ours": newOurs,
	"bare": newBare,
}

// serve is the whole life of a server process: it listens, says where, obeys
// commands and returns at the end of its input.
func serve(opts options, commands io.Reader, answers io.Writer) error {
	newPeer := peers[opts.serve]
	if newPeer == nil {
		return fmt.Errorf("no server is called %q", opts.serve)
	}
	stop, err := startProfileIn(opts.profileDir, opts.serve+".prof")
	if err != nil {
		return err
	}
	defer stop()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p := newPeer(opts)
	srv := &http.Server{Handler: p.handler, ReadHeaderTimeout: 10 * time.Second}
	defer srv.Close()
	go func() { _ = srv.Serve(ln) }() // ends with srv.Close
	out := json.NewEncoder(answers)
	if err := reply(out, listening{Addr: ln.Addr().String()}, nil); err != nil {
		return err
	}
	lines := bufio.NewScanner(commands)
	for lines.Scan() {
		value, err := obey(lines.Text(), p, opts)
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

func obey(command string, p peer, opts options) (any, error) {
	switch command {
	case "burst":
		return publishAll(p, opts.messages, opts.size)
	case "usage":
		return usage{CPU: cpuTime()}, nil
	case "memory":
		return measureMemory()
	default:
		return nil, fmt.Errorf("unknown command %q", command)
	}
}

// publishAll publishes as fast as the server lets it.
func publishAll(p peer, messages, size int) (published, error) {
	data := newPayload(size)
	start := monotonic()
	for seq := range messages {
		putSeq(data, seq)
		if err := p.publish(data); err != nil {
			return published{}, err
		}
	}
	return published{Start: start, Took: time.Duration(monotonic() - start)}, nil
}

func measureMemory() (memory, error) {
	// The second collection empties what sync.Pools still held after the first.
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	rss, err := residentSize()
	return memory{RSS: rss, Heap: int64(stats.HeapInuse), Stack: int64(stats.StackInuse)}, err
}
