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

// node runs a file of tests. Without node the test is skipped, unless CI=true.
func node(t *testing.T, file string, env ...string) {
	t.Helper()
	program, err := exec.LookPath("node")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no node")
	}
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "--test", "--test-timeout=30000", file)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
