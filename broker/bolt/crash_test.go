package bolt_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/broker/bolt"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

var kills = flag.Int("kills", 50, "processes that TestKill kills")

const childEnv = "SSEHUB_BOLT_CHILD" // the path of the child's log

// child is what TestKill kills: four publishers at a hub with the log, who say
// what was acknowledged. They publish what the one before was not told about
// again, with the same idempotency keys.
func child(path string) {
	log, err := bolt.Open(path, &bolt.Options{Events: -1, Bytes: -1})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	hub := ssehub.New(&ssehub.Options{Broker: log})
	var again [publishers][]string
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "" {
		p := publisherOf(in.Text())
		again[p] = append(again[p], in.Text())
	}
	var out sync.Mutex
	var running sync.WaitGroup
	for p := range publishers {
		running.Go(func() {
			for i := 0; ; i++ {
				text := fmt.Sprintf("%d %d-%d", p, os.Getpid(), i)
				if i < len(again[p]) {
					text = again[p][i]
				}
				out.Lock()
				fmt.Printf("try %q\n", text)
				out.Unlock()
				pos, err := hub.PublishWith(context.Background(), "t."+strconv.Itoa(p), sse.Message{Data: []byte(text)},
					ssehub.PublishOptions{IdempotencyKey: text, Topics: []string{"all"}})
				out.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Printf("ack %q %v\n", text, pos)
				}
				out.Unlock()
			}
		})
	}
	running.Wait()
}

const publishers = 4

func publisherOf(text string) int { return int(text[0] - '0') }

// Promise 3, and fault 75: whenever the process is killed, every event that was
// acknowledged is there, none twice, in the order of the positions, which have no
// holes, and the epoch is the one it was.
func TestKill(t *testing.T) {
	path := newPath(t)
	acks := make(map[string]string) // position by text
	var unknown []string            // tried, and not acknowledged
	var epoch string
	for round := range *kills {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = io.WriteString(stdin, strings.Join(unknown, "\n")+"\n\n")
		require.NoError(t, err)
		tries := make(map[string]bool)
		for _, text := range unknown {
			tries[text] = true
		}
		in := bufio.NewScanner(stdout)
		var killing *time.Timer
		for in.Scan() {
			var what, text, pos string
			_, _ = fmt.Sscanf(in.Text(), "%s %q %s", &what, &text, &pos)
			switch what {
			case "try":
				tries[text] = true
				if killing == nil { // in mid-opening of the first transaction, or later
					killing = time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
				}
			case "ack":
				delete(tries, text)
				acks[text] = pos
			default:
				t.Errorf("child: %s", in.Text())
			}
		}
		_ = cmd.Wait()
		unknown = slices.Collect(maps.Keys(tries))

		log := open(t, path, &bolt.Options{Events: -1, Bytes: -1})
		bounds := boundsOf(t, log)
		if round == 0 {
			epoch = bounds.Epoch
		}
		require.Equal(t, epoch, bounds.Epoch)
		require.EqualValues(t, 1, bounds.First)
		there := make(map[string]string)
		next := bounds.First
		for _, e := range all(t, log) {
			require.Equal(t, next, e.Position.Seq)
			next++
			text := string(e.Message.Data)
			if there[text] != "" {
				require.Fail(t, "twice", text)
			}
			there[text] = e.Position.String()
		}
		require.Equal(t, bounds.Last+1, next)
		for text, pos := range acks {
			if pos != there[text] {
				require.Fail(t, "lost", "%s was acknowledged at %s, and is at %q", text, pos, there[text])
			}
		}
		require.NoError(t, log.Close())
	}
	t.Logf("%d kills, %d events acknowledged", *kills, len(acks))
}
