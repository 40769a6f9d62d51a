package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// origin says where a report's figures come from and how to repeat them.
type origin struct {
	Machine machine   `json:"machine"`
	Commit  string    `json:"commit"`
	Command string    `json:"command"`
	Started time.Time `json:"started"`
}

func newOrigin() origin {
	return origin{Machine: thisMachine(), Commit: commit(), Started: time.Now().UTC().Truncate(time.Second)}
}

func (o *origin) writeOrigin(w io.Writer) {
	m := o.Machine
	fmt.Fprintf(w, "\n%s, %d cores, %s, %s, commit %s\n%s\n", m.CPU, m.Cores, m.Kernel, m.Go, o.Commit, o.Command)
}

// writeJSON writes a report to file, unless that is empty.
func writeJSON(file string, report any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
