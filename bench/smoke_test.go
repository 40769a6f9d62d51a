package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSmoke runs every scenario with every server, small.
func TestSmoke(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			dir := t.TempDir()
			rep := smoke(t, dir, "-scenario", s.name)
			taken := 0
			for _, r := range rep.Results {
				taken++
				assert.NotEmpty(t, r.Server)
				if s.name == "slow" && !strings.HasPrefix(r.Server, "ours") {
					continue // the others may stand still, which it is there to show
				}
				if s.name == "slow" {
					assert.Positive(t, r.Figures["held_bytes"], "%s was not stuck with the client", r.Server)
				}
				if r.Skipped == "" {
					assert.Empty(t, r.Failure, r.Server)
					assert.Contains(t, r.Figures, s.columns[0].key, r.Server)
				}
				assert.True(t, r.Skipped != "" || r.clean(), "%s: %+v", r.Server, r.Tally)
			}
			assert.Equal(t, len(rep.servers(s)), taken)
			if s.name != "topics" { // which is compared with nothing
				assert.NotEmpty(t, rep.Summary)
			}
			if s.plot == nil {
				return
			}
			for _, format := range []string{".svg", ".png"} {
				info, err := os.Stat(filepath.Join(dir, s.name+format))
				require.NoError(t, err)
				assert.Positive(t, info.Size())
			}
		})
	}
}

// servers are the different ones in the results.
func (r *report) servers(s scenario) map[string]bool {
	names := make(map[string]bool)
	for _, one := range r.of(s.name, "") {
		names[one.Server] = true
	}
	return names
}

// smoke runs the command and returns what it wrote into the JSON file.
func smoke(t *testing.T, dir string, args ...string) *report {
	file := filepath.Join(dir, "results.json")
	args = append(args, "-servers", strings.Join(goServers, ","), "-pairs", "1", "-stall", "1s",
		"-conns", "20", "-messages", "500", "-slow-messages", "40", "-duration", "100ms",
		"-idle", "50", "-storm", "50", "-replay-clients", "5", "-replay-events", "100",
		"-slow-conns", "10", "-slow-duration", "200ms", "-slow-rate", "20", "-slow-pairs", "2",
		"-publish-readers", "100", "-publishes", "10", "-topics", "20",
		"-json", file, "-plots", dir, "-cpuprofile", dir)
	var stdout, stderr bytes.Buffer
	err := command(t.Context(), args, &stdout, &stderr)
	require.NoError(t, err, "%s%s", &stdout, &stderr)
	assert.Contains(t, stdout.String(), strings.Join(args, " "))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var rep report
	require.NoError(t, json.Unmarshal(text, &rep))
	return &rep
}

// goServers are those that need nothing installed.
var goServers = []string{"ours", "ours-nethttp", "bare", "go-sse", "r3labs", "launchdarkly", "alexandrevicenzi", "bolt", "nats"}

// TestSmokeNchan says whether nginx is there, and runs it if so.
func TestSmokeNchan(t *testing.T) {
	if err := nchanMissing(); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"burst", "paced", "replay"} {
		r := turn1(t, name, "nchan")
		assert.Empty(t, r.Failure, name)
		assert.True(t, r.clean(), "%s: %+v", name, r.Tally)
	}
}

// TestSmokeEngines runs those that are there, and all of them if CI=true.
func TestSmokeEngines(t *testing.T) {
	for _, name := range []string{"redis", "redis-always", "postgres"} {
		t.Run(name, func(t *testing.T) {
			if err := servers[name].missing(); err != nil && os.Getenv("CI") != "true" {
				t.Skip(err)
			}
			r := turn1(t, "engines", name)
			assert.Empty(t, r.Failure)
			assert.True(t, r.clean(), "%+v", r.Tally)
		})
	}
}

// turn1 is one turn of one server.
func turn1(t *testing.T, scenario, server string) *result {
	o, err := parseOptions([]string{"-scenario", scenario, "-servers", server, "-conns", "10", "-messages", "50",
		"-duration", "100ms", "-replay-clients", "5", "-replay-events", "30"}, new(bytes.Buffer))
	require.NoError(t, err)
	r, err := turnOf(t.Context(), o, o.scenarios[0], server, 1)
	require.NoError(t, err)
	return r
}

// TestMissingServerIsNamed: what is not there is in the report.
func TestMissingServerIsNamed(t *testing.T) {
	t.Setenv("PATH", "")
	chosen, missing, err := chooseServers("ours,nchan")
	require.NoError(t, err)
	assert.Equal(t, []string{"ours"}, chosen)
	rep := report{Missing: missing}
	var out bytes.Buffer
	rep.writeTable(&out)
	assert.Contains(t, out.String(), "nchan is left out: nginx is not installed")
}

// TestBrokenServerIsARow: a server that cannot even start costs its turn and
// not the run.
func TestBrokenServerIsARow(t *testing.T) {
	o, err := parseOptions([]string{"-scenario", "burst", "-servers", "ours"}, new(bytes.Buffer))
	require.NoError(t, err)
	r, err := turnOf(t.Context(), o, o.scenarios[0], "nobody", 1)
	require.NoError(t, err)
	assert.NotEmpty(t, r.Failure)
}
