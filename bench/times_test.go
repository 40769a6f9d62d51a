package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLatency: from the time in the message to the reading of it.
func TestLatency(t *testing.T) {
	const messages, size = 3, timedSize + 4
	check := newChecker(messages, size)
	check.times = newTimes()
	f := frames{check: &check}
	const published = int64(5 * time.Second)
	data := newPayload(size)
	for seq := range messages {
		putSeq(data, seq)
		putStamp(data, published)
		check.times.now = published + int64(seq+1)*int64(time.Millisecond)
		require.NoError(t, f.feed([]byte("data: "+string(data)+"\n\n")))
	}
	l := summarizeLatency(check.times.latency)
	assert.EqualValues(t, messages, l.Count)
	assert.InEpsilon(t, 2*time.Millisecond, l.P50, 0.01)
	assert.InEpsilon(t, 3*time.Millisecond, l.Max, 0.01)
	assert.NotEmpty(t, l.Curve)
	assert.Zero(t, check.times.bad)

	short := newPayload(size)
	require.NoError(t, f.feed([]byte("data: "+string(short)+"\n\n")))
	assert.EqualValues(t, messages, check.times.latency.TotalCount(), "what is no message has no latency")
}

func TestMessageWithoutTime(t *testing.T) {
	check := newChecker(1, seqDigits)
	check.times = newTimes()
	f := frames{check: &check}
	require.NoError(t, f.feed([]byte("data: 0000000000\n\n")))
	assert.EqualValues(t, 1, check.times.bad)
}

func TestTimelines(t *testing.T) {
	a, b := &timeline{start: 100}, &timeline{start: 100}
	a.add(100, 1)
	a.add(100+int64(slice), 2)
	b.add(100+3*int64(slice), 4)
	want := []reached{{}, {slice, 1}, {2 * slice, 3}, {3 * slice, 3}, {4 * slice, 7}}
	assert.Equal(t, want, joinTimelines([]*timeline{a, b}))

	long := &timeline{}
	for i := range int64(1001) {
		long.add(i*int64(slice), 1)
	}
	curve := joinTimelines([]*timeline{long})
	assert.LessOrEqual(t, len(curve), maxPoints+2)
	assert.EqualValues(t, 1001, curve[len(curve)-1].Count)
}

// TestPacedKeepsIntendedTimes: a publisher that is held up writes when it should
// have published, so that nothing is hidden.
func TestPacedKeepsIntendedTimes(t *testing.T) {
	var stamps []int64
	p := peer{publish: func(data []byte) error {
		at, ok := parseDigits(data[seqDigits:timedSize])
		require.True(t, ok)
		stamps = append(stamps, at)
		// Busy for the time of five messages.
		for end := monotonic() + int64(5*time.Millisecond); monotonic() < end; {
		}
		return nil
	}}
	sent, err := publishPaced(p, timedSize, 0, 4, 1000)
	require.NoError(t, err)
	ms := int64(time.Millisecond)
	assert.Equal(t, []int64{sent.Start, sent.Start + ms, sent.Start + 2*ms, sent.Start + 3*ms}, stamps)
}
