package ssehub_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	for _, file := range []string{"doc.go", "README.md", "SECURITY.md", "CONTRIBUTING.md", "docs/scale.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(string(text), -1) {
			require.True(t, tests[name], "%s names %s", file, name)
		}
	}
}

// The programs that the README shows compile as they stand, the parts of
// programs inside of one.
func TestReadmeCompiles(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	const around = `package main

import (
	"context"
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
	"github.com/ssehub-go/ssehub/sse"
)

var (
	_ = errors.New
	_ = json.Marshal
	_ = fmt.Sprint
	_ = log.Print
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

var url, prompt string

func part(w http.ResponseWriter, r *http.Request, ctx context.Context, server *http.Server, page *template.Template, lines chan string) {
	{ hub := ssehub.New(nil); _ = hub; {
`
	parts := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(text, -1)
	require.GreaterOrEqual(t, len(parts), 6)
	for _, m := range parts {
		code := string(m[1])
		if !regexp.MustCompile(`(?m)^package main`).MatchString(code) {
			code = around + code + "\n}}}\n\nfunc main() {}\n"
			code = regexp.MustCompile(`(?m)^err := sub.Err\(\)$`).ReplaceAllString(code, "_ = sub.Err()")
			code = regexp.MustCompile(`(?m)^hub := ssehub.New\(&`).ReplaceAllString(code, "hub = ssehub.New(&")
		}
		file := filepath.Join(t.TempDir(), "main.go")
		require.NoError(t, os.WriteFile(file, []byte(code), 0o600))
		out, err := exec.Command("go", "build", "-o", os.DevNull, file).CombinedOutput()
		require.NoError(t, err, "%s\n%s", code, out)
	}
}
