// Command bench puts ssehub and a bare net/http loop under the same load and
// compares how fast they deliver a burst and what an idle connection costs
// them in memory. It runs each server in a process of its own and needs Linux.
// With -decode it compares how fast ssehub and other libraries read event
// streams. README.md says what exactly is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// options is the command line.
type options struct {
	quick        bool
	conns        int
	messages     int
	bareMessages int
	size         int
	pairs        int
	idle         int
	decode       bool
	rounds       int
	turn         time.Duration
	jsonFile     string
	profileDir   string
	serve        string // hidden: this process is a server
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errUnclean = errors.New("not every message arrived exactly once and in order")

// command is the program without its process.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if opts.decode {
		return compareReaders(ctx, opts, commandLine(args), stdout, stderr)
	}
	if err := raiseFileLimit(max(opts.conns, opts.idle)); err != nil {
		return err
	}
	if opts.serve != "" {
		return serve(opts, os.Stdin, stdout)
	}
	return compareServers(ctx, opts, commandLine(args), stdout, stderr)
}

// compareServers returns errUnclean, after the report, if a message was lost,
// duplicated, reordered or malformed.
func compareServers(ctx context.Context, opts options, commandLine string, stdout, stderr io.Writer) error {
	rep, err := run(ctx, opts, stderr)
	if err != nil {
		return err
	}
	rep.Command = commandLine
	rep.writeTable(stdout)
	if err := writeJSON(opts.jsonFile, rep); err != nil {
		return err
	}
	if !rep.clean() {
		return errUnclean
	}
	return nil
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&o.quick, "quick", false, "three pairs or rounds, fewer messages for the bare loop and fewer idle connections, where not given")
	f.IntVar(&o.conns, "conns", 1000, "connections in a burst; 0 leaves the burst out")
	f.IntVar(&o.messages, "messages", 10_000, "messages in a burst")
	f.IntVar(&o.bareMessages, "bare-messages", 0, "messages in a burst of the bare loop; 0 means as many as -messages")
	f.IntVar(&o.size, "size", 64, "bytes of one message's data")
	f.IntVar(&o.pairs, "pairs", 5, "how often each server is measured, in turn")
	f.IntVar(&o.idle, "idle", 5000, "connections when memory is measured; 0 leaves that out")
	f.BoolVar(&o.decode, "decode", false, "compare how fast libraries read event streams; of the other flags -quick, -rounds, -turn, -json and -cpuprofile count")
	f.IntVar(&o.rounds, "rounds", 7, "how often each library reads each stream, in turn")
	f.DurationVar(&o.turn, "turn", 300*time.Millisecond, "how long it reads at least")
	f.StringVar(&o.jsonFile, "json", "", "write the results to this `file`")
	f.StringVar(&o.profileDir, "cpuprofile", "", "write CPU profiles of the servers and the load generator, or of the libraries, into this `directory`")
	f.StringVar(&o.serve, "serve", "", "for the command's own use")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		given := make(map[string]bool)
		f.Visit(func(f *flag.Flag) { given[f.Name] = true })
		o.shrink(given)
	}
	if o.bareMessages == 0 {
		o.bareMessages = o.messages
	}
	return o, o.check()
}

// shrink makes a run short where the command line does not say otherwise. The
// bare loop delivers so slowly that it would need a minute for each burst.
func (o *options) shrink(given map[string]bool) {
	if !given["pairs"] {
		o.pairs = 3
	}
	if !given["rounds"] {
		o.rounds = 3
	}
	if !given["idle"] {
		o.idle = 2000
	}
	if !given["bare-messages"] {
		o.bareMessages = max(1, o.messages/10)
	}
}

func (o *options) check() error {
	switch {
	case o.conns < 0 || o.idle < 0:
		return errors.New("-conns and -idle cannot be negative")
	case o.messages < 1 || o.messages > maxMessages || o.bareMessages < 1 || o.bareMessages > maxMessages:
		return fmt.Errorf("messages must be between 1 and %d", maxMessages)
	case o.size < seqDigits || o.size > maxSize:
		return fmt.Errorf("-size must be between %d, for the sequence number, and %d", seqDigits, maxSize)
	case o.pairs < 1 || o.rounds < 1:
		return errors.New("-pairs and -rounds must be at least 1")
	}
	return nil
}
