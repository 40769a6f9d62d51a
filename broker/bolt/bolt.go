// Package bolt keeps a hub's log in a file, so that it outlives the process:
// clients that come back after a restart, or a crash, go on where they were.
//
//	events, err := bolt.Open("events.db", nil)
//	if err != nil {
//		return err
//	}
//	defer events.Close() // behind the hub
//	hub := ssehub.New(&ssehub.Options{
//		Broker:  events,
//		History: ssehub.Retention{Age: 24 * time.Hour}, // what clients can resume from; the file may keep more
//	})
//	defer hub.Close()
//
// The file is one of [go.etcd.io/bbolt]. Append returns when the event is synced
// to the disk, so that neither a crash of the process nor one of the machine
// loses what was acknowledged, as far as the disk keeps its word; events that
// are appended at the same time share a sync. One process has the file open, and
// all hubs in it may share the Log.
//
// A copy of the file, or a backup that is restored, has the numbers and the epoch
// of the original: use [NewEpoch] on it, or clients could take what is new for
// what they have.
package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/ssehub-go/ssehub"
)

// ErrClosed is returned by a Log that was closed.
var ErrClosed = errors.New("bolt: log closed")

// Options bounds what a Log keeps, by number, size and age together: what is
// above any of the three is dropped, oldest first, with the next Append. In each
// field zero means the default and negative no limit. A hub reads all of it when
// it starts.
type Options struct {
	Events int           // default 100,000
	Bytes  int64         // of events; the file takes some more. Default 256 MiB
	Age    time.Duration // default 24 h
}

// Log is an ssehub.Broker in a file. All methods are safe for concurrent use. End
// it with Close, after the hubs.
type Log struct {
	db       *bolt.DB
	epoch    string
	keep     Options
	requests chan *request
	closing  chan struct{}
	stop     sync.Once
	writer   sync.WaitGroup

	mu   sync.Mutex
	at   state
	news chan struct{} // closed when there is more
}

// state is what the file says of its events, kept beside them.
type state struct {
	first, last uint64 // kept; first is last+1 if there is none
	bytes       int64
}

var (
	events = []byte("events") // big-endian number to event
	keys   = []byte("keys")   // first topic, LF, idempotency key to number
	meta   = []byte("meta")
	epoch  = []byte("epoch")
	status = []byte("state")
)

const (
	lockTimeout = time.Second
	maxBatch    = 1024 // events in one transaction
	maxPage     = 256  // events that one turn of a Read takes
	maxBytes    = 4 << 20
)

// Open opens the file, or makes it if there is none; nil means the default
// options. It fails after a second if another process has the file open.
func Open(path string, opts *Options) (*Log, error) {
	l := &Log{requests: make(chan *request), closing: make(chan struct{})}
	if opts != nil {
		l.keep = *opts
	}
	if l.keep.Events == 0 {
		l.keep.Events = 100_000
	}
	if l.keep.Bytes == 0 {
		l.keep.Bytes = 256 << 20
	}
	if l.keep.Age == 0 {
		l.keep.Age = 24 * time.Hour
	}
	var err error
	if l.db, err = open(path); errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("bolt: open log %s: another process has it open: %w", path, err)
	} else if err != nil {
		return nil, fmt.Errorf("bolt: open log: %w", err)
	}
	err = l.db.View(func(tx *bolt.Tx) error {
		if !isLog(tx) {
			return errNoLog
		}
		l.epoch = string(tx.Bucket(meta).Get(epoch))
		return nil
	})
	if err == nil {
		err = l.load()
	}
	if err != nil {
		l.db.Close()
		return nil, fmt.Errorf("bolt: open log %s: %w", path, err)
	}
	l.writer.Go(l.write)
	return l, nil
}

func open(path string) (*bolt.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, err
		}
	}
	return bolt.Open(path, 0o600, boltOptions)
}

var boltOptions = &bolt.Options{Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bolt.FreelistMapType}

// create makes the file under another name first, so that a crash leaves all of it
// or nothing, and links it: if another process was faster, its file stays.
func create(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	unfinished := file.Name()
	defer os.Remove(unfinished)
	if err := file.Close(); err != nil {
		return err
	}
	db, err := bolt.Open(unfinished, 0o600, boltOptions)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{events, keys, meta} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return putEpoch(tx)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(unfinished, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir has the directory keep a file's new name.
func syncDir(path string) error {
	if runtime.GOOS == "windows" { // where directories cannot be synced
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func putEpoch(tx *bolt.Tx) error {
	return tx.Bucket(meta).Put(epoch, []byte(strings.ReplaceAll(uuid.NewString()[:13], "-", "")))
}

// NewEpoch gives the file, which must be closed, another epoch and leaves its
// events as they are. Clients that come back are told that something may be
// missing.
func NewEpoch(path string) error {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("bolt: new epoch: %w", err)
	}
	db, err := open(path)
	if err != nil {
		return fmt.Errorf("bolt: new epoch: %w", err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if !isLog(tx) {
			return errNoLog
		}
		return putEpoch(tx)
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("bolt: new epoch: %w", err)
	}
	return nil
}

var errNoLog = errors.New("the file holds something else")

func isLog(tx *bolt.Tx) bool {
	return tx.Bucket(meta) != nil && tx.Bucket(events) != nil && tx.Bucket(keys) != nil
}

// load sets what changes from what the file says.
func (l *Log) load() error {
	return l.db.View(func(tx *bolt.Tx) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.at = getState(tx)
		return nil
	})
}

func getState(tx *bolt.Tx) state {
	var s state
	if b := tx.Bucket(meta).Get(status); len(b) == 16 {
		s.last, s.bytes = binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))
	}
	s.first = s.last + 1
	if k, _ := tx.Bucket(events).Cursor().First(); k != nil {
		s.first = binary.BigEndian.Uint64(k)
	}
	return s
}

func (s *state) put(tx *bolt.Tx) error {
	b := binary.BigEndian.AppendUint64(nil, s.last)
	return tx.Bucket(meta).Put(status, binary.BigEndian.AppendUint64(b, uint64(s.bytes)))
}

// Close ends the Log: what waits gets ErrClosed. It may be called any number of
// times.
func (l *Log) Close() error {
	l.stop.Do(func() { close(l.closing) })
	l.writer.Wait()
	return l.db.Close()
}

// Bounds implements ssehub.Broker.
func (l *Log) Bounds(ctx context.Context) (ssehub.Bounds, error) {
	if err := l.ended(ctx); err != nil {
		return ssehub.Bounds{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return ssehub.Bounds{Epoch: l.epoch, First: l.at.first, Last: l.at.last}, nil
}

func (l *Log) ended(ctx context.Context) error {
	select {
	case <-l.closing:
		return ErrClosed
	default:
		return ctx.Err()
	}
}
