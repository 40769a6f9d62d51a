// Ssehub is an event hub as a program: a server, and what one needs around it in a
// shell.
//
//	ssehub serve --anonymous 'news.>' --publish-token "$TOKEN"
//	ssehub cat http://127.0.0.1:8080 --topic news.today
//	ssehub pub http://127.0.0.1:8080 --topic news.today --token "$TOKEN" 'hello'
//	ssehub bench http://127.0.0.1:8080 --token "$TOKEN"
//
// "ssehub COMMAND --help" tells each in full, and docs/server.md what serve speaks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Serve      serveCmd      `cmd:"" help:"Serve a hub over HTTP."`
	Cat        catCmd        `cmd:"" help:"Print the events of a stream."`
	Pub        pubCmd        `cmd:"" help:"Publish messages."`
	Bench      benchCmd      `cmd:"" help:"Measure a server of your own."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

// stdio is what a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the program where it is
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run does what the command line says and returns the exit code.
func run(ctx context.Context, args []string, std stdio) int {
	parser, err := newParser(std)
	if err != nil {
		panic(err) // the structs are wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	cmd, err := parser.Parse(args)
	if err == nil {
		cmd.BindTo(ctx, (*context.Context)(nil))
		err = cmd.Run(std, parser.Model)
	}
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
	case ctx.Err() != nil:
		e = &exitError{code: exitInterrupted}
	default:
		e = &exitError{exitFailed, err}
	}
	if e.err != nil {
		fmt.Fprintln(std.err, "ssehub:", e.err)
	}
	return e.code
}

func newParser(std stdio) (*kong.Kong, error) {
	return kong.New(new(cli),
		kong.Name("ssehub"),
		kong.Description("An event hub: publish once, and every browser and program that listens gets it over Server-Sent Events."),
		kong.Vars{"version": version()},
		kong.Writers(std.out, std.err),
		kong.Configuration(loadConfig),
		kong.PostBuild(nameServeEnv),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}),
	)
}
