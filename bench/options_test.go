package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQuickLeavesWhatIsGiven(t *testing.T) {
	o, err := parseOptions([]string{"-quick", "-idle", "7", "-scenario", "idle,burst", "-servers", "bare,ours"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 7, o.idle)
	assert.Equal(t, 3, o.pairs)
	assert.Equal(t, 150, o.slowMessages)
	assert.Equal(t, []string{"bare", "ours"}, o.servers)
	require.Len(t, o.scenarios, 2)
	assert.Equal(t, "idle", o.scenarios[0].name)
}

func TestDefaults(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	require.NoError(t, err)
	assert.Len(t, o.scenarios, len(scenarios()))
	assert.Len(t, o.servers, len(serverNames)-len(o.missing), "who is not there is named")
	assert.Equal(t, o.messages, o.slowMessages)
	assert.Equal(t, 5*time.Second, o.duration)
}

func TestOptionsRefused(t *testing.T) {
	for _, args := range []string{
		"-size 9", "-size 9999999", "-messages 0", "-messages 1000000000", "-slow-messages -1",
		"-conns 0", "-idle -1", "-pairs 0", "-rounds 0", "-rate 0", "-duration 0s", "-slow-size 10", "-publish-readers 9", "-publishes 0", "-topics 0", "-topic-readers 0",
		"-servers nobody", "-servers bare-replay", "-scenario none", "surplus", "-unknown",
	} {
		_, err := parseOptions(strings.Fields(args), io.Discard)
		assert.Error(t, err, args)
	}
	err := command(t.Context(), []string{"-idle", "1000000000"}, io.Discard, io.Discard)
	assert.ErrorContains(t, err, "hard limit")
}
