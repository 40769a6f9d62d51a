package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test binary a server where the program would run itself
// as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestSmoke runs everything, small.
func TestSmoke(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "results.json")
	args := []string{"-conns", "20", "-messages", "2000", "-bare-messages", "50", "-size", "100",
		"-pairs", "2", "-idle", "150", "-json", file, "-cpuprofile", dir}
	var stdout, stderr bytes.Buffer
	if err := command(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	for _, want := range []string{"deliveries/s", "ours/bare", strings.Join(args, " ")} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in the table:\n%s", want, &stdout)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.Bursts) != 4 || len(rep.Idles) != 4 || len(rep.Summary) != 2 {
		t.Fatalf("not everything was reported:\n%s", text)
	}
	for _, b := range rep.Bursts {
		if want := int64(b.Conns * b.Messages); b.Tally.Expected != want || b.Tally.Received != want || b.Rate <= 0 {
			t.Errorf("want %d received: %+v", want, b)
		}
	}
	for _, i := range rep.Idles {
		if i.Heap <= 0 {
			t.Errorf("connections without memory: %+v", i)
		}
	}
}

// TestGeneratorCountsFaults lets it meet a server that does everything wrong.
func TestGeneratorCountsFaults(t *testing.T) {
	const size = 12
	hello := "event: ssehub.hello\ndata: {}\n\n"
	wire := chunkedHead + chunks(hello+
		wireMessages(0, 2, size)+wireMessages(1, 1, size)+ // 1 twice
		wireMessages(3, 1, size)+wireMessages(2, 1, size)+ // 2 late
		"event: ssehub.gap\ndata: {}\n\n"+
		wireMessages(5, 1, size), 10) // 4 and 6 never
	opened := make(chan struct{})
	addr := serveBytes(t, wire, opened)
	gen, err := newGenerator(3, 7, size)
	if err != nil {
		t.Fatal(err)
	}
	defer gen.close()
	if err := gen.open(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	close(opened)
	gen.collect(t.Context())
	want := tally{Expected: 21, Received: 15, Lost: 6, Duplicated: 3, Reordered: 3, Gaps: 3, Closed: 3}
	if got := gen.tally(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestGeneratorRefusedConnection(t *testing.T) {
	atOnce := make(chan struct{})
	close(atOnce)
	addr := serveBytes(t, "HTTP/1.1 503 Service Unavailable\r\n\r\n", atOnce)
	gen, err := newGenerator(1, 1, 12)
	if err != nil {
		t.Fatal(err)
	}
	defer gen.close()
	if err := gen.open(t.Context(), addr); !errors.Is(err, errHead) {
		t.Errorf("got %v, want %v", err, errHead)
	}
}

// serveBytes answers every connection's request with wire and closes it once
// end is closed or the test has ended.
func serveBytes(t *testing.T, wire string, end <-chan struct{}) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_, _ = io.ReadFull(conn, make([]byte, len(request)))
				_, _ = io.WriteString(conn, wire)
				select {
				case <-end:
				case <-t.Context().Done():
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().String()
}

func TestUncleanReport(t *testing.T) {
	good := burst{Server: "ours", Tally: tally{Expected: 1, Received: 1}}
	bad := burst{Server: "bare", Tally: tally{Expected: 2, Received: 1, Lost: 1}}
	rep := report{Bursts: []burst{good, bad}}
	if rep.clean() {
		t.Error("a report with a loss is clean")
	}
	if rep = (report{Bursts: []burst{good}}); !rep.clean() {
		t.Error("a report without a loss is not clean")
	}
}

func TestOptions(t *testing.T) {
	quick, err := parseOptions([]string{"-quick", "-idle", "7"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if quick.idle != 7 || quick.pairs != 3 || quick.rounds != 3 || quick.messages != 10_000 || quick.bareMessages != 1000 {
		t.Errorf("-quick gave %+v", quick)
	}
	for _, args := range []string{
		"-size 9", "-size 9999999", "-messages 0", "-messages 1000000000", "-bare-messages -1",
		"-conns -1", "-idle -1", "-pairs 0", "-rounds 0", "surplus", "-unknown",
	} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
	err = command(context.Background(), []string{"-idle", "1000000000"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "hard limit") {
		t.Errorf("too many connections: got %v", err)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(test.values); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.values, got, test.want)
		}
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%v: got %s, want %s", n, got, want)
		}
	}
}
