//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleEnv makes a process of this program a child, with the role that it names.
const roleEnv = "SSEHUB_SOAK_ROLE"

var roles = map[string]func(in *bufio.Scanner, out *json.Encoder){
	"churn":     serveChurn,
	"shutdowns": endHubs,
}

// playRole reports whether this process is a child, whose role it has played.
func playRole() bool {
	role := roles[os.Getenv(roleEnv)]
	if role == nil {
		return false
	}
	role(bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout))
	return true
}

// child is a process that is told lines and answers in JSON, one value a line. It
// ends when its input does.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func startChild(role string, env ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	return c, c.cmd.Start()
}

func (c *child) tell(format string, args ...any) error {
	_, err := fmt.Fprintf(c.in, format+"\n", args...)
	return err
}

// hear reads the next answer into v.
func (c *child) hear(v any) error {
	return c.out.Decode(v)
}

// end closes the input, and waits for the process.
func (c *child) end() error {
	_ = c.in.Close()
	return c.cmd.Wait()
}

// kill ends the process wherever it is.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}
