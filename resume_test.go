package ssehub_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// Promise 2 (exactly once inside the window) and promise 4 (the resume
// contract): what a client is sent for each id it may come back with.
// Faults 73, 74, 75, 76.
func TestResume(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 5}})
	publishNumbers(t, hub, "n", 1, 10) // 6 to 10 are kept
	epoch := hub.Position().Epoch
	at := func(seq int) string { return fmt.Sprintf("%s-%d", epoch, seq) }

	all := []string{"6", "7", "8", "9", "10"}
	tests := []struct {
		name, lastEventID string
		verdict           string
		helloID           string
		gap               *sse.Gap
		want              []string
	}{
		{name: "first connect", verdict: sse.VerdictFresh, helloID: at(10)},
		{name: "newest", lastEventID: at(10), verdict: sse.VerdictResumed, helloID: at(10)},
		{name: "middle", lastEventID: at(7), verdict: sse.VerdictResumed, helloID: at(7), want: all[2:]},
		{name: "just before the window", lastEventID: at(5), verdict: sse.VerdictResumed, helloID: at(5), want: all},
		{
			name: "one too old", lastEventID: at(4), verdict: sse.VerdictGap, helloID: at(4), want: all,
			gap: &sse.Gap{Reason: sse.ReasonWindow, From: at(4), To: at(5), Topic: "n"},
		},
		{
			name: "before the first", lastEventID: at(0), verdict: sse.VerdictGap, helloID: at(0), want: all,
			gap: &sse.Gap{Reason: sse.ReasonWindow, From: at(0), To: at(5), Topic: "n"},
		},
		{
			name: "another life of the log", lastEventID: "00000000-7", verdict: sse.VerdictEpoch, helloID: "00000000-7", want: all,
			gap: &sse.Gap{Reason: sse.ReasonEpoch, From: "00000000-7", To: at(5)},
		},
		{
			name: "ahead", lastEventID: at(11), verdict: sse.VerdictAhead, helloID: at(11), want: all,
			gap: &sse.Gap{Reason: sse.ReasonAhead, From: at(11), To: at(5)},
		},
	}
	for _, garbage := range []string{
		"garbage", "earliest", "-", "-5", epoch, epoch + "-", epoch + "--5", epoch + "-+5", epoch + "-05", epoch + "-5 x",
		epoch + "-18446744073709551617", epoch + "-9007199254740992", strings.Repeat("9", 10_000), "\xff-1", "a b-1", "'-1",
	} {
		tests = append(tests, struct {
			name, lastEventID string
			verdict           string
			helloID           string
			gap               *sse.Gap
			want              []string
		}{
			name: fmt.Sprintf("garbage %.20q", garbage), lastEventID: garbage, verdict: sse.VerdictInvalid, want: all,
			gap: &sse.Gap{Reason: sse.ReasonInvalid, To: at(5)},
		})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec, end := stream(t, hub.Handler("n"), "/", tt.lastEventID)
			n := 1 + len(tt.want)
			if tt.gap != nil {
				n++
			}
			require.NoError(t, rec.Wait(t.Context(), n))
			end()
			messages := rec.Messages()

			h := hello(t, messages)
			require.Equal(t, tt.verdict, h.Verdict)
			require.Equal(t, tt.verdict == sse.VerdictResumed, h.Resumed)
			require.Equal(t, tt.helloID, messages[0].ID)
			require.Equal(t, append([]string{}, tt.want...), texts(messages))
			if tt.gap == nil {
				require.Empty(t, gaps(t, messages))
				return
			}
			require.Equal(t, []sse.Gap{*tt.gap}, gaps(t, messages))
			require.Equal(t, sse.TypeGap, messages[1].Type, "the gap comes before the window")
			require.Equal(t, at(5), messages[1].ID, "who was told goes on behind the loss")
		})
	}
}

// A client that is cut between a hello and the gap behind it has not been told:
// the id it holds then must bring the gap again.
func TestResumeHelloKeepsOldID(t *testing.T) {
	hub := newHub(t, nil)
	publishNumbers(t, hub, "n", 1, 3)
	for _, id := range []string{"00000000-2", hub.Position().Epoch + "-9"} {
		first, end := stream(t, hub.Handler("n"), "/", id)
		require.NoError(t, first.Wait(t.Context(), 2))
		end()
		require.Equal(t, id, first.Messages()[0].ID)
		again, end := stream(t, hub.Handler("n"), "/", first.Messages()[0].ID)
		require.NoError(t, again.Wait(t.Context(), 2))
		end()
		require.Len(t, gaps(t, again.Messages()), 1)
	}
}

// Of several gaps only the last moves the id. A reader in process that keeps the
// id of whatever it got last must find the place it came from in the others.
func TestResumeGapsInProcessHaveIDs(t *testing.T) {
	hub := newHub(t, &ssehub.Options{History: ssehub.Retention{Events: 1}})
	publish(t, hub, "other", "x")
	start := hub.Position().String()
	for range 3 {
		publish(t, hub, "a", "x")
		publish(t, hub, "b", "x")
	}
	sub, err := hub.Resume(t.Context(), start, "a", "b")
	require.NoError(t, err)
	defer sub.Close()
	first, second := <-sub.Events(), <-sub.Events()
	require.Equal(t, []string{sse.TypeGap, sse.TypeGap}, []string{first.Type, second.Type})
	require.Equal(t, start, first.ID)
	require.EqualValues(t, seq(t, (<-sub.Events()).ID)-1, seq(t, second.ID))
}

// Faults 77: the header counts before the parameter, which is for first
// connects.
func TestResumeByParameter(t *testing.T) {
	hub := newHub(t, nil)
	publishNumbers(t, hub, "n", 1, 3)
	epoch := hub.Position().Epoch

	rec, _ := stream(t, hub.Handler("n"), "/?lastEventID="+epoch+"-2", "")
	require.NoError(t, rec.Wait(t.Context(), 2))
	require.Equal(t, []string{"3"}, texts(rec.Messages()))

	rec, _ = stream(t, hub.Handler("n"), "/?lastEventID="+epoch+"-2", epoch+"-1")
	require.NoError(t, rec.Wait(t.Context(), 3))
	require.Equal(t, []string{"2", "3"}, texts(rec.Messages()))
}

// Events behind the age are not replayed, exactly at the edge, and are told.
func TestResumeByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		first := publish(t, hub, "n", "1")
		time.Sleep(time.Second)
		publish(t, hub, "n", "2")

		time.Sleep(59*time.Second - time.Nanosecond)
		start := hub.Position().Epoch + "-0"
		sub, err := hub.Resume(t.Context(), start, "n")
		require.NoError(t, err)
		require.Equal(t, "1", string((<-sub.Events()).Data))
		sub.Close()

		time.Sleep(time.Nanosecond)
		sub, err = hub.Resume(t.Context(), start, "n")
		require.NoError(t, err)
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonWindow, From: start, To: first, Topic: "n"}}, gaps(t, []sse.Message{<-sub.Events()}))
		require.Equal(t, "2", string((<-sub.Events()).Data))
		sub.Close()
	})
}

// A topic that nobody reads and that keeps nothing leaves memory, and what was
// in it is told to who comes back: its last position stays as a floor.
func TestResumeForgottenTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := ssehub.New(&ssehub.Options{History: ssehub.Retention{Age: time.Minute}})
		defer hub.Close()
		start := hub.Position().Epoch + "-0"
		last := publish(t, hub, "gone", "1")
		time.Sleep(3 * time.Minute)
		require.Zero(t, hub.Stats().Topics)

		sub, err := hub.Resume(t.Context(), start, "gone")
		require.NoError(t, err)
		require.Equal(t, []sse.Gap{{Reason: sse.ReasonWindow, From: start, To: last, Topic: "gone"}}, gaps(t, []sse.Message{<-sub.Events()}))
		sub.Close()

		sub, err = hub.Resume(t.Context(), last, "gone")
		require.NoError(t, err)
		publish(t, hub, "gone", "2")
		require.Equal(t, "2", string((<-sub.Events()).Data), "who had everything gets no gap")
		sub.Close()
	})
}

func TestPositionText(t *testing.T) {
	pos := ssehub.Position{Epoch: "abcdefgh", Seq: 7}
	text, err := json.Marshal(map[string]ssehub.Position{"at": pos, "zero": {}})
	require.NoError(t, err)
	require.JSONEq(t, `{"at":"abcdefgh-7","zero":""}`, string(text))
	var back map[string]ssehub.Position
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, map[string]ssehub.Position{"at": pos, "zero": {}}, back)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"at":"x"}`), &back), ssehub.ErrInvalidPosition)
}

// Positions are read in constant time, without a look at the log.
func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"", "a-1", "abcdefgh-9007199254740991", "a-01", "a--1", "a-1-1", "-1", "a-", "é-1", "a-18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pos, err := ssehub.ParsePosition(text)
		if err != nil {
			require.Zero(t, pos)
			return
		}
		require.Equal(t, text, pos.String(), "one text for each position")
		_, err = sse.Message{ID: text}.AppendText(nil)
		require.NoError(t, err)
		require.Less(t, pos.Seq, uint64(1)<<53)
	})
}
