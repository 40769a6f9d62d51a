package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
)

// conformers are the servers that are held against ssetest.Checks: those whose
// streams can resume with it, and, if they cannot, without.
var conformers = []struct {
	name    string
	resumes bool
}{{"ours", true}, {"go-sse", true}, {"r3labs", true}, {"launchdarkly", true}, {"alexandrevicenzi", false}}

// conformHeartbeat is ours; the others have none.
const conformHeartbeat = time.Second

const (
	checkTime   = time.Minute
	conformKept = 5000 // messages that servers must hold
)

// compareConformance prints what each server passes. Each check has a server, and a
// process, of its own: some panic where nobody can recover.
func compareConformance(ctx context.Context, out, progress io.Writer) error {
	if what := os.Getenv(checkEnv); what != "" {
		checkOne(ctx, what, out)
		return nil
	}
	t := table{head: []string{"check"}}
	for _, s := range conformers {
		t.head = append(t.head, s.name)
	}
	var failures []string
	for _, check := range ssetest.Checks() {
		row := []string{check.Name}
		for _, s := range conformers {
			err := runCheck(ctx, check.Name, s.name)
			switch {
			case err == nil:
				row = append(row, "yes")
			case errors.Is(err, ssetest.ErrNotOffered):
				row = append(row, "-")
			default:
				row = append(row, "no")
				failures = append(failures, fmt.Sprintf("%s, %s: %v", s.name, check.Name, err))
			}
			fmt.Fprintf(progress, "%s, %s: %s\n", s.name, check.Name, row[len(row)-1])
		}
		t.rows = append(t.rows, row)
	}
	t.write(out)
	fmt.Fprintln(out)
	for _, failure := range failures {
		fmt.Fprintln(out, "-", failure)
	}
	return ctx.Err()
}

// checkEnv has "server/check" for a process that is to do no more than that.
const checkEnv = "SSEHUB_BENCH_CHECK"

// runCheck runs a check in a process of its own.
func runCheck(ctx context.Context, check, name string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-conformance")
	cmd.Env = append(os.Environ(), checkEnv+"="+name+"/"+check)
	out, err := cmd.CombinedOutput()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	switch {
	case ctx.Err() != nil:
		return errors.New("hangs")
	case err != nil: // it has panicked
		return errors.New(first)
	case first == "":
		return nil
	case first == ssetest.ErrNotOffered.Error():
		return ssetest.ErrNotOffered
	}
	return errors.New(first)
}

// checkOne is that process. It prints what is wrong, in one line.
func checkOne(ctx context.Context, what string, out io.Writer) {
	server, name, _ := strings.Cut(what, "/")
	for _, check := range ssetest.Checks() {
		for _, s := range conformers {
			if check.Name != name || s.name != server {
				continue
			}
			err := check.Run(ctx, func() (*ssetest.Streaming, error) {
				streaming, err := newStreaming(s.name, s.resumes)
				if err == nil && check.Name != "ends" {
					streaming.Close = nil // what is wrong with it is for that check
				}
				return streaming, err
			})
			if err != nil {
				fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", "; "))
			}
		}
	}
}

func newStreaming(name string, resumes bool) (*ssetest.Streaming, error) {
	if name == "ours" {
		hub := ssehub.New(&ssehub.Options{Heartbeat: conformHeartbeat})
		return &ssetest.Streaming{
			Handler: hub.Handler(topic),
			Publish: func(m sse.Message) error {
				_, err := hub.Publish(context.Background(), topic, m)
				return err
			},
			Close:     func() { _ = hub.Close() },
			Heartbeat: conformHeartbeat,
			Resumes:   true,
		}, nil
	}
	p, err := servers[name].start(task{Server: name, Messages: conformKept, Replay: resumes})
	if err != nil {
		return nil, err
	}
	s := &ssetest.Streaming{Handler: p.handler, Close: p.end, Resumes: resumes}
	if len(p.path) > 1 {
		s.Query = p.path[1:]
	}
	s.Publish = func(m sse.Message) (err error) {
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("%v", v) // go-sse's way to refuse a type
			}
		}()
		if m.Type == "" {
			return p.publish(m.Data)
		}
		_, err = p.signal(m.Type)
		return err
	}
	return s, nil
}
