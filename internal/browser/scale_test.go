package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var docs = filepath.Join("..", "..", "docs")

// The calculator comes to what the table in scale.md says.
func TestScaleCalculator(t *testing.T) {
	files := httptest.NewServer(http.FileServer(http.Dir(docs)))
	defer files.Close()
	p := openPageAt(t, strings.TrimPrefix(files.URL, "http://"), "/scale.html")
	table := estimates(t)
	require.GreaterOrEqual(t, len(table), 5)
	for _, row := range table {
		given, want := row[:8], row[8:]
		p.set("transport", given[0])
		for i, name := range []string{"connections", "events", "share", "topics", "cores", "memory", "network"} {
			p.set(name, strings.ReplaceAll(given[1+i], ",", ""))
		}
		var got []string
		for _, id := range []string{"process", "kernel", "files", "cores", "network", "limit"} {
			text := eval[string](p, fmt.Sprintf(`document.querySelector("output#%s").value`, id))
			before, _, _ := strings.Cut(text, ", ")
			if id != "limit" {
				before = text
			}
			got = append(got, before)
		}
		assert.Equal(t, want, got, "%s", given)
	}

	// The address keeps what was entered.
	p.set("connections", "12345")
	p.do(chromedp.Reload())
	p.wait(`document.querySelector("[name=connections]").value === "12345"`)
	p.shoot(os.Getenv("SCREENSHOTS"), "scale")
}

// set enters a value as a visitor does.
func (p *page) set(field, value string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`{
		const field = document.querySelector("[name=%s]");
		field.value = %q;
		field.dispatchEvent(new Event("input", { bubbles: true }));
	}`, field, value)))
}

// estimates are the rows of the table in scale.md that begins with a transport.
func estimates(t *testing.T) (rows [][]string) {
	text, err := os.ReadFile(filepath.Join(docs, "scale.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| transport | connections |")
	require.True(t, found)
	for i, line := range strings.Split(table, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		row := strings.Split(strings.Trim(line, "| "), "|")
		for k := range row {
			row[k] = strings.TrimSpace(row[k])
		}
		require.Len(t, row, 14, "row %d", i)
		rows = append(rows, row)
	}
	return rows
}
