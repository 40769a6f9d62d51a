//go:build unix

package bolt_test

import (
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Fault 95: when the disk is full the publisher gets the error, readers go on
// with what there is, and when there is room again so does everything. A limit
// on the size of files stands for the disk.
func TestDiskFull(t *testing.T) {
	const env = "SSEHUB_BOLT_DISK_FULL"
	if os.Getenv(env) == "" { // the limit holds for the files of the go command in this process, too
		cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		cmd.Env = append(os.Environ(), env+"=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: TestDiskFull")
		t.Logf("%s", out)
		return
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	setLimit := func(bytes uint64) {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: limit.Max}))
	}
	defer setLimit(limit.Cur)

	path := newPath(t)
	log := open(t, path, &bolt.Options{Events: -1, Bytes: -1})
	hub := ssehub.New(&ssehub.Options{Broker: log, History: ssehub.Retention{Bytes: -1}})
	defer hub.Close()
	sub, err := hub.Subscribe(t.Context(), "t")
	require.NoError(t, err)
	filler := strings.Repeat("x", 3000)
	published, refused := 0, 0
	publish := func() error {
		_, err := hub.Publish(t.Context(), "t", sse.Message{Data: []byte(strconv.Itoa(published+1) + filler)})
		if err == nil {
			published++
			require.True(t, strings.HasPrefix(string((<-sub.Events()).Data), strconv.Itoa(published)+"x"))
		}
		return err
	}
	for round := range 3 {
		setLimit(uint64(400_000 * (round + 1)))
		for failures := 0; failures < 10; {
			if err := publish(); err != nil {
				require.ErrorContains(t, err, "too large")
				failures++
				refused++
			}
		}
		bounds := boundsOf(t, log)
		require.EqualValues(t, 1, bounds.First)
		require.EqualValues(t, published, bounds.Last)
		setLimit(limit.Cur)
		require.NoError(t, publish())
	}
	require.NoError(t, hub.Close())
	require.NoError(t, log.Close())
	log = open(t, path, &bolt.Options{Events: -1, Bytes: -1})
	events := all(t, log)
	require.Len(t, events, published)
	for i, e := range events {
		require.Equal(t, strconv.Itoa(i+1), numberIn(e))
	}
	t.Logf("%d published, %d refused", published, refused)
}
