package inspector_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/inspector"
	"github.com/stretchr/testify/require"
)

// Nobody publishes unless Options.Publish says so, of the topic.
func TestPublish(t *testing.T) {
	some := func(r *http.Request, topic string) bool {
		return r.Header.Get("X-Operator") == "ann" && topic != "billing"
	}
	ann := []string{"X-Operator", "ann"}
	for name, tt := range map[string]struct {
		opts   *inspector.Options
		form   url.Values
		header []string
		status int
		says   string
	}{
		"off":            {nil, url.Values{"topic": {"n"}}, ann, http.StatusForbidden, "Options.Publish"},
		"another topic":  {&inspector.Options{Publish: some}, url.Values{"topic": {"billing"}}, ann, http.StatusForbidden, "this topic"},
		"somebody else":  {&inspector.Options{Publish: some}, url.Values{"topic": {"n"}}, nil, http.StatusForbidden, "this topic"},
		"no topic":       {&inspector.Options{Publish: some}, url.Values{}, ann, http.StatusBadRequest, "invalid topic"},
		"a pattern":      {&inspector.Options{Publish: some}, url.Values{"topic": {"n.*"}}, ann, http.StatusBadRequest, "invalid topic"},
		"a forged field": {&inspector.Options{Publish: some}, url.Values{"topic": {"n"}, "type": {"a\nid: 1"}}, ann, http.StatusBadRequest, "invalid field"},
		"too large":      {&inspector.Options{Publish: some}, url.Values{"topic": {"n"}, "data": {strings.Repeat("x", 1<<17)}}, ann, http.StatusRequestEntityTooLarge, "too large"},
		"allowed":        {&inspector.Options{Publish: some}, url.Values{"topic": {"n"}, "type": {"t"}, "data": {"<b>"}}, ann, http.StatusOK, `{"id":`},
	} {
		t.Run(name, func(t *testing.T) {
			s, end := inspect(t, nil, tt.opts)
			defer end()
			status, body := s.post("/inspector/publish", tt.form, tt.header...)
			require.Equal(t, tt.status, status, body)
			require.Contains(t, body, tt.says)
			require.Equal(t, tt.opts != nil, s.look("").Publish)
			messages, _, err := s.hub.History(t.Context(), "n", ssehub.Position{}, 0)
			require.NoError(t, err)
			if tt.status != http.StatusOK {
				require.Empty(t, messages)
				return
			}
			require.Len(t, messages, 1)
			require.Equal(t, "t", messages[0].Type)
			require.Equal(t, "<b>", string(messages[0].Data))
		})
	}
}

// A connection that is closed comes back, or stays away, and nobody else is touched.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, end := inspect(t, &ssehub.Options{
			Authorize: func(r *http.Request, _ []string) (ssehub.Grant, error) {
				return ssehub.Grant{Subject: r.FormValue("as")}, nil
			},
		}, nil)
		defer end()
		read := func(subject string) *client.Subscription {
			return client.Subscribe(t.Context(), s.server.URL+"/events?topic=n&as="+subject, &client.Options{HTTPClient: s.server.Client()})
		}
		ann, bob := read("ann"), read("bob")
		defer ann.Close()
		defer bob.Close()
		synctest.Wait()
		connOf := func(subject string) string {
			l := s.look("view=subscribers&q=" + subject)
			require.Equal(t, 1, l.Total)
			require.Equal(t, subject, l.Subscribers[0].Subject)
			return l.Subscribers[0].Conn
		}
		before, others := connOf("ann"), connOf("bob")
		status, body := s.post("/inspector/close", url.Values{"conn": {before}, "again": {"true"}})
		require.Equal(t, http.StatusOK, status, body)
		s.publish("n", "for ann")
		require.Equal(t, "for ann", string((<-ann.Events()).Data), "it came back")
		require.NotEqual(t, before, connOf("ann"))

		status, body = s.post("/inspector/close", url.Values{"conn": {connOf("ann")}})
		require.Equal(t, http.StatusOK, status, body)
		for range ann.Events() {
		}
		require.ErrorIs(t, ann.Err(), client.ErrRevoked)
		require.Equal(t, others, connOf("bob"))
		status, _ = s.post("/inspector/close", url.Values{"conn": {before}})
		require.Equal(t, http.StatusNotFound, status)
	})
}
