package ssehub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
	"github.com/ssehub-go/ssehub/ssetest"
	"github.com/stretchr/testify/require"
)

// What a request brings with it to show who it is reaches no log, no hook, no figure
// and no answer, whatever becomes of it. Faults 83.
func TestSecretsStayInside(t *testing.T) {
	const secret = "s3cr3t"
	for name, opts := range map[string]ssehub.Options{
		"streams":    {},
		"denied":     {Authorize: func(*http.Request, []string) (ssehub.Grant, error) { return ssehub.Grant{}, errors.New("no") }},
		"panics":     {Authorize: func(*http.Request, []string) (ssehub.Grant, error) { panic("no") }},
		"expired":    {Authorize: granting(ssehub.Grant{Expires: time.Unix(1, 0)})},
		"ends":       {MaxAge: time.Second},
		"is revoked": {Authorize: granting(ssehub.Grant{Check: func(context.Context) error { return errors.New("no") }}), Heartbeat: time.Second},
		"too many":   {Limits: ssehub.Limits{ConnectRate: 1e-9}},
		"wrong site": {AllowedOrigins: []string{"https://other.example"}},
		"wrong host": {AllowedHosts: []string{"other.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var log bytes.Buffer
				note := func(args ...any) {
					mu.Lock()
					defer mu.Unlock()
					fmt.Fprintf(&log, "%+v\n", args)
				}
				opts.Logger = slog.New(slog.NewTextHandler(&locked{w: &log, mu: &mu}, &slog.HandlerOptions{Level: slog.LevelDebug}))
				opts.Trace = &ssehub.Trace{
					Joined:  func(s ssehub.SubscriberInfo) { note(s) },
					Left:    func(s ssehub.SubscriberInfo, err error) { note(s, err) },
					Gap:     func(s ssehub.SubscriberInfo, gap sse.Gap) { note(s, gap.Reason, gap.To) },
					Written: func(s ssehub.SubscriberInfo, w ssehub.WriteInfo) { note(s, w) },
				}
				hub := newHub(t, &opts)
				var done sync.WaitGroup
				var recs []*ssetest.Recorder
				for range 2 {
					r := httptest.NewRequest(http.MethodGet, "/?topic=a&topic=b&token="+secret, nil).WithContext(t.Context())
					if name == "wrong site" {
						r.Header.Set("Origin", "https://app.example")
						r.Header.Set("Sec-Fetch-Site", "cross-site")
					}
					r.Header.Set("Authorization", "Bearer "+secret)
					r.Header.Set("Cookie", "session="+secret)
					r.Header.Set("Referer", "https://app.example/?token="+secret)
					rec := ssetest.NewRecorder()
					recs = append(recs, rec)
					done.Go(func() {
						defer func() { _ = recover() }()
						hub.Handler("a").ServeHTTP(rec, r)
					})
					time.Sleep(3 * time.Second)
					publish(t, hub, "a", "x")
				}
				synctest.Wait()
				require.Equal(t, name == "streams", strings.Contains(recs[1].Text(), "data: x"))
				hub.Close()
				done.Wait()
				for _, rec := range recs {
					require.NotContains(t, rec.Text()+fmt.Sprint(rec.Header()), secret)
				}
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, name == "panics", log.Len() == 0) // that one goes to http.Server
				require.NotContains(t, log.String(), secret)
				require.NotContains(t, fmt.Sprintf("%+v", hub.Stats()), secret)
			})
		})
	}
}

// Refusals without end fill no log, and none is left out of the count. Faults 99.
func TestRefusalsAreLoggedInMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		hub := newHub(t, &ssehub.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		const each = 1000
		for range 3 {
			for range each {
				w := httptest.NewRecorder()
				hub.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?topic=a", nil)) // has no Authorize
				require.Equal(t, 403, w.Code)
			}
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 3*each, hub.Stats().Refused["denied"])
		require.Equal(t, 30, strings.Count(log.String(), "ssehub: refused"))
		require.Equal(t, 2, strings.Count(log.String(), fmt.Sprintf("unsaid=%d", each-10)))
	})
}

// Of a refusal that an option would end the log names that.
func TestRefusalsNameTheOption(t *testing.T) {
	for option, set := range map[string]func(*http.Request){
		"Options.Authorize":      func(*http.Request) {},
		"Options.AllowedOrigins": func(r *http.Request) { r.Header.Set("Origin", "https://other.example") },
		"Options.AllowedHosts":   func(r *http.Request) { r.Host = "other.example" },
	} {
		t.Run(option, func(t *testing.T) {
			var log bytes.Buffer
			hub := newHub(t, &ssehub.Options{
				AllowedHosts: []string{"app.example"},
				Logger:       slog.New(slog.NewTextHandler(&log, nil)),
			})
			r := httptest.NewRequest(http.MethodGet, "http://app.example/?topic=a", nil)
			set(r)
			w := httptest.NewRecorder()
			hub.Handler().ServeHTTP(w, r)
			require.Contains(t, log.String(), "see="+option+"\n")
			require.Contains(t, w.Body.String(), "ssehub's "+option)
		})
	}
}

// granting allows everything.
func granting(grant ssehub.Grant) func(*http.Request, []string) (ssehub.Grant, error) {
	return func(*http.Request, []string) (ssehub.Grant, error) { return grant, nil }
}
