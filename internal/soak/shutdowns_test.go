//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Faults 67, 68: hubs end again and again, while clients leave, others do not read,
// and publishers go on. None crashes, and nothing stays. The time is that of the
// promise, as others may have the CPU; the command asks for 100 ms.
func TestShutdowns(t *testing.T) {
	var out strings.Builder
	result := runShutdowns(shutdownOptions{rounds: 150, clients: 20, processes: 6, allowed: time.Second}, &out)
	t.Log("\n" + out.String())
	require.Empty(t, result.Violations)
	require.Equal(t, 150, result.Rounds)
}
