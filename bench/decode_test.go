package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "results.json")
	args := []string{"-decode", "-quick", "-rounds", "2", "-turn", "30ms", "-json", file, "-cpuprofile", dir}
	var stdout, stderr bytes.Buffer
	if err := command(t.Context(), args, &stdout, &stderr); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	for _, want := range []string{"| LLM tokens | go-sse |", "ours/best peer", strings.Join(args, " ")} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in the table:\n%s", want, &stdout)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rep decodeReport
	if err := json.Unmarshal(text, &rep); err != nil {
		t.Fatal(err)
	}
	if n := len(readers) * 3; len(rep.Turns) != 2*n || len(rep.Medians) != n || len(rep.Ratios) != 3 {
		t.Fatalf("not everything was reported:\n%s", text)
	}
	for _, m := range rep.Medians {
		if m.MB <= 0 || m.Events <= 0 || m.Cores <= 0 {
			t.Errorf("nothing was measured: %+v", m)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "decode.prof")); err != nil {
		t.Error(err)
	}
}

func TestDecodeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := command(ctx, []string{"-decode"}, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestDecodeTable has a peer that is fast because it reads no fields, and rounds
// on a machine that is slow in one and fast in another.
func TestDecodeTable(t *testing.T) {
	c := &corpus{name: "small"}
	rep := decodeReport{origin: origin{
		Machine: machine{CPU: "CPU", Cores: 2, Go: "go1", Kernel: "Linux"}, Commit: "abc", Command: "go run . -decode",
	}}
	for round, speed := range []float64{1, 4, 10} {
		for i, rd := range readers {
			mb := float64(250*(i+1)) * speed
			rep.Turns = append(rep.Turns, turn{Corpus: c.name, Reader: rd.name, Round: 1 + round,
				rates: rates{MB: mb, Events: 1000 * mb, Allocs: 2, Bytes: 1000, Cores: 1}})
		}
	}
	rep.summarize([]*corpus{c})
	var got strings.Builder
	rep.writeTable(&got)
	const want = `
CPU, 2 cores, Linux, go1, commit abc
go run . -decode

| corpus | reader | MB/s | events/s | allocations/event | bytes/event | cores |
|---|---|---:|---:|---:|---:|---:|
| small | ours | 1,000 | 1,000,000 | 2.0 | 1,000 | 1.00 |
| small | go-sse | 2,000 | 2,000,000 | 2.0 | 1,000 | 1.00 |
| small | launchdarkly | 3,000 | 3,000,000 | 2.0 | 1,000 | 1.00 |
| small | r3labs | 4,000 | 4,000,000 | 2.0 | 1,000 | 1.00 |
| small | r3labs (split only) | 5,000 | 5,000,000 | 2.0 | 1,000 | 1.00 |

| corpus | best peer | ours/best peer, MB/s |
|---|---|---:|
| small | r3labs | 0.25 |
`
	if got.String() != want {
		t.Errorf("got %s\nwant %s", &got, want)
	}
}
