package ssehub_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each attack and fault has its row in SECURITY.md, with a test or the reason why there
// is none; and a test that says which it is about is in that row.
func TestWall(t *testing.T) {
	const faults = 100
	text, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| (\d+) \| (.+?) \| (.+) \|$`).FindAllStringSubmatch(string(text), -1)
	require.Equal(t, faults, len(rows))
	held := make([]string, faults+1)
	for i, row := range rows {
		require.Equal(t, strconv.Itoa(i+1), row[1])
		require.Regexp(t, `\b(Test|Fuzz|Benchmark)[A-Z]|^(cannot be|has nothing to test|is a step)`, row[3], "row %s", row[1])
		held[i+1] = row[3]
	}
	about := regexp.MustCompile(`((?://.*\n)+)func ((?:Test|Fuzz)\w+)\(`)
	numbers := regexp.MustCompile(`(?i)faults? (\d+(?:(?:, | and )\d+)*)`)
	err = filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range about.FindAllStringSubmatch(string(code), -1) {
			comment := strings.ReplaceAll(m[1], "\n// ", " ")
			for _, list := range numbers.FindAllStringSubmatch(comment, -1) {
				for _, number := range regexp.MustCompile(`\d+`).FindAllString(list[1], -1) {
					n, _ := strconv.Atoi(number)
					require.Contains(t, held[n], m[2], "row %d, and %s", n, path)
				}
			}
		}
		return nil
	})
	require.NoError(t, err)
}
