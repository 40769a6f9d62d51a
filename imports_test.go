package ssehub_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Imports point one way: examples → ssehub → sse ← client, and what a user's
// program is linked with is the standard library and google/uuid.
func TestImportDirection(t *testing.T) {
	const root = "github.com/ssehub-go/ssehub"
	for pkg, want := range map[string][]string{
		root + "/sse":                 {},
		root + "/client":              {root + "/sse"},
		root + "/ssetest":             {root + "/sse"},
		root + "/js":                  {},
		root + "/inspector":           {root, root + "/sse", "github.com/google/uuid"},
		root:                          {root + "/sse", "github.com/google/uuid"},
		root + "/broker/brokertest":   {root, root + "/sse", "github.com/google/uuid"},
		root + "/examples/prices":     {root, root + "/sse", "github.com/google/uuid"},
		root + "/examples/quickstart": {root, root + "/sse", "github.com/google/uuid"},
	} {
		out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", pkg).CombinedOutput()
		require.NoError(t, err, "%s", out)
		deps := []string{}
		for _, dep := range strings.Fields(string(out)) {
			if dep != pkg {
				deps = append(deps, dep)
			}
		}
		require.ElementsMatch(t, want, deps, pkg)
	}
}
