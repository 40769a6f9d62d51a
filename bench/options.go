package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// options is the command line.
type options struct {
	quick     bool
	servers   []string
	missing   map[string]string // servers that are not there
	scenarios []scenario
	pairs     int
	stall     time.Duration

	conns        int // burst and paced
	messages     int
	slowMessages int
	size         int
	rate         float64
	duration     time.Duration

	idle          int
	storm         int
	replayClients int
	replayEvents  int

	slowConns    int
	slowRate     float64
	slowSize     int
	slowFill     int
	slowDuration time.Duration
	slowPairs    int

	publishReaders int
	publishes      int
	topics         int
	topicReaders   int

	decode bool
	// conformance holds servers against ssetest.Checks.
	conformance bool
	rounds      int
	turn        time.Duration

	jsonFile   string
	plotDir    string
	profileDir string
	serve      *task // hidden: this process is a server
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var servers, scenarios, serve string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&o.quick, "quick", false, "less of everything that is not given, for two minutes")
	f.StringVar(&scenarios, "scenario", "", "comma-separated `names`; all by default: burst,paced,idle,connect,replay,slow,publish,topics,engines")
	f.StringVar(&servers, "servers", "", "comma-separated `names`; by default all that are there: ours,ours-nethttp,bare,go-sse,r3labs,launchdarkly,alexandrevicenzi,nchan,bolt,nats,redis,redis-always,postgres")
	f.IntVar(&o.pairs, "pairs", 5, "how often each server is measured, in turn")
	f.DurationVar(&o.stall, "stall", 5*time.Second, "how long all connections may be silent before what is missing counts as lost")
	f.IntVar(&o.conns, "conns", 1000, "burst, paced, engines: connections (of each hub)")
	f.IntVar(&o.messages, "messages", 10_000, "burst: messages for ours; engines: messages published at once")
	f.IntVar(&o.slowMessages, "slow-messages", 0, "burst: messages for all but ours; replay: at most so many from the peers; 0 means as many as -messages")
	f.IntVar(&o.size, "size", 64, "bytes of one message's data, but for the slow scenario")
	f.Float64Var(&o.rate, "rate", 50, "paced, engines: messages a second")
	f.DurationVar(&o.duration, "duration", 5*time.Second, "paced, engines: for how long")
	f.IntVar(&o.idle, "idle", 10_000, "idle: connections")
	f.IntVar(&o.storm, "storm", 5000, "connect: connections")
	f.IntVar(&o.replayClients, "replay-clients", 1000, "replay: clients")
	f.IntVar(&o.replayEvents, "replay-events", 10_000, "replay: events for each")
	f.IntVar(&o.slowConns, "slow-conns", 10_000, "slow: connections that read")
	f.Float64Var(&o.slowRate, "slow-rate", 5, "slow: messages a second")
	f.IntVar(&o.slowSize, "slow-size", 1024, "slow: bytes of one message's data")
	f.IntVar(&o.slowFill, "slow-fill", 180, "slow: messages before each turn, to fill the buffers of the client that never reads")
	f.DurationVar(&o.slowDuration, "slow-duration", 2*time.Second, "slow: for how long in each turn")
	f.IntVar(&o.slowPairs, "slow-pairs", 10, "slow: pairs of turns for ours; a fifth for the others")
	f.IntVar(&o.publishReaders, "publish-readers", 100_000, "publish: at most so many readers in process")
	f.IntVar(&o.publishes, "publishes", 100, "publish: calls that are timed, with each number of readers")
	f.IntVar(&o.topics, "topics", 100_000, "topics: so many")
	f.IntVar(&o.topicReaders, "topic-readers", 10, "topics: readers in process of each")
	f.BoolVar(&o.decode, "decode", false, "compare how fast libraries read event streams; of the other flags -quick, -rounds, -turn, -json and -cpuprofile count")
	f.BoolVar(&o.conformance, "conformance", false, "hold servers against what ssetest checks; no other flag counts")
	f.IntVar(&o.rounds, "rounds", 7, "decode: how often each library reads each stream, in turn")
	f.DurationVar(&o.turn, "turn", 300*time.Millisecond, "decode: how long it reads at least")
	f.StringVar(&o.jsonFile, "json", "", "write the results to this `file`")
	f.StringVar(&o.plotDir, "plots", "", "write plots, as SVG and PNG, into this `directory`")
	f.StringVar(&o.profileDir, "cpuprofile", "", "write CPU profiles of the servers and the load generator, or of the libraries, into this `directory`")
	f.StringVar(&serve, "serve", "", "for the command's own use")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if serve != "" {
		return o, json.Unmarshal([]byte(serve), &o.serve)
	}
	if o.quick {
		if err := shrink(f); err != nil {
			return o, err
		}
	}
	if o.slowMessages == 0 {
		o.slowMessages = o.messages
	}
	var err error
	if o.scenarios, err = chooseScenarios(scenarios); err != nil {
		return o, err
	}
	if o.servers, o.missing, err = chooseServers(servers); err != nil {
		return o, err
	}
	return o, o.check()
}

// quickly are the flags of -quick.
var quickly = map[string]string{
	"pairs": "3", "stall": "1s", "rounds": "3",
	"conns": "500", "messages": "10000", "slow-messages": "150", "duration": "500ms",
	"idle": "1000", "storm": "1000",
	"replay-clients": "100", "replay-events": "5000",
	"slow-conns": "500", "slow-duration": "500ms", "slow-rate": "20", "slow-pairs": "3",
	"publish-readers": "10000", "publishes": "50", "topics": "10000",
}

// shrink makes a run short where the command line does not say otherwise.
func shrink(f *flag.FlagSet) (err error) {
	given := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range quickly {
		if !given[name] {
			err = errors.Join(err, f.Set(name, value))
		}
	}
	return err
}

// timedSize is the least that a message with a time in it has.
const timedSize = seqDigits + stampDigits

// pacedSize makes room for the time.
func (o options) pacedSize() int { return max(o.size, timedSize) }

// maxConns is how many connections the largest scenario has.
func (o options) maxConns() int {
	return max(2*o.conns, o.idle, o.storm, o.replayClients, o.slowConns+1)
}

func (o options) check() error {
	switch {
	case min(o.conns, o.idle, o.storm, o.replayClients, o.slowConns) < 1:
		return errors.New("there must be at least one connection")
	case min(o.messages, o.slowMessages, o.replayEvents) < 1 || max(o.messages, o.slowMessages, o.replayEvents) > maxMessages:
		return fmt.Errorf("messages must be between 1 and %d", maxMessages)
	case o.size < seqDigits || o.size > maxSize:
		return fmt.Errorf("-size must be between %d, for the sequence number, and %d", seqDigits, maxSize)
	case o.slowSize < timedSize || o.slowSize > maxSize:
		return fmt.Errorf("-slow-size must be between %d, for the number and the time, and %d", timedSize, maxSize)
	case o.rate <= 0 || o.slowRate <= 0 || o.duration <= 0 || o.slowDuration <= 0 || o.stall <= 0:
		return errors.New("rates and durations must be positive")
	case o.publishReaders < 10 || min(o.publishes, o.topics, o.topicReaders) < 1:
		return errors.New("-publish-readers must be at least 10, and -publishes, -topics and -topic-readers at least 1")
	case min(o.pairs, o.rounds, o.slowPairs, o.slowFill) < 1:
		return errors.New("-pairs, -rounds, -slow-pairs and -slow-fill must be at least 1")
	}
	return nil
}
