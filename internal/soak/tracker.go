//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

// tracker holds what one client gets, over all its connections, against the
// promises: the numbers of each sequence count up by one, positions rise, and what
// is missing was told.
type tracker struct {
	lastID string
	at     uint64              // the position of the newest event
	last   map[string]numbered // by sequence
	told   []toldGap

	events, gaps int
}

// numbered is an event's number in its sequence, and its position.
type numbered struct {
	n   int
	seq uint64
}

// toldGap is of events behind from, up to to.
type toldGap struct {
	topic    string
	from, to uint64
}

func newTracker() *tracker {
	return &tracker{last: make(map[string]numbered)}
}

// take returns an error if m breaks a promise.
func (t *tracker) take(m sse.Message) error {
	before := t.lastID
	t.lastID = m.ID
	switch m.Type {
	case sse.TypeHello:
		return t.takeHello(m, before)
	case sse.TypeGap:
		return t.takeGap(m)
	}
	var sequence string
	var n int
	if _, err := fmt.Sscanf(string(m.Data), "%s %d", &sequence, &n); err != nil {
		return fmt.Errorf("event %s is broken: %.80q", m.ID, m.Data)
	}
	pos, err := ssehub.ParsePosition(m.ID)
	if err != nil {
		return err
	}
	if pos.Seq <= t.at {
		return fmt.Errorf("event %s comes behind %d", m.ID, t.at)
	}
	t.at = pos.Seq
	t.events++
	last, seen := t.last[sequence]
	t.last[sequence] = numbered{n, pos.Seq}
	if !seen {
		return nil
	}
	if n <= last.n {
		return fmt.Errorf("%s: %d comes behind %d", sequence, n, last.n)
	}
	for missing := last.n + 1; missing < n; missing++ {
		if topic := topicOf(sequence, missing); !t.wasTold(topic, last.seq, pos.Seq) {
			return fmt.Errorf("%s: %d is missing between %d and %d (%d to %d), untold; told were %v",
				topic, missing, last.n, n, last.seq, pos.Seq, t.told)
		}
	}
	return nil
}

func (t *tracker) takeHello(m sse.Message, cameWith string) error {
	var hello sse.Hello
	if err := json.Unmarshal(m.Data, &hello); err != nil {
		return err
	}
	switch {
	case hello.Verdict == sse.VerdictFresh && cameWith == "":
	case hello.Verdict == sse.VerdictResumed && cameWith != "":
	case hello.Verdict == sse.VerdictGap && cameWith != "":
	default:
		return fmt.Errorf("came with %q and got verdict %s", cameWith, hello.Verdict)
	}
	return nil
}

func (t *tracker) takeGap(m sse.Message) error {
	var gap sse.Gap
	if err := json.Unmarshal(m.Data, &gap); err != nil {
		return err
	}
	if gap.Reason != sse.ReasonWindow && gap.Reason != sse.ReasonOverflow {
		return fmt.Errorf("a gap because of %s", gap.Reason)
	}
	from, err := ssehub.ParsePosition(gap.From)
	if err != nil {
		return err
	}
	to, err := ssehub.ParsePosition(gap.To)
	if err != nil {
		return err
	}
	t.gaps++
	t.told = append(t.told, toldGap{gap.Topic, from.Seq, to.Seq})
	if len(t.told) > 200 {
		t.told = append(t.told[:0], t.told[100:]...)
	}
	return nil
}

// wasTold reports whether some gap of topic is between two positions.
func (t *tracker) wasTold(topic string, after, before uint64) bool {
	for _, g := range t.told {
		of := g.topic == "" || g.topic == topic || strings.ContainsAny(g.topic, "*>") && ssehub.MatchTopic(g.topic, topic)
		if of && g.from < before && g.to > after {
			return true
		}
	}
	return false
}
