//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Promises 1, 2 and 3 through resets, half-closes, stalls and slices, where the window
// is sufficient. Faults 15, 29, 41.
func TestChaos(t *testing.T) {
	r, err := runChaos(chaosOptions{events: 20_000, clients: 10, cuts: 200, rate: 20_000}, t.Output())
	require.NoError(t, err)
	require.Empty(t, r.Violations)
	require.EqualValues(t, 200_000, r.Delivered)
}
