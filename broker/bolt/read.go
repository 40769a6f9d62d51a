package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/ssehub-go/ssehub"
)

var errEpoch = errors.New("bolt: position of another epoch")

// Read implements ssehub.Broker.
func (l *Log) Read(ctx context.Context, r ssehub.Range) iter.Seq2[ssehub.Event, error] {
	return func(yield func(ssehub.Event, error) bool) {
		if r.After.Epoch != l.epoch {
			yield(ssehub.Event{}, errEpoch)
			return
		}
		for after := r.After.Seq; ; {
			news := l.nextNews() // before looking
			page, err := l.page(ctx, after, &r)
			if err != nil {
				yield(ssehub.Event{}, err)
				return
			}
			for _, entry := range page {
				e := ssehub.Event{Position: ssehub.Position{Epoch: l.epoch, Seq: entry.seq}}
				err := e.UnmarshalBinary(entry.value)
				if !yield(e, err) {
					return
				}
				after = entry.seq
			}
			if len(page) > 0 {
				continue
			}
			if !r.Follow {
				return
			}
			select {
			case <-news:
			case <-l.closing:
			case <-ctx.Done():
			}
		}
	}
}

// nextNews returns what is closed when there is more than now.
func (l *Log) nextNews() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.news == nil {
		l.news = make(chan struct{})
	}
	return l.news
}

// tell wakes who waits for news.
func (l *Log) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
}

type entry struct {
	seq   uint64
	value []byte
}

// page copies some events behind after. A transaction that stays open would keep
// the file from using its free pages again, so none does while somebody looks
// at events.
func (l *Log) page(ctx context.Context, after uint64, r *ssehub.Range) (page []entry, err error) {
	if err := l.ended(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	last := l.at.last // what is committed since is not in Bounds yet
	l.mu.Unlock()
	err = l.db.View(func(tx *bolt.Tx) error {
		cursor := tx.Bucket(events).Cursor()
		size := 0
		for k, v := cursor.Seek(number(after + 1)); k != nil && len(page) < maxPage && size < maxBytes; k, v = cursor.Next() {
			seq := binary.BigEndian.Uint64(k)
			if seq > last || !r.Follow && seq > r.Until {
				return nil
			}
			page = append(page, entry{seq, bytes.Clone(v)})
			size += len(v)
		}
		return nil
	})
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		err = ErrClosed
	}
	return page, err
}
