package main

import (
	"errors"
	"io"

	"github.com/launchdarkly/eventsource"
	"github.com/ssehub-go/ssehub/sse"
	gosse "github.com/tmaxmax/go-sse"
)

// maxEvent is the size limit of an event for every reader that has one.
const maxEvent = 1 << 20

// reader reads an event stream to its end with one library.
type reader struct {
	name      string
	splitOnly bool // it yields each event's text whole, as data, and knows no fields
	read      func(io.Reader) (found, error)
}

// readers are all readers in the order in which they take turns.
var readers = []reader{
	{name: ours, read: readOurs},
	{name: "go-sse", read: readGoSSE},
	{name: "launchdarkly", read: readLaunchDarkly},
	{name: "r3labs", read: readR3labs},
	{name: "r3labs (split only)", read: splitR3labs, splitOnly: true},
}

const ours = "ours"

// found is what was read: where two readers agree on it, neither was faster by
// doing less. It counts the bytes of ids, types and data as each event has them.
type found struct {
	events           int
	ids, types, data int64
}

func (f *found) add(id, typ, data int) {
	f.events++
	f.ids += int64(id)
	f.types += int64(typ)
	f.data += int64(data)
}

func readOurs(r io.Reader) (f found, err error) {
	dec := sse.NewDecoder(r)
	dec.SetMaxEventSize(maxEvent)
	var m sse.Message
	for {
		if err := dec.Decode(&m); err != nil {
			return f, unlessEOF(err)
		}
		f.add(len(m.ID), len(m.Type), len(m.Data))
	}
}

func readGoSSE(r io.Reader) (f found, err error) {
	for e, err := range gosse.Read(r, &gosse.ReadConfig{MaxEventSize: maxEvent}) {
		if err != nil {
			return f, err
		}
		f.add(len(e.LastEventID), len(e.Type), len(e.Data))
	}
	return f, nil
}

// readLaunchDarkly reads to the end or an error, as the Decoder's goroutine
// ends only then.
func readLaunchDarkly(r io.Reader) (f found, err error) {
	dec := eventsource.NewDecoder(r)
	for {
		e, err := dec.Decode()
		if err != nil {
			return f, unlessEOF(err)
		}
		f.add(len(e.Id()), len(e.Event()), len(e.Data()))
	}
}

func unlessEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
