package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/ssetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// A page that was away gets a small part of what was published meanwhile, and has the
// newest value of each row all the same.
func TestConflation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable()
		server := ssetest.NewServer(table.handler())
		defer server.Close()
		defer table.hub.Close()
		change := func(n int) {
			for range n {
				require.NoError(t, table.change(t.Context()))
			}
		}
		change(5000)
		rows := make(map[int]float64)
		id := ""
		for _, away := range []int{0, 10, 500, 20_000} {
			change(away)
			sub := client.Subscribe(t.Context(), server.URL+"/events", &client.Options{
				HTTPClient: server.Client(), LastEventID: id, ControlEvents: true,
			})
			got := 0
			for last := 0; last < table.readings; {
				m := <-sub.Events()
				if id = m.ID; m.Type != "reading" {
					continue
				}
				var r reading
				require.NoError(t, json.Unmarshal(m.Data, &r))
				rows[r.Sensor], last = r.Value, r.Count
				got++
			}
			require.LessOrEqual(t, got, size+200)
			sub.Close()
			for range sub.Events() { // until it has ended
			}
			require.Zero(t, sub.Gaps())
			require.Len(t, rows, size)
			for i, value := range rows {
				require.InDelta(t, table.values[i], value, 0.01)
			}
		}
	})
}

// The program says where it is, and ends when it is told to.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error)
	go func() { ended <- run(ctx, "127.0.0.1:0", in) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	sub := client.Subscribe(t.Context(), regexp.MustCompile(`http://[0-9.:]+`).FindString(line)+"/events", nil)
	for range 100 {
		<-sub.Events()
	}
	sub.Close()
	cancel()
	require.NoError(t, <-ended)
	in.Close()
	http.DefaultClient.CloseIdleConnections()
}
