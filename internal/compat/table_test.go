package compat

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/compat.md")

const document = "../../docs/compat.md"

// The document says what the rows want, which the other tests hold.
func TestTable(t *testing.T) {
	var d doc
	d.versions(t, "go.mod", `(?m)^\s*(\S+) (v\S+)`)
	d.versions(t, npm+"/package.json", `"(\S+)": "([^"]+)"`)
	d.text = intro
	d.table("row, version, answer, event, heartbeats, resumes, client's leaving is noticed, connection taken over, write deadline, gzip")
	for _, s := range servers {
		d.row(s.name, s.module, s.note, s.want)
	}
	d.footnotes()
	d.text += proxies + readers
	d.table("row, version, events, resumes, heartbeats, the hub's own events, stops")
	for _, c := range clients {
		d.row(c.name, c.module, c.note, c.want)
	}
	d.footnotes()
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(d.text), 0o644))
	}
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	require.True(t, d.text == string(text), "%s is not what the rows say: go test -run TestTable -update", document)
}

// doc is the document as it grows.
type doc struct {
	text    string
	version map[string]string
	notes   []string
	noted   int // of them are in text
}

// versions reads what the tests run with.
func (d *doc) versions(t *testing.T, file, line string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	if d.version == nil {
		d.version = map[string]string{"": ""}
	}
	for _, m := range regexp.MustCompile(line).FindAllStringSubmatch(string(text), -1) {
		d.version[m[1]] = m[2]
	}
}

func (d *doc) table(columns string) {
	head := strings.Split(columns, ", ")
	head[0] = ""
	d.text += "\n| " + strings.Join(head, " | ") + " |\n|" + strings.Repeat("---|", len(head)) + "\n"
}

// row writes the fields of facts, in their order.
func (d *doc) row(name, module, note string, facts any) {
	version, ok := d.version[module]
	if !ok {
		panic("no version of " + module)
	}
	cells := []string{name + d.footnote(note), version}
	for v := reflect.ValueOf(facts); len(cells) < v.NumField()+2; {
		cells = append(cells, v.Field(len(cells)-2).String())
	}
	d.text += "| " + strings.Join(cells, " | ") + " |\n"
}

// footnote returns the sign of a note, each of which is written once.
func (d *doc) footnote(note string) string {
	if note == "" {
		return ""
	}
	for i, other := range d.notes {
		if other == note {
			return fmt.Sprintf(" [^%d]", i+1)
		}
	}
	d.notes = append(d.notes, note)
	return fmt.Sprintf(" [^%d]", len(d.notes))
}

func (d *doc) footnotes() {
	for ; d.noted < len(d.notes); d.noted++ {
		d.text += fmt.Sprintf("\n[^%d]: %s\n", d.noted+1, d.notes[d.noted])
	}
}

const intro = `# What it works with

Every row of these tables is a test that runs with the versions that are named: ` + "`cd internal/compat && go test .`" + `, and ` + "`go test -run TestTable -update .`" + ` writes this page from them. All is measured over loopback, on Linux; an empty cell means no.

## Servers, routers and middleware

In front of ` + "`hub.Handler`" + `, with the options of a new hub unless the row says ` + "`NoHijack`" + `. An event is at once if it arrives though nothing follows it; that a client has left is noticed at once if that needs no write. Where the connection is taken over, the middleware sees a short request, and the stream goes past it.
`

const proxies = `
## Proxies

nginx, HAProxy and Caddy need no setting. The head and each event come at once, resume works (` + "`TestAtOnce`" + `), a client that leaves is noticed, behind HAProxy at the next write (` + "`TestCut`" + `), heartbeats outlast the proxies' idle times (` + "`TestQuiet`" + `), and a name that is passed on has to be in ` + "`Options.AllowedHosts`" + ` (` + "`TestHost`" + `): ` + "`CI=true go test ./internal/proxies`" + `.
`

const readers = `
## Clients

Each reads a hub's stream through a proxy, which cuts it in the middle of an event; then the hub ends it and asks to come back, and then says to stay away (` + "`Revoke`" + `, to which status 204 is the answer on return). Heartbeats are unseen if the application gets nothing of them; of the hub's own events, ` + "`ssehub.hello`" + ` among them, by type means that a callback for all events gets them, and unseen that it takes a listener of their name. Chromium and node 20 run those from npm.
`
