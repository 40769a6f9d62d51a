package main

import (
	"fmt"
	"slices"
	"strings"
)

// server is a kind of server under test.
type server struct {
	start func(t task) (peer, error)
	// missing says why it cannot run here; nil means it always can.
	missing func() error
	// tested marks the servers that must be clean, or the run fails.
	tested bool
	// fast marks those that take bursts of full length.
	fast bool
	// broker marks hubs with a Broker, which take part in the scenario of engines
	// alone.
	broker bool
	// engine is the server that keeps the log of two such hubs.
	engine string
}

// servers are all by name.
var servers = map[string]server{
	"ours":             {start: newOurs, tested: true, fast: true},
	"ours-nethttp":     {start: newOursOverNetHTTP, tested: true, fast: true},
	"bare":             {start: newBare, tested: true},
	"bare-replay":      {start: newBareReplay, tested: true, fast: true}, // stands in for bare where streams resume
	"go-sse":           {start: newGoSSE},
	"r3labs":           {start: newR3labs},
	"launchdarkly":     {start: newLaunchDarkly},
	"alexandrevicenzi": {start: newAlexandreVicenzi},
	"nchan":            {start: newNchan, missing: nchanMissing},

	"bolt":         {start: newNode(openBolt), tested: true, broker: true},
	"nats":         {start: newNode(openNATS), tested: true, broker: true, engine: "nats-server"},
	"redis":        {start: newNode(openRedis(false)), missing: redisMissing, tested: true, broker: true, engine: "redis-server"},
	"redis-always": {start: newNode(openRedis(true)), missing: redisMissing, tested: true, broker: true, engine: "redis-server-always"},
	"postgres":     {start: newNode(openPostgres), missing: postgresMissing, tested: true, broker: true, engine: "postgres-server"},

	"nats-server":         {start: newNATSServer},
	"redis-server":        {start: newRedisServer("everysec")},
	"redis-server-always": {start: newRedisServer("always")},
	"postgres-server":     {start: newPostgresServer},
}

// serverNames are those that can be chosen, in the order of tables.
var serverNames = []string{"ours", "ours-nethttp", "bare", "go-sse", "r3labs", "launchdarkly", "alexandrevicenzi", "nchan",
	"bolt", "nats", "redis", "redis-always", "postgres"}

// chooseServers reads a list of names. Empty means all that are there; why the
// others are not is in missing.
func chooseServers(list string) (chosen []string, missing map[string]string, err error) {
	names := serverNames
	if list != "" {
		names = strings.Split(list, ",")
	}
	missing = make(map[string]string)
	for _, name := range names {
		if !slices.Contains(serverNames, name) {
			return nil, nil, fmt.Errorf("no server is called %q; there are %s", name, strings.Join(serverNames, ", "))
		}
		if why := servers[name].missing; why != nil {
			if err := why(); err != nil {
				missing[name] = err.Error()
				continue
			}
		}
		chosen = append(chosen, name)
	}
	return chosen, missing, nil
}
