package sse

import "fmt"

// Types of the events that a hub adds to its streams. An application cannot
// publish them.
const (
	TypeHello = "ssehub.hello"
	TypeGap   = "ssehub.gap"
	TypeMark  = "ssehub.mark"
	// TypeRevoked is the last event of a stream whose permission was withdrawn:
	// who comes back with its id, IDRevoked, gets status 204.
	TypeRevoked = "ssehub.revoked"
)

// IDRevoked is the id of the event of type [TypeRevoked]. It is no position.
const IDRevoked = TypeRevoked

const reserved = "ssehub." // begins the types of all a hub's own events

// Hello is the data, as JSON, of the first event of a hub's stream: how the
// stream goes on from where the reader was.
type Hello struct {
	Conn        string `json:"conn"`    // names this connection; not a secret, not a capability
	Epoch       string `json:"epoch"`   // of the ids that follow: what stands before their last hyphen
	Resumed     bool   `json:"resumed"` // nothing is missing since the reader's last event id
	Verdict     string `json:"verdict"` // one of the Verdict constants
	HeartbeatMs int64  `json:"heartbeatMs,omitempty"`
}

// Verdicts of a [Hello]; all but the first two are followed by a [Gap].
const (
	VerdictFresh   = "fresh"   // no id was given: the stream starts now
	VerdictResumed = "resumed" // the stream goes on right behind the id
	VerdictGap     = "gap"     // events behind the id are no longer kept
	VerdictEpoch   = "epoch"   // the id is of another life of the log, as after a restart
	VerdictInvalid = "invalid" // the id is no position
	VerdictAhead   = "ahead"   // the id is above all that was published
)

// Gap is the data, as JSON, of the event that tells a reader of a loss. With
// the reasons window and overflow it is of the events of Topic behind From, up
// to and including To. With the others nobody knows how much it is: the reader
// should fetch its state anew. What follows in the stream is complete again.
type Gap struct {
	Reason string `json:"reason"` // one of the Reason constants
	From   string `json:"from"`   // the reader's position before the loss, as far as it is known
	To     string `json:"to"`     // the last position that may be lost
	Topic  string `json:"topic"`  // empty: any topic of the stream
}

// GapError is a [Gap] where an error tells of it.
type GapError struct{ Gap }

func (e *GapError) Error() string {
	return fmt.Sprintf("sse: events of topic %q are missing behind %q, up to %q: %s", e.Topic, e.From, e.To, e.Reason)
}

// Mark is the data, as JSON, of an event that brings nothing but its id: a
// place that the reader may resume from.
type Mark struct {
	Reason string `json:"reason"`
}

// ReasonState is that of the [Mark] behind the newest values of all keys, which
// a new reader gets without ids. What follows changes them.
const ReasonState = "state"

// Reasons of a [Gap].
const (
	ReasonWindow   = "window"   // resumed too late: the history no longer reaches back to From
	ReasonOverflow = "overflow" // read too slowly: the history moved past the reader
	ReasonSize     = "size"     // found by the client itself: an event above its size limit
	ReasonEpoch    = VerdictEpoch
	ReasonInvalid  = VerdictInvalid
	ReasonAhead    = VerdictAhead
)
