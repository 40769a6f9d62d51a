package ssehub

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/ssehub-go/ssehub/sse"
)

// goOn sets the cursor, and in control what the reader must be told first. All
// events up to where it joined can be seen. An error says that this cannot be known
// for now.
func (r *reader) goOn(ctx context.Context, lastEventID string) error {
	pos, err := ParsePosition(lastEventID)
	verdict := sse.VerdictInvalid
	switch {
	case err != nil:
	case r.hub.isDoubtful(pos):
		verdict = sse.VerdictAhead
	default:
		if verdict, err = r.hub.judge(ctx, pos, r.epoch, r.joined); err != nil {
			return err
		}
	}
	return r.goOnFrom(ctx, lastEventID, pos, verdict)
}

// goOnFrom is goOn where the verdict is known, but for what only the broker may have.
func (r *reader) goOnFrom(ctx context.Context, lastEventID string, pos Position, verdict string) error {
	head := r.joined
	if lastEventID == "" {
		r.cursor = head
		id := r.position(head)
		if r.fresh = r.awaitSnapshots(r.allSeats()); r.fresh || r.lookUpState(head) {
			id = Position{} // that comes behind the state
		}
		r.hello(sse.VerdictFresh, id)
		return nil
	}
	if verdict == sse.VerdictResumed {
		r.cursor = pos.Seq
	}
	forgotten := r.lookUpPast()
	views, lost, floor := r.look(head)
	lost = append(lost, forgotten...)
	if verdict == sse.VerdictResumed && len(lost) > 0 {
		recalled, err := r.recallFrom(ctx, pos)
		if err != nil && r.wake == nil { // else a Subscription that runs, which does not come back
			return err
		}
		if !recalled {
			verdict = sse.VerdictGap
		}
	}
	// The id of the hello is the one the client came with. Had it a new one, a
	// client that is cut before the gap would never be told.
	r.hello(verdict, pos)
	switch verdict {
	case sse.VerdictResumed:
		return nil
	case sse.VerdictGap:
		r.control = r.appendGaps(r.control, sse.ReasonWindow, lost, floor)
	default:
		r.control = r.appendGapOfAll(r.control, verdict, pos, lost, floor)
		lost = r.allSeats()
	}
	r.goOnAt(lost, floor, views)
	return nil
}

func (r *reader) allSeats() []*seat {
	seats := make([]*seat, len(r.seats))
	for i := range r.seats {
		seats[i] = &r.seats[i]
	}
	return seats
}

// appendGapOfAll tells, for all topics in one, a reader of whom nothing is
// known. It goes on with the oldest event that is kept.
func (r *reader) appendGapOfAll(b []byte, reason string, from Position, lost []*seat, floor uint64) []byte {
	var to uint64
	for _, s := range lost {
		to = max(to, s.told)
	}
	id := r.position(floor)
	if haveSnapshot(r.allSeats()) {
		id = Position{} // that comes behind them
	}
	gap := sse.Gap{Reason: reason, From: from.String(), To: r.position(to).String()}
	return r.appendGap(b, nil, gap, id)
}

// hello puts the first event of a stream into control; id is the place that
// the client may resume from.
func (r *reader) hello(verdict string, id Position) {
	r.origin = id
	if r.verdict == "" { // it has not begun: later others look at these
		r.verdict = verdict
		if r.greet {
			r.id = uuid.NewString() // also without a hello, for Revoke and Trace
		}
	}
	if !r.greet {
		return
	}
	if r.hub.opts.NoHello {
		return
	}
	r.control = appendControl(r.control, sse.TypeHello, id, sse.Hello{
		Conn:        r.id,
		Epoch:       r.epoch,
		Resumed:     verdict == sse.VerdictResumed,
		Verdict:     verdict,
		HeartbeatMs: max(0, r.hub.opts.Heartbeat.Milliseconds()),
	})
}

func (r *reader) position(seq uint64) Position {
	return Position{Epoch: r.epoch, Seq: seq}
}

// appendGaps tells of a loss in each of the lost topics. Only the last gap has
// an id, as a client that is cut between them must hear of them all again.
func (r *reader) appendGaps(b []byte, reason string, lost []*seat, floor uint64) []byte {
	for i, s := range lost {
		var id Position
		if i == len(lost)-1 && !haveSnapshot(lost) { // else that comes behind them
			id = r.position(floor)
		}
		b = r.appendGap(b, s.topic, sse.Gap{
			Reason: reason,
			From:   r.position(r.cursor).String(),
			To:     r.position(s.told).String(),
			Topic:  s.topic.name,
		}, id)
	}
	return b
}

// appendGap tells of a loss in one topic, or in any if t is nil.
func (r *reader) appendGap(b []byte, t *topic, gap sse.Gap, id Position) []byte {
	r.countGap(gap.Reason, t)
	if trace := r.hub.opts.Trace; trace != nil && trace.Gap != nil {
		r.gaps = append(r.gaps, gap)
	}
	return appendControl(b, sse.TypeGap, id, gap)
}

func appendControl(b []byte, typ string, id Position, value any) []byte {
	data, err := json.Marshal(value)
	if err == nil {
		b, err = sse.Message{Type: typ, ID: id.String(), Data: data}.AppendText(b)
	}
	if err != nil {
		panic(err) // strings and numbers of our own making always encode
	}
	return b
}
