package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/broker/brokertest"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// open opens a log that is closed with the test.
func open(t testing.TB, path string, opts *bolt.Options) *bolt.Log {
	t.Helper()
	log, err := bolt.Open(path, opts)
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	return log
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "log") }

func add(t testing.TB, log *bolt.Log, text string) ssehub.Position {
	t.Helper()
	pos, err := log.Append(t.Context(), event(text))
	require.NoError(t, err)
	return pos
}

func event(text string) ssehub.Event {
	return ssehub.Event{Time: time.Now(), Topics: []string{"t"}, Message: sse.Message{Data: []byte(text)}}
}

// all returns what the log keeps.
func all(t testing.TB, log *bolt.Log) (events []ssehub.Event) {
	t.Helper()
	bounds := boundsOf(t, log)
	after := ssehub.Position{Epoch: bounds.Epoch, Seq: bounds.First - 1}
	for e, err := range log.Read(t.Context(), ssehub.Range{After: after, Until: bounds.Last}) {
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

func texts(events []ssehub.Event) string {
	var texts []string
	for _, e := range events {
		texts = append(texts, string(e.Message.Data))
	}
	return strings.Join(texts, " ")
}

func boundsOf(t testing.TB, log *bolt.Log) ssehub.Bounds {
	t.Helper()
	bounds, err := log.Bounds(t.Context())
	require.NoError(t, err)
	return bounds
}

func TestContract(t *testing.T) {
	var paths sync.Map
	brokertest.Run(t, brokertest.Harness{
		New: func(t testing.TB) ssehub.Broker {
			path := newPath(t)
			log := open(t, path, nil)
			paths.Store(log, path)
			return log
		},
		Trim: func(t testing.TB, b ssehub.Broker, first uint64) {
			require.NoError(t, b.(*bolt.Log).Trim(t.Context(), first))
		},
		Restart: func(t testing.TB, b ssehub.Broker) ssehub.Broker {
			require.NoError(t, b.(*bolt.Log).Close())
			path, _ := paths.Load(b)
			log := open(t, path.(string), nil)
			paths.Store(log, path)
			return log
		},
	})
}

// Each bound is exact, alone and across a restart, and what is dropped takes
// its idempotency key along.
func TestBounds(t *testing.T) {
	size := int64(len("topic: t\ntime: 1795519323000\n\nx"))
	for name, test := range map[string]struct {
		opts bolt.Options
		age  time.Duration // of the first event of five
		want uint64        // that is kept first
	}{
		"default":       {bolt.Options{}, 0, 1},
		"events":        {bolt.Options{Events: 3}, 0, 3},
		"one":           {bolt.Options{Events: 1}, 0, 5},
		"bytes":         {bolt.Options{Bytes: 2 * size}, 0, 4},
		"a byte less":   {bolt.Options{Bytes: 2*size - 1}, 0, 5},
		"never none":    {bolt.Options{Bytes: 1}, 0, 5},
		"age":           {bolt.Options{Age: time.Hour}, time.Hour, 2},
		"not yet":       {bolt.Options{Age: time.Hour}, 59 * time.Minute, 1},
		"no age":        {bolt.Options{Age: -1}, 1000 * time.Hour, 1},
		"no bounds":     {bolt.Options{Events: -1, Bytes: -1, Age: -1}, 1000 * time.Hour, 1},
		"age and bytes": {bolt.Options{Bytes: 4 * size, Age: time.Hour}, 2 * time.Hour, 2},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			log := open(t, path, &test.opts)
			for i := range 5 {
				e := event("x")
				if i == 0 {
					e.Time = e.Time.Add(-test.age)
				}
				if i == 3 {
					require.NoError(t, log.Close())
					log = open(t, path, &test.opts)
				}
				_, err := log.Append(t.Context(), e)
				require.NoError(t, err)
			}
			bounds := boundsOf(t, log)
			require.EqualValues(t, test.want, bounds.First)
			require.EqualValues(t, 5, bounds.Last)
			require.Len(t, all(t, log), int(5-test.want+1))
		})
	}

	log := open(t, newPath(t), &bolt.Options{Events: 2})
	once := event("once")
	once.IdempotencyKey = "k"
	first, err := log.Append(t.Context(), once)
	require.NoError(t, err)
	add(t, log, "x")
	again, err := log.Append(t.Context(), once)
	require.NoError(t, err)
	require.Equal(t, first, again)
	add(t, log, "x")
	again, err = log.Append(t.Context(), once)
	require.NoError(t, err)
	require.EqualValues(t, 4, again.Seq)
}

// The file does not grow with what passes through it.
func TestFileStaysSmall(t *testing.T) {
	path := newPath(t)
	log := open(t, path, &bolt.Options{Events: 100})
	text := strings.Repeat("x", 1000)
	var size int64
	for round := range 20 {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 50 {
					if _, err := log.Append(context.Background(), event(text)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		info, err := os.Stat(path)
		require.NoError(t, err)
		if round == 4 {
			size = info.Size()
		}
		if round > 4 {
			require.LessOrEqual(t, info.Size(), 2*size)
		}
	}
	require.Less(t, size, int64(4<<20))
}

// A hub that is started again goes on in the same epoch: clients resume as if
// nothing had been.
func TestHubRestart(t *testing.T) {
	path := newPath(t)
	var id string
	for round := range 3 {
		log := open(t, path, nil)
		hub := ssehub.New(&ssehub.Options{Broker: log})
		sub, err := hub.Resume(t.Context(), id, "n.*")
		require.NoError(t, err)
		if round > 0 {
			require.Equal(t, strconv.Itoa(round*2-1), string((<-sub.Events()).Data)) // published when nobody was there
		}
		for i, topic := range []string{"n.a", "n.b"} {
			_, err = hub.Publish(t.Context(), topic, sse.Message{Data: []byte(strconv.Itoa(round*2 + i))})
			require.NoError(t, err)
			if i == 0 {
				m := <-sub.Events()
				require.Equal(t, strconv.Itoa(round*2), string(m.Data))
				id = m.ID
				sub.Close()
			}
		}
		require.NoError(t, hub.Close())
		require.NoError(t, log.Close())
	}
}

// Fault 94: what was dropped is told at each of two hubs.
func TestLosses(t *testing.T) {
	log := open(t, newPath(t), nil)
	brokertest.RunLosses(t, brokertest.Losses{
		Open: func(testing.TB) ssehub.Broker { return log },
		Trims: map[string]func(testing.TB, uint64){
			"trimmed": func(t testing.TB, first uint64) { require.NoError(t, log.Trim(t.Context(), first)) },
			"emptied": func(t testing.TB, _ uint64) { require.NoError(t, log.Trim(t.Context(), 1<<53)) },
		},
	})
}

// Fault 93: a file that is gone, or has another epoch, is told at each of two hubs that
// open it next.
func TestLossesAtStart(t *testing.T) {
	for name, test := range map[string]struct {
		lose func(path string) error
		left []string
	}{
		"gone":      {os.Remove, nil},
		"new epoch": {bolt.NewEpoch, []string{"1", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			log := open(t, path, nil)
			last := add(t, log, "1")
			add(t, log, "2")
			require.NoError(t, log.Close())
			require.NoError(t, test.lose(path))
			log = open(t, path, nil)
			for range 2 {
				hub := ssehub.New(&ssehub.Options{Broker: log})
				defer hub.Close()
				sub, err := hub.Resume(t.Context(), last.String(), "t")
				require.NoError(t, err)
				defer sub.Close()
				gap := <-sub.Events()
				require.Equal(t, sse.TypeGap, gap.Type)
				require.Contains(t, string(gap.Data), sse.ReasonEpoch)
				for _, want := range test.left {
					require.Equal(t, want, string((<-sub.Events()).Data))
				}
				_, err = hub.Publish(t.Context(), "t", sse.Message{Data: []byte(name)})
				require.NoError(t, err)
				require.Equal(t, name, string((<-sub.Events()).Data))
				test.left = append(test.left, name) // for the other hub
			}
		})
	}
}

// Only one process has the file, and only such a file is opened.
func TestOpenRefuses(t *testing.T) {
	path := newPath(t)
	log := open(t, path, nil)
	_, err := bolt.Open(path, nil)
	require.ErrorContains(t, err, "timeout")
	add(t, log, "x")
	require.NoError(t, log.Close())
	require.NoError(t, log.Close())
	_, err = log.Append(t.Context(), event("x"))
	require.ErrorIs(t, err, bolt.ErrClosed)
	_, err = log.Bounds(t.Context())
	require.ErrorIs(t, err, bolt.ErrClosed)

	for _, text := range []string{"x", strings.Repeat("not a log ", 10_000)} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := bolt.Open(path, nil)
		require.Error(t, err)
		require.Error(t, bolt.NewEpoch(path))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(got), "somebody's file was changed")
	}
	_, err = bolt.Open(filepath.Join(path, "nowhere"), nil)
	require.Error(t, err)
	other := newPath(t)
	db, err := bbolt.Open(other, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	_, err = bolt.Open(other, nil)
	require.ErrorContains(t, err, "something else")
	require.ErrorContains(t, bolt.NewEpoch(other), "something else")
}

// A process that was killed while it made the file leaves nothing that hinders
// the next one.
func TestUnfinishedFile(t *testing.T) {
	path := newPath(t)
	require.NoError(t, os.WriteFile(path+".new-1", []byte("half a file"), 0o600))
	add(t, open(t, path, nil), "x")
}

// Close ends who follows and who publishes.
func TestClose(t *testing.T) {
	log := open(t, newPath(t), nil)
	bounds := boundsOf(t, log)
	ends := make(chan error, 2)
	go func() {
		for _, err := range log.Read(context.Background(), ssehub.Range{After: ssehub.Position{Epoch: bounds.Epoch}, Follow: true}) {
			if err != nil {
				ends <- err
			}
		}
	}()
	go func() {
		for {
			if _, err := log.Append(context.Background(), event("x")); err != nil {
				ends <- err
				return
			}
		}
	}()
	for boundsOf(t, log).Last < 10 {
	}
	require.NoError(t, log.Close())
	for range 2 {
		require.True(t, errors.Is(<-ends, bolt.ErrClosed))
	}
}

// A file that was copied gets another epoch, and keeps its events.
func TestNewEpoch(t *testing.T) {
	path := newPath(t)
	log := open(t, path, nil)
	add(t, log, "1")
	add(t, log, "2")
	before := boundsOf(t, log)
	require.Error(t, bolt.NewEpoch(path)) // in use
	require.NoError(t, log.Close())
	require.NoError(t, bolt.NewEpoch(path))
	log = open(t, path, nil)
	after := boundsOf(t, log)
	require.NotEqual(t, before.Epoch, after.Epoch)
	require.Equal(t, before.Last, after.Last)
	require.Equal(t, "1 2", texts(all(t, log)))
	require.ErrorIs(t, bolt.NewEpoch(path+".x"), os.ErrNotExist)
}

// Many that open a file which is not there yet get one file: one of them has it,
// the others have to wait.
func TestOpenAtOnce(t *testing.T) {
	for range 20 {
		path := newPath(t)
		var logs sync.Map
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				log, err := bolt.Open(path, nil)
				if err != nil {
					if !strings.Contains(err.Error(), "timeout") {
						t.Error(err)
					}
					return
				}
				if _, err := log.Append(context.Background(), event("x")); err != nil {
					t.Error(err)
				}
				logs.Store(log, true)
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		n := 0
		logs.Range(func(any, any) bool { n++; return true })
		require.Len(t, all(t, open(t, path, nil)), n)
		left, err := filepath.Glob(path + ".*")
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// One bad event fails alone.
func TestBadEvent(t *testing.T) {
	log := open(t, newPath(t), nil)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			e := event("x")
			if bad := i%20 == 0; bad {
				e.IdempotencyKey = strings.Repeat("k", 40_000)
			}
			if _, err := log.Append(context.Background(), e); (err != nil) != (i%20 == 0) {
				t.Error(i, err)
			}
		})
	}
	wg.Wait()
	require.Len(t, all(t, log), 190)
	_, err := log.Append(t.Context(), ssehub.Event{})
	require.ErrorIs(t, err, ssehub.ErrInvalidEvent)
	timeless := event("y")
	timeless.Time = time.Time{}
	pos, err := log.Append(t.Context(), timeless)
	require.NoError(t, err)
	require.Equal(t, pos.Seq, boundsOf(t, log).Last)
	require.Len(t, all(t, log), 191)
}
