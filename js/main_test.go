package js_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// node runs a file of tests.
func node(t *testing.T, file string, env ...string) {
	t.Helper()
	runNode(t, []string{"--test", "--test-timeout=30000", file}, env...)
}

// runNode skips the test where there is no node, unless CI=true.
func runNode(t *testing.T, args []string, env ...string) {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no node")
	}
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
