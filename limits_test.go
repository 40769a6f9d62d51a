package ssehub_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/stretchr/testify/require"
)

// limited is a hub whose requests say themselves who they are, and what they get.
type limited struct {
	*ssehub.Hub
	t *testing.T
}

func newLimited(t *testing.T, limits ssehub.Limits) limited {
	return limited{newHub(t, &ssehub.Options{Limits: limits, Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
		return ssehub.Grant{Subject: r.URL.Query().Get("user")}, nil
	}}), t}
}

// open opens a stream that lasts, and returns what ends it.
func (l limited) open(query string) (end func()) {
	l.t.Helper()
	before := l.Stats().Subscribers
	_, cut := stream(l.t, l.Handler(), "/?topic=n&"+query, "")
	synctest.Wait()
	require.Equal(l.t, before+1, l.Stats().Subscribers)
	return func() { cut(); synctest.Wait() }
}

// refused asks for a stream more, in the manner of an EventSource or another, and
// returns the answer.
func (l limited) refused(query, accept string) *httptest.ResponseRecorder {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
	defer cancel()
	r := httptest.NewRequest(http.MethodGet, "/?topic=n&"+query, nil).WithContext(ctx)
	r.RemoteAddr = ""
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	l.Handler().ServeHTTP(w, r) // returns at once, unless it is no refusal
	return w
}

// A limit that is reached refuses who is new, and nobody else, in a way that each
// kind of client comes back from. Faults 52.
func TestLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		limits ssehub.Limits
		first  string
		reason string
		status int
	}{
		"streams": {ssehub.Limits{Streams: 2}, "user=a", "streams", 503},
		"subject": {ssehub.Limits{PerSubject: 2}, "user=a", "subject", 429},
		"topic":   {ssehub.Limits{PerTopic: 2}, "user=a", "topic", 503},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newLimited(t, tt.limits)
				end := hub.open(tt.first)
				hub.open(tt.first)
				for range 3 { // a refused one counts for nothing
					browser := hub.refused(tt.first, "text/event-stream")
					require.Equal(t, 200, browser.Code)
					retry, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(browser.Body.String(), "retry: "), "\n"))
					require.NoError(t, err, browser.Body)
					require.GreaterOrEqual(t, retry, 10_000)
					other := hub.refused(tt.first, "*/*")
					require.Equal(t, tt.status, other.Code)
					require.NotEmpty(t, other.Header().Get("Retry-After"))
				}
				require.Equal(t, 2, hub.Stats().Subscribers)
				require.EqualValues(t, 6, hub.Stats().Refused[tt.reason])
				end()
				hub.open(tt.first) // there is room again
				require.Equal(t, 2, hub.Stats().Streams)
			})
		})
	}
}

// Others than those whom a limit is about do not count, nor do Subscriptions.
func TestLimitsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newLimited(t, ssehub.Limits{PerSubject: 1})
		hub.open("user=a")
		hub.open("user=b")
		hub.open("") // nobody by name
		hub.open("")
		require.Equal(t, 429, hub.refused("user=b", "").Code)

		hub = newLimited(t, ssehub.Limits{Streams: 1})
		_, err := hub.Subscribe(t.Context(), "n")
		require.NoError(t, err)
		hub.open("")
		require.Equal(t, 503, hub.refused("", "").Code)

		hub = newLimited(t, ssehub.Limits{PerTopic: 1})
		hub.open("topic=other")
		require.Equal(t, 503, hub.refused("", "").Code)
		require.Equal(t, 503, hub.refused("topic=third", "").Code)
	})
}

// A stream that has joined does not lose its place by its limits.
func TestLimitsWhileStreaming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newLimited(t, ssehub.Limits{Streams: 1, PerTopic: 1, PerSubject: 1})
		for range 100 {
			end := hub.open("user=a")
			hub.refused("user=a", "")
			publish(t, hub.Hub, "n", "x")
			end()
		}
		require.Zero(t, hub.Stats().Streams)
	})
}

// The address of a client is that of its connection, unless a proxy that is
// trusted says otherwise. Faults 53.
func TestLimitPerAddr(t *testing.T) {
	prefixes := func(s ...string) (all []netip.Prefix) {
		for _, s := range s {
			all = append(all, netip.MustParsePrefix(s))
		}
		return all
	}
	for name, tt := range map[string]struct {
		proxies       []netip.Prefix
		remote        string
		first, second string // X-Forwarded-For
		same          bool   // they are taken for one client
	}{
		"no proxy":                 {nil, "192.0.2.1:1", "", "", true},
		"spoofed":                  {nil, "192.0.2.1:1", "198.51.100.1", "198.51.100.2", true},
		"spoofed, not by a proxy":  {prefixes("10.0.0.0/8"), "192.0.2.1:1", "198.51.100.1", "198.51.100.2", true},
		"behind a proxy":           {prefixes("10.0.0.0/8"), "10.0.0.1:1", "198.51.100.1", "198.51.100.2", false},
		"the same behind a proxy":  {prefixes("10.0.0.0/8"), "10.0.0.1:1", "198.51.100.1", "198.51.100.1", true},
		"spoofed behind a proxy":   {prefixes("10.0.0.0/8"), "10.0.0.1:1", "198.51.100.1, 198.51.100.9", "198.51.100.2, 198.51.100.9", true},
		"two proxies":              {prefixes("10.0.0.0/8", "203.0.113.0/24"), "10.0.0.1:1", "198.51.100.1, 203.0.113.7", "198.51.100.2, 203.0.113.8", false},
		"nonsense behind a proxy":  {prefixes("10.0.0.0/8"), "10.0.0.1:1", "198.51.100.1, x", "198.51.100.2, y", true},
		"with ports":               {prefixes("10.0.0.0/8"), "10.0.0.1:1", "198.51.100.1:5", "198.51.100.1:6", true},
		"IPv6 with ports":          {prefixes("10.0.0.0/8"), "10.0.0.1:1", "[2001:db8::1]:5", "[2001:db8::2]:6", true},
		"IPv6, another network":    {prefixes("10.0.0.0/8"), "10.0.0.1:1", "2001:db8::1", "2001:db8:0:1::1", false},
		"IPv4 in IPv6":             {prefixes("10.0.0.0/8"), "[::ffff:10.0.0.1]:1", "::ffff:198.51.100.1", "198.51.100.1", true},
		"IPv4 in IPv6 are two":     {prefixes("10.0.0.0/8"), "10.0.0.1:1", "::ffff:198.51.100.1", "::ffff:198.51.100.2", false},
		"over a Unix socket":       {prefixes("10.0.0.0/8"), "@", "198.51.100.1", "198.51.100.2", false},
		"over a Unix socket, once": {prefixes("10.0.0.0/8"), "@", "198.51.100.1", "198.51.100.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			hub := newHub(t, &ssehub.Options{Limits: ssehub.Limits{PerAddr: 1, TrustedProxies: tt.proxies}})
			started, over := make(chan struct{}, 1), make(chan struct{})
			ask := func(forwarded string, w http.ResponseWriter) {
				r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(t.Context())
				r.RemoteAddr = tt.remote
				if forwarded != "" {
					r.Header.Set("X-Forwarded-For", forwarded)
				}
				hub.Handler("n").ServeHTTP(w, r)
			}
			go func() {
				defer close(over)
				ask(tt.first, notifying{httptest.NewRecorder(), started})
			}()
			<-started
			w := httptest.NewRecorder()
			done := make(chan struct{}, 1)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				ask(tt.second, notifying{w, done})
			}()
			<-done // refused, or on
			require.Equal(t, tt.same, hub.Stats().Refused["addr"] == 1)
			hub.Close()
			<-over
			<-ended
		})
	}
}

// notifying says when there is a head.
type notifying struct {
	*httptest.ResponseRecorder
	started chan struct{}
}

func newNotifying() notifying {
	return notifying{httptest.NewRecorder(), make(chan struct{}, 1)}
}

func (n notifying) WriteHeader(status int) {
	n.ResponseRecorder.WriteHeader(status)
	n.note()
}

func (n notifying) FlushError() error {
	n.Flush()
	n.note()
	return nil
}

func (n notifying) note() {
	select {
	case n.started <- struct{}{}:
	default:
	}
}

// A crowd that comes at once is let in at the rate, and each of those who are sent
// away is told a time of its own, so that nobody has to come more than twice.
func TestConnectRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, crowd = 100, 1000
		hub := newLimited(t, ssehub.Limits{ConnectRate: rate})
		in, times := 0, []time.Duration{}
		come := func() {
			w := hub.refused("", "text/event-stream")
			retry, found := strings.CutPrefix(w.Body.String(), "retry: ")
			require.True(t, found)
			ms, err := strconv.Atoi(strings.TrimSpace(retry))
			require.NoError(t, err)
			times = append(times, time.Duration(ms)*time.Millisecond)
		}
		for range rate {
			hub.open("")
			in++
		}
		for range crowd - rate {
			come()
		}
		perSecond := map[time.Duration]int{}
		for _, d := range times {
			perSecond[d.Truncate(time.Second)]++
		}
		for second, n := range perSecond {
			require.LessOrEqual(t, n, 2*rate, "%v: %v", second, perSecond) // the first second's wait is rounded up
		}
		start := time.Now()
		for _, d := range times {
			time.Sleep(time.Until(start.Add(d)))
			hub.open("")
			in++
		}
		require.Equal(t, crowd, in)
		require.InDelta(t, 10, time.Since(start).Seconds(), 1.5)
		require.EqualValues(t, crowd-rate, hub.Stats().Refused["rate"])
	})
}

// However many come, nobody is told a time that is far off.
func TestConnectRateUnderAttack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newLimited(t, ssehub.Limits{ConnectRate: 10})
		for range 10 {
			hub.open("")
		}
		for range 10_000 {
			hub.refused("", "text/event-stream")
		}
		var ms int
		_, err := fmt.Sscanf(hub.refused("", "text/event-stream").Body.String(), "retry: %d", &ms)
		require.NoError(t, err)
		require.LessOrEqual(t, ms, 31_000)
		time.Sleep(time.Second)
		hub.open("")
	})
}
