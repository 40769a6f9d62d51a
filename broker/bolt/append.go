package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/ssehub-go/ssehub"
)

// request is what waits for the writer: an event, or Trim.
type request struct {
	value []byte
	key   string      // in the bucket of keys; "" for none
	first uint64      // of Trim, which has no value
	done  chan result // takes one
}

type result struct {
	seq uint64
	err error
}

// Append implements ssehub.Broker. An error of the disk, such as a full one, is
// the publisher's, and does not hinder later ones.
func (l *Log) Append(ctx context.Context, e ssehub.Event) (ssehub.Position, error) {
	value, err := e.MarshalBinary()
	if err != nil {
		return ssehub.Position{}, err
	}
	r := &request{value: value, done: make(chan result, 1)}
	if e.IdempotencyKey != "" {
		if r.key = indexKey(&e); len(r.key) > bolt.MaxKeySize { // it would fail all that are written with it
			return ssehub.Position{}, fmt.Errorf("bolt: idempotency key of %d bytes", len(e.IdempotencyKey))
		}
	}
	seq, err := l.do(ctx, r)
	if err != nil {
		return ssehub.Position{}, err
	}
	return ssehub.Position{Epoch: l.epoch, Seq: seq}, nil
}

// Trim drops the events before first for good. Hubs that have them in memory keep
// them until their own time.
func (l *Log) Trim(ctx context.Context, first uint64) error {
	_, err := l.do(ctx, &request{first: first, done: make(chan result, 1)})
	return err
}

// do has the writer do r.
func (l *Log) do(ctx context.Context, r *request) (seq uint64, err error) {
	if err := l.ended(ctx); err != nil {
		return 0, err
	}
	select {
	case l.requests <- r:
	case <-l.closing:
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case got := <-r.done:
		return got.seq, got.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func indexKey(e *ssehub.Event) string {
	return e.Topics[0] + "\n" + e.IdempotencyKey
}

// write is the one goroutine that writes. While it waits for the disk others come
// to wait for it, and these then share a transaction, and its sync.
func (l *Log) write() {
	for {
		var batch []*request
		select {
		case r := <-l.requests:
			batch = append(batch, r)
		case <-l.closing:
			return
		}
		for size := len(batch[0].value); len(batch) < maxBatch && size < maxBytes; {
			select {
			case r := <-l.requests:
				batch = append(batch, r)
				size += len(r.value)
				continue
			default:
			}
			break
		}
		l.commit(batch)
	}
}

// commit appends all of batch, or nothing, and tells those who wait.
func (l *Log) commit(batch []*request) {
	at := l.at // nobody else writes it
	results := make([]result, len(batch))
	err := l.db.Update(func(tx *bolt.Tx) error {
		for i, r := range batch {
			var err error
			if r.value == nil {
				err = at.dropBefore(tx, r.first)
			} else {
				results[i].seq, err = at.append(tx, r)
			}
			if err != nil {
				return err
			}
		}
		if err := l.trim(tx, &at); err != nil {
			return err
		}
		return at.put(tx)
	})
	if err == nil {
		l.mu.Lock()
		l.at = at
		l.mu.Unlock()
	} else {
		err = fmt.Errorf("bolt: append: %w", err)
		// If the last step of the commit has failed, the file may have it all the same.
		if loadErr := l.load(); loadErr != nil {
			err = fmt.Errorf("%w; then %w", err, loadErr)
		}
	}
	l.tell()
	for i, r := range batch {
		if err != nil {
			results[i] = result{err: err}
		}
		r.done <- results[i]
	}
}

// append returns the number of the event, which may be an earlier one's.
func (s *state) append(tx *bolt.Tx, r *request) (seq uint64, err error) {
	if r.key != "" {
		if b := tx.Bucket(keys).Get([]byte(r.key)); b != nil {
			if seq := binary.BigEndian.Uint64(b); seq >= s.first { // else that one could not be read when it was dropped
				return seq, nil
			}
		}
	}
	s.last++
	s.bytes += int64(len(r.value))
	k := number(s.last)
	bucket := tx.Bucket(events)
	bucket.FillPercent = 0.9 // numbers only rise, so that pages need no room in the middle
	if err := bucket.Put(k, r.value); err != nil {
		return 0, err
	}
	if r.key != "" {
		err = tx.Bucket(keys).Put([]byte(r.key), k)
	}
	return s.last, err
}

func number(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(nil, seq)
}

// trim drops what is above the bounds, but for the newest event if it is not too
// old.
func (l *Log) trim(tx *bolt.Tx, s *state) error {
	now := time.Now()
	for s.first <= s.last {
		_, oldest := tx.Bucket(events).Cursor().First()
		var e ssehub.Event
		_ = e.UnmarshalBinary(oldest) // what cannot be read goes without its time and key
		tooMany := l.keep.Events > 0 && s.last-s.first >= uint64(l.keep.Events) ||
			l.keep.Bytes > 0 && s.bytes > l.keep.Bytes && s.first < s.last
		tooOld := l.keep.Age > 0 && !e.Time.IsZero() && now.Sub(e.Time) >= l.keep.Age
		if !tooMany && !tooOld {
			return nil
		}
		if err := s.drop(tx, &e, len(oldest)); err != nil {
			return err
		}
	}
	return nil
}

// dropBefore drops what comes before first.
func (s *state) dropBefore(tx *bolt.Tx, first uint64) error {
	for s.first < first && s.first <= s.last {
		_, oldest := tx.Bucket(events).Cursor().First()
		var e ssehub.Event
		_ = e.UnmarshalBinary(oldest) // as in trim
		if err := s.drop(tx, &e, len(oldest)); err != nil {
			return err
		}
	}
	return nil
}

// drop drops the oldest event, which is e.
func (s *state) drop(tx *bolt.Tx, e *ssehub.Event, size int) error {
	if e.IdempotencyKey != "" {
		if err := tx.Bucket(keys).Delete([]byte(indexKey(e))); err != nil {
			return err
		}
	}
	if err := tx.Bucket(events).Delete(number(s.first)); err != nil {
		return err
	}
	s.bytes -= int64(size)
	s.first++
	return nil
}
