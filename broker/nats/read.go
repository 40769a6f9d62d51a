package nats

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ssehub-go/ssehub"
)

const (
	// heartbeat is how often a server must say that it still knows of a Read. After
	// two that are missing the Read ends: a consumer that is gone, with its stream or
	// its server, says nothing.
	heartbeat = time.Second
	// abandoned is when a server forgets a consumer that nobody asks any more.
	abandoned = time.Minute
	// pageTime is how long a page may take to come. When nothing does, a Read that
	// follows looks whether it is another stream.
	pageTime     = 5 * time.Second
	pageMessages = 500
	// goodbye is how long a Read takes at most to have its consumer removed.
	goodbye = 500 * time.Millisecond
)

// Read implements ssehub.Broker.
func (l *Log) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		if err := l.read(ctx, r, yield); err != nil && err != errStopped {
			yield(ssehub.Event{}, fmt.Errorf("nats: read: %w", err))
		}
	}
}

// errStopped says that yield does not want more.
var errStopped = errors.New("nats: stopped")

func (l *Log) read(ctx context.Context, r ssehub.Range, yield func(ssehub.Event, error) bool) error {
	consumer, err := l.js.CreateConsumer(ctx, l.config.Name, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.After.Seq + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: abandoned,
		MemoryStorage:     true,
		Replicas:          1,
	})
	if err != nil {
		return err
	}
	info := consumer.CachedInfo()
	defer l.remove(info.Name)
	reading := &reading{log: l, Range: r, yield: yield}
	// Asked behind it: had there been another stream meanwhile, this were its epoch.
	if err := reading.checkEpoch(ctx); err != nil {
		return err
	}
	if !r.Follow && (r.After.Seq >= r.Until || info.NumPending == 0 && reading.first > r.Until) {
		return nil
	}
	for {
		err := reading.page(ctx, consumer)
		if err == errDone {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reading is a Read under way.
type reading struct {
	ssehub.Range
	log      *Log
	yield    func(ssehub.Event, error) bool
	received uint64
	subject  string // of the last message; one with another is of another epoch, or from before it
	first    uint64 // that was kept when the epoch was checked last
	last     uint64 // and that was there
}

// errDone says that all is read.
var errDone = errors.New("nats: done")

// page yields what comes, until it is a page, or a while without one.
func (r *reading) page(ctx context.Context, consumer jetstream.Consumer) error {
	wait, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel() // ends the fetch as well
	opts := []jetstream.FetchOpt{jetstream.FetchMaxBytes(r.log.page), jetstream.FetchContext(wait)}
	if deadline, _ := wait.Deadline(); time.Until(deadline) > 3*heartbeat { // else wait is as good
		opts = append(opts, jetstream.FetchHeartbeat(heartbeat))
	}
	batch, err := consumer.Fetch(pageMessages, opts...)
	if err != nil {
		return err
	}
	n := r.received
	for m := range batch.Messages() {
		if err := r.take(ctx, m); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if r.received > n {
		return nil
	}
	if !r.Follow {
		return errDone // what was at Until has been deleted
	}
	return r.checkEpoch(ctx)
}

func (r *reading) take(ctx context.Context, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if r.received++; meta.Sequence.Consumer != r.received { // on its way over a connection that broke
		return fmt.Errorf("%d messages were lost on the way", meta.Sequence.Consumer-r.received)
	}
	if m.Subject() != r.subject {
		if err := r.checkEpoch(ctx); err != nil {
			return err
		}
		r.subject = m.Subject()
	}
	seq := meta.Sequence.Stream
	if !r.Follow && seq > r.Until {
		return errDone
	}
	if err := r.awaitLeader(ctx, seq); err != nil {
		return err
	}
	e := ssehub.Event{Position: ssehub.Position{Epoch: r.After.Epoch, Seq: seq}}
	if err = e.UnmarshalBinary(m.Data()); err != nil {
		err = fmt.Errorf("nats: event %d: %w", seq, err)
	}
	if !r.yield(e, err) {
		return errStopped
	}
	if !r.Follow && seq == r.Until {
		return errDone
	}
	// Where nothing is pending and Until is not reached, this server is one that
	// lags, and the rest is to come.
	return nil
}

// awaitLeader waits until the server that answers for the stream has an event. A
// consumer may run on another one, which is a moment ahead of it: Bounds would not know
// of what a Read has yielded.
func (r *reading) awaitLeader(ctx context.Context, seq uint64) error {
	for wait := time.Duration(0); r.log.clustered.Load() && seq > r.last; wait = min(2*wait+time.Millisecond, heartbeat) {
		if wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			}
		}
		if err := r.checkEpoch(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkEpoch returns an error if the stream has another.
func (r *reading) checkEpoch(ctx context.Context) error {
	bounds, err := r.log.Bounds(ctx)
	r.first, r.last = bounds.First, bounds.Last
	if err == nil && bounds.Epoch != r.After.Epoch {
		err = fmt.Errorf("%w: %q, and it is %q", ErrEpoch, r.After.Epoch, bounds.Epoch)
	}
	return err
}

// remove has the server forget a consumer at once. If it does not, it will later.
func (l *Log) remove(consumer string) {
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	_ = l.js.DeleteConsumer(ctx, l.config.Name, consumer)
}
