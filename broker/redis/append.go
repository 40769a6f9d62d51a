package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/ssehub-go/ssehub"
)

// Append implements ssehub.Broker.
func (l *Log) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	pos, err := l.append(ctx, e)
	if err != nil {
		err = fmt.Errorf("redis: append: %w", err)
	}
	return pos, err
}

func (l *Log) append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	data, err := e.MarshalBinary()
	if err != nil {
		return ssehub.Position{}, err
	}
	once := ""
	if e.IdempotencyKey != "" {
		once = e.Topics[0] + "\n" + e.IdempotencyKey
	}
	old := int64(-1 << 53)
	if l.keep.Age > 0 {
		old = time.Now().Add(-l.keep.Age).UnixMilli()
	}
	at := e.Time
	if at.IsZero() {
		at = time.Now()
	}
	args := []string{
		rueidis.BinaryString(data), once, strconv.FormatInt(at.UnixMilli(), 10),
		strconv.Itoa(l.keep.Events), strconv.FormatInt(l.keep.Bytes, 10), strconv.FormatInt(old, 10),
	}
	got, err := l.run(ctx, appendScript, args...)
	if err != nil {
		return ssehub.Position{}, err
	}
	if len(got) != 2 {
		return ssehub.Position{}, errAnswer
	}
	seq, err := number(got[1])
	return ssehub.Position{Epoch: got[0], Seq: seq}, err
}

// number reads the number of an event, or the id of its entry.
func number(id string) (uint64, error) {
	id, _, _ = strings.Cut(id, "-")
	return strconv.ParseUint(id, 10, 64)
}
