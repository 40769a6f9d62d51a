// Command bench puts ssehub, a bare net/http loop and other servers of event
// streams under the same load and compares how fast they deliver, how long a
// message takes, and what connections cost them. It runs each server in a
// process of its own and needs Linux. With -decode it compares how fast
// libraries read event streams. README.md says what exactly is measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

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
	if opts.conformance {
		return compareConformance(ctx, stdout, stderr)
	}
	if t := opts.serve; t != nil {
		if err := raiseFileLimit(t.Conns); err != nil {
			return err
		}
		return serve(*t, os.Stdin, stdout)
	}
	if err := raiseFileLimit(opts.maxConns()); err != nil {
		return err
	}
	return compareServers(ctx, opts, commandLine(args), stdout, stderr)
}

// compareServers returns errUnclean, after the report, if a message of ours or
// of the bare loop was lost, duplicated, reordered or malformed. What happened to
// the others' is in the report.
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
	if opts.plotDir != "" {
		if err := rep.writePlots(opts.plotDir, stderr); err != nil {
			return err
		}
	}
	if !rep.clean() {
		return errUnclean
	}
	return nil
}
