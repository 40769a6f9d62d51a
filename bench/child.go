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
	"time"
)

// child is a server in a process of its own, so that its memory and CPU time
// are told apart from those of the load generator. It takes commands on its
// standard input, one a line, and answers each with a line of JSON. It ends
// when its input does, so it cannot outlive this process.
type child struct {
	listening
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *bufio.Reader
}

// answer is the envelope of what a server says.
type answer struct {
	Error string          `json:"error,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// published answers "burst" and "paced".
type published struct {
	Start int64         `json:"start_ns"` // on CLOCK_MONOTONIC, which all processes share
	Took  time.Duration `json:"took_ns"`
}

// prepared answers "prepare".
type prepared struct {
	ID string `json:"id"` // to resume from
}

// memory answers "memory", in bytes, after a garbage collection.
type memory struct {
	RSS   int64 `json:"rss"`
	Heap  int64 `json:"heap_inuse"`
	Stack int64 `json:"stack_inuse"`
}

// startServer runs this program again, as a server.
func startServer(ctx context.Context, t task) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, exe, "-serve", string(text))}
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
	if c.listening, err = receive[listening](c); err != nil {
		c.stop()
		return nil, err
	}
	if c.PIDs == nil {
		c.PIDs = []int{c.cmd.Process.Pid}
	}
	if c.Path == "" {
		c.Path = "/"
	}
	return c, nil
}

// commandText is one line to a server. All have the same form.
func commandText(name string, first, messages int, rate float64) string {
	return fmt.Sprintf("%s %d %d %g\n", name, first, messages, rate)
}

// call sends one command and waits for its answer.
func call[T any](c *child, name string, first, messages int, rate float64) (T, error) {
	if _, err := io.WriteString(c.stdin, commandText(name, first, messages, rate)); err != nil {
		var zero T
		return zero, err
	}
	return receive[T](c)
}

// hello has a hello published.
func (c *child) hello() error {
	_, err := call[any](c, "hello", 0, 0, 0)
	return err
}

// memory asks for the server's memory.
func (c *child) memory() (memory, error) {
	return call[memory](c, "memory", 0, 0, 0)
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
	switch a.Error {
	case "":
	case errNoReplay.Error():
		return value, errNoReplay
	default:
		return value, errors.New(a.Error)
	}
	return value, json.Unmarshal(a.Value, &value)
}

// kill does not let it end by itself. stop waits for it all the same.
func (c *child) kill() { _ = c.cmd.Process.Kill() }

// stopping is how long a server may take to end.
const stopping = 2 * time.Second

// stop ends the server and waits for its process. One that is stuck is killed.
func (c *child) stop() {
	c.stdin.Close()
	timer := time.AfterFunc(stopping, c.kill)
	defer timer.Stop()
	_ = c.cmd.Wait() // how it ends says nothing about what was measured
}
