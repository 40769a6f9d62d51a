package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// child is a server in a process of its own, so that its memory and CPU time
// are told apart from those of the load generator. It takes commands on its
// standard input, one word a line, and answers each with a line of JSON. It
// ends when its input does, so it cannot outlive this process.
type child struct {
	addr    string
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *bufio.Reader
}

// answer is the envelope of what a server says.
type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// listening is a server's first word.
type listening struct {
	Addr string `json:"addr"`
}

// published answers "burst".
type published struct {
	Start int64         `json:"start_ns"` // on CLOCK_MONOTONIC, which all processes share
	Took  time.Duration `json:"took_ns"`
}

// usage answers "usage".
type usage struct {
	CPU time.Duration `json:"cpu_ns"`
}

// memory answers "memory", in bytes, after a garbage collection.
type memory struct {
	RSS   int64 `json:"rss"`
	Heap  int64 `json:"heap_inuse"`
	Stack int64 `json:"stack_inuse"`
}

// startServer runs this program again, as a server.
func startServer(ctx context.Context, opts options, name string, messages int) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"-serve", name,
		"-conns", strconv.Itoa(opts.conns), "-idle", strconv.Itoa(opts.idle), // for the limit of open files
		"-messages", strconv.Itoa(messages), "-size", strconv.Itoa(opts.size)}
	if opts.profileDir != "" {
		args = append(args, "-cpuprofile", filepath.Clean(opts.profileDir))
	}
	c := &child{cmd: exec.CommandContext(ctx, exe, args...)}
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.answers = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	hello, err := receive[listening](c)
	if err != nil {
		c.stop()
		return nil, err
	}
	c.addr = hello.Addr
	return c, nil
}

// call sends one command and waits for its answer.
func call[T any](c *child, command string) (T, error) {
	if _, err := io.WriteString(c.stdin, command+"\n"); err != nil {
		var zero T
		return zero, err
	}
	return receive[T](c)
}

func receive[T any](c *child) (value T, err error) {
	line, err := c.answers.ReadBytes('\n')
	if err != nil {
		return value, fmt.Errorf("server is gone: %w", err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return value, err
	}
	if a.Error != "" {
		return value, errors.New(a.Error)
	}
	return value, json.Unmarshal(a.Value, &value)
}

// stop ends the server and waits for its process.
func (c *child) stop() {
	c.stdin.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	_ = c.cmd.Wait() // how it ends says nothing about what was measured
}
