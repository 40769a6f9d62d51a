package sse_test

import (
	"io"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/ssehub-go/ssehub/sse"
	"github.com/stretchr/testify/require"
)

// The identifiers of the seed, github.com/longsleep/sse, with their types: a
// program written for it compiles with the import path changed.
var (
	_ func(http.ResponseWriter, *http.Request) (*sse.Conn, error)               = sse.Upgrade
	_ func(sse.Upgrader, http.ResponseWriter, *http.Request) (*sse.Conn, error) = sse.Upgrader.Upgrade

	_ func(*sse.Conn, []byte) error                 = (*sse.Conn).Write
	_ func(*sse.Conn, string, []byte) error         = (*sse.Conn).WriteEvent
	_ func(*sse.Conn, string, string, []byte) error = (*sse.Conn).WriteEventWithID
	_ func(*sse.Conn, string) error                 = (*sse.Conn).WriteString
	_ func(*sse.Conn, string, string) error         = (*sse.Conn).WriteStringEvent
	_ func(*sse.Conn, any) error                    = (*sse.Conn).WriteJson
	_ func(*sse.Conn, string, any) error            = (*sse.Conn).WriteJsonEvent
	_ func(*sse.Conn, any) error                    = (*sse.Conn).WriteXml
	_ func(*sse.Conn, string, any) error            = (*sse.Conn).WriteXmlEvent
	_ func(*sse.Conn) bool                          = (*sse.Conn).IsOpen
	_ func(*sse.Conn)                               = (*sse.Conn).Close

	_ func(string, *http.Client, func(string, string, io.Reader) (*http.Request, error), chan<- *sse.Event) error = sse.Notify

	// Addresses, because an assignment of the value would also take a type
	// that is only assignable.
	_ **http.Client                                           = &sse.DefaultClient
	_ *func(string, string, io.Reader) (*http.Request, error) = &sse.DefaultGetReq
	_ *error                                                  = &sse.ErrNilChan
	_ *error                                                  = &sse.ErrConnectionClosed
	_ *error                                                  = &sse.ErrStreamingNotSupported
	_ *time.Duration                                          = &new(sse.Upgrader).RetryTime
	_                                                         = func(e *sse.Event) (uri, typ, id *string, _ *io.Reader) { return &e.URI, &e.Type, &e.ID, &e.Data }
)

// The programs of the seed's README still build.
func TestCompatSeedPrograms(t *testing.T) {
	build := exec.CommandContext(t.Context(), "go", "build", "-o", t.TempDir(), "./testdata/seed/upgrade", "./testdata/seed/upgrader")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
