package bolt_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/stretchr/testify/require"
)

// Fault 95: the machine stops in the middle of a transaction. Of its pages some
// are on the disk, whole or in part, and of the page that makes it valid all,
// nothing or a part. What was acknowledged before is there, the event of that
// transaction is there or not, and the log goes on.
func TestTornFile(t *testing.T) {
	const size = 4096 // sectors and pages are multiples or parts of it
	opts := &bolt.Options{Events: 20}
	path, torn := newPath(t), newPath(t)
	log := open(t, path, opts)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	outcomes := make(map[string]int)
	for i := 1; i <= 200; i++ {
		add(t, log, strconv.Itoa(i)+string(make([]byte, rand.IntN(6000))))
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		for round := range 6 {
			file := make([]byte, max(len(before), len(after)))
			copy(file, before)
			meta := 0 // that is other than before
			for at := 0; at < len(after); at += size {
				if string(after[at:at+size]) == string(file[at:at+size]) {
					continue
				}
				if at < 2*size {
					meta = at
					continue
				}
				switch rand.IntN(3) {
				case 0:
					copy(file[at:], after[at:at+size])
				case 1:
					copy(file[at:], after[at:at+rand.IntN(size)])
				}
			}
			if round > 0 { // all is there but for the meta page, that comes last
				copy(file[2*size:], after[2*size:])
				copy(file[meta:], after[meta:meta+rand.IntN(130)]) // what it says is in the first 80 bytes
			}
			if round == 5 {
				copy(file, after)
			}
			require.NoError(t, os.WriteFile(torn, file, 0o600))
			log, err := bolt.Open(torn, opts)
			require.NoError(t, err, "event %d, round %d", i, round)
			last := int(boundsOf(t, log).Last)
			require.Contains(t, []int{i - 1, i}, last)
			switch {
			case round == 0:
				require.Equal(t, i-1, last)
				outcomes["pages only"]++
			case round == 5:
				require.Equal(t, i, last)
			case last == i:
				outcomes["the meta page is whole"]++
			default:
				outcomes["the meta page is torn"]++
			}
			events := all(t, log)
			require.Len(t, events, min(20, last))
			for k, e := range events {
				require.Equal(t, strconv.Itoa(last-len(events)+1+k), numberIn(e))
			}
			require.EqualValues(t, last+1, add(t, log, "x").Seq)
			require.NoError(t, log.Close())
		}
		before = after
	}
	t.Log(outcomes)
	require.Len(t, outcomes, 3)
}

// numberIn returns the digits at the beginning of an event's data.
func numberIn(e ssehub.Event) string {
	for i, c := range e.Message.Data {
		if c < '0' || c > '9' {
			return string(e.Message.Data[:i])
		}
	}
	return string(e.Message.Data)
}
