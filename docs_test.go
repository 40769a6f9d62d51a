package ssehub_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every test that the documentation names exists.
func TestDocsNameRealTests(t *testing.T) {
	tests := map[string]bool{}
	var files []string
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllSubmatch(text, -1) {
			tests[string(m[1])] = true
		}
	}
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(string(text), -1) {
			require.True(t, tests[name], "%s names %s", file, name)
		}
	}
}

// documents are all files that say something of the code.
func documents(t *testing.T) []string {
	guides, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	return append(guides, "doc.go", "README.md", "SECURITY.md", "CONTRIBUTING.md")
}

// What the documents link to is there.
func TestDocsLinks(t *testing.T) {
	for _, file := range append(documents(t), "CHANGELOG.md", "llms.txt") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "")
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#([^)]+))?\)`).FindAllStringSubmatch(prose, -1) {
			to := filepath.Join(filepath.Dir(file), m[1])
			_, err := os.Stat(to)
			require.NoError(t, err, "%s links to %s", file, m[1])
			if m[2] != "" && filepath.Ext(to) == ".md" {
				require.Contains(t, headings(t, to), m[2], "%s links to %s", file, m[0])
			}
		}
	}
}

// headings are those of a document, as links name them.
func headings(t *testing.T, file string) (names []string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// The programs that the README and the guides show compile as they stand, the parts of
// programs inside of one. What needs another module names the file that it is from.
func TestDocsCompile(t *testing.T) {
	guides, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	dir := newModule(t)
	n := 0
	for _, file := range append([]string{"README.md"}, guides...) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile("(?s)(?:<!-- (\\S+) -->\n)?```go\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			n++
			if m[1] != "" {
				requireLines(t, filepath.Join(filepath.Dir(file), m[1]), m[2])
				continue
			}
			program := filepath.Join(dir, fmt.Sprint(filepath.Base(file), n), "main.go")
			require.NoError(t, os.Mkdir(filepath.Dir(program), 0o700))
			require.NoError(t, os.WriteFile(program, []byte(inProgram(m[2])), 0o600))
		}
	}
	require.GreaterOrEqual(t, n, 13)
	vet := exec.Command("go", "vet", "-mod=mod", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOWORK=off")
	out, err := vet.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// requireLines sees that a file has all lines of a part.
func requireLines(t *testing.T, file, part string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(part) {
		require.Contains(t, string(text), strings.TrimSpace(line), "%s", file)
	}
}

// newModule returns the folder of a module that uses this one.
func newModule(t *testing.T) string {
	root, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	mod := "module docs\n\ngo 1.26\n\nrequire github.com/ssehub-go/ssehub v0.0.0\n\nreplace github.com/ssehub-go/ssehub => " + root + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600))
	sums, err := os.ReadFile("go.sum")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600))
	return dir
}

// inProgram puts a part of a program into one, with what the part may use.
func inProgram(code string) string {
	if regexp.MustCompile(`(?m)^package main`).MatchString(code) {
		return code
	}
	code = regexp.MustCompile(`(?m)^err := sub.Err\(\)$`).ReplaceAllString(code, "_ = sub.Err()")
	code = regexp.MustCompile(`(?m)^hub := ssehub.New\(&`).ReplaceAllString(code, "hub = ssehub.New(&")
	return partPrelude + code + "\n}}}\n\nfunc main() {}\n"
}

const partPrelude = `package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"text/template"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/js"
	"github.com/ssehub-go/ssehub/sse"
)

var (
	_ = js.Handler
	_ = errors.New
	_ = json.Marshal
	_ = fmt.Sprint
	_ = log.Print
	_ = rand.Text
	_ strings.Reader
	_ time.Time
	_ template.Template
	_ client.Options
	_ sse.Message
	_ ssehub.Options
)

type user struct {
	Name       string
	SessionEnd time.Time
}

func (user) MayRead([]string) bool            { return true }
func session(*http.Request) (u user, err error) { return u, err }
func readPrices() (prices []int)               { return prices }

type Chunk struct{}

func (Chunk) Text() string { return "" }
func token() string        { return "" }
func answer(_, _ string)   {}

var url, prompt string

func part(w http.ResponseWriter, r *http.Request, ctx context.Context, server *http.Server, page *template.Template, lines chan string) {
	{ hub := ssehub.New(nil); _ = hub; {
`
