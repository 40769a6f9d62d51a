package nats

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ssehub-go/ssehub"
)

// Append implements ssehub.Broker.
func (l *Log) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	data, err := e.MarshalBinary()
	if err != nil {
		return ssehub.Position{}, fmt.Errorf("nats: append: %w", err)
	}
	var opts []jetstream.PublishOpt
	if e.IdempotencyKey != "" {
		opts = append(opts, jetstream.WithMsgID(messageID(e)))
	}
	for again := false; ; again = true {
		epoch, err := l.knownEpoch(ctx)
		if err != nil {
			return ssehub.Position{}, err
		}
		ack, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: l.config.Name + "." + epoch, Data: data}, opts...)
		if err == nil {
			return ssehub.Position{Epoch: epoch, Seq: ack.Sequence}, nil
		}
		// Should ctx have ended before this one asks for another, the next one does.
		l.lastEpoch.Store(nil)
		if again || !errors.Is(err, jetstream.ErrNoStreamResponse) { // that says that the epoch is over
			return ssehub.Position{}, fmt.Errorf("nats: append: %w", err)
		}
	}
}

// messageID is what JetStream knows an event by that is appended again. As a header's
// value it may not be any bytes.
func messageID(e ssehub.Event) string {
	sum := sha256.Sum256([]byte(e.Topics[0] + "\n" + e.IdempotencyKey)) // no topic has a line break
	return hex.EncodeToString(sum[:])
}

// knownEpoch returns the epoch that was in force when it was asked for last, unless an
// Append has failed since.
func (l *Log) knownEpoch(ctx context.Context) (string, error) {
	if epoch := l.lastEpoch.Load(); epoch != nil {
		return *epoch, nil
	}
	bounds, err := l.Bounds(ctx)
	if err != nil {
		return "", err
	}
	l.lastEpoch.Store(&bounds.Epoch)
	return bounds.Epoch, nil
}
