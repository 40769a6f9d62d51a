package ssehub_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(overAll{m})
}

// overAll runs all tests once, with streams that are handed to the handler, and
// those that had a stream once more over each further transport.
type overAll struct{ m *testing.M }

// over is the transport whose turn it is.
var over = "recorder"

func (o overAll) Run() (code int) {
	code = o.m.Run()
	if code != 0 || testing.Short() || flag.Lookup("test.bench").Value.String() != "" || flag.Lookup("test.fuzz").Value.String() != "" {
		return code
	}
	for _, name := range slices.Sorted(maps.Keys(transports)) {
		tests := withStreams()
		if name == over || len(tests) == 0 {
			continue
		}
		over = name
		_ = flag.Set("test.run", "^("+strings.Join(tests, "|")+")$")
		if code := o.m.Run(); code != 0 {
			fmt.Printf("over %s\n", name)
			return code
		}
	}
	return 0
}

var (
	streamsMu sync.Mutex
	streams   = make(map[string]bool) // tests that had one
)

// streamed notes that t has a stream.
func streamed(t testing.TB) {
	streamsMu.Lock()
	defer streamsMu.Unlock()
	name, _, _ := strings.Cut(t.Name(), "/")
	streams[name] = true
}

func withStreams() []string {
	streamsMu.Lock()
	defer streamsMu.Unlock()
	return slices.Sorted(maps.Keys(streams))
}
