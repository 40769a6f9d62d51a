package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a shell proposes, in the shells that are there.
func TestCompletion(t *testing.T) {
	_, script, _ := command(t, "", "completion", "bash")
	complete := func(words ...string) []string {
		text := script + "\nCOMP_WORDS=(" + strings.Join(words, " ") + "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ssehub; echo ${COMPREPLY[@]}"
		out, err := exec.Command("bash", "-c", text).Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	require.Equal(t, []string{"cat", "completion"}, complete("ssehub", "c"))
	require.Equal(t, []string{"--jwt-secret", "--jwt-key", "--jwt-issuer", "--jwt-audience"}, complete("ssehub", "serve", "--jwt"))
	require.Equal(t, []string{"--jsonl"}, complete("ssehub", "cat", "http://127.0.0.1", "--js"))

	for shell, check := range map[string][]string{"zsh": {"-n"}, "fish": {"--no-execute"}} {
		_, script, _ := command(t, "", "completion", shell)
		require.Contains(t, script, "jwt-secret")
		if program, err := exec.LookPath(shell); err == nil {
			file := filepath.Join(t.TempDir(), shell)
			require.NoError(t, os.WriteFile(file, []byte(script), 0o600))
			out, err := exec.Command(program, append(check, file)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	}
}

// Each command's help has examples, and each example's flags are there.
func TestHelp(t *testing.T) {
	for _, name := range []string{"serve", "cat", "pub", "bench", "completion"} {
		code, out, _ := command(t, "", name, "--help")
		require.Equal(t, exitOK, code)
		about, flags, ok := strings.Cut(out, "Flags:")
		require.True(t, ok)
		_, examples, ok := strings.Cut(about, "Examples:")
		require.True(t, ok, name)
		for line := range strings.Lines(examples) {
			if strings.Contains(line, "ssehub "+name) {
				for _, flag := range regexp.MustCompile(`\B--[a-z][a-z-]+`).FindAllString(line, -1) {
					require.Contains(t, flags, flag, name)
				}
			}
		}
	}
	code, out, _ := command(t, "", "--version")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `^ssehub \S+.* go1\.\d+`, out)
	code, out, _ = command(t, "")
	require.Equal(t, exitOK, code)
	require.Contains(t, out, "Usage: ssehub")
}
