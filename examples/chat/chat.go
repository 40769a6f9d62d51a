package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	maxText   = 2000
	shownText = 50 // messages that one sees who comes in
)

// A room has two topics: what is said in it, and who is there.
const (
	saidIn   = "room."
	peopleIn = "people."
)

// chat has no accounts: who one is, one says oneself. See examples/login for a real
// sign-in.
type chat struct {
	hub      *ssehub.Hub
	presence *presence
}

// said is the data of an event "said".
type said struct {
	User string    `json:"user"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

func newChat() *chat {
	c := &chat{presence: newPresence()}
	c.hub = ssehub.New(&ssehub.Options{
		Authorize: authorize,
		History:   ssehub.Retention{Events: 1000, Age: 24 * time.Hour},
		Limits:    ssehub.Limits{PerSubject: 20, PerAddr: 200},
		OverflowFor: func(topic string) ssehub.Overflow {
			if strings.HasPrefix(topic, peopleIn) {
				return ssehub.Latest // a value for each of the people
			}
			return ssehub.SkipToOldest
		},
		SnapshotFor: func(topic string) ssehub.Snapshot {
			if strings.HasPrefix(topic, saidIn) {
				return c.lately
			}
			return nil
		},
		Trace: c.presence.trace(),
	})
	c.presence.hub = c.hub
	return c
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,20}$`) // a token of a topic

func authorize(r *http.Request, topics []string) (ssehub.Grant, error) {
	user := r.URL.Query().Get("user")
	if !validName.MatchString(user) {
		return ssehub.Grant{}, errors.New("no name")
	}
	for _, topic := range topics {
		room := strings.TrimPrefix(strings.TrimPrefix(topic, saidIn), peopleIn)
		if !validName.MatchString(room) {
			return ssehub.Grant{}, errors.New("no room")
		}
	}
	return ssehub.Grant{Subject: user}, nil
}

// lately is what was said last, as one message: what a page begins with, and what it
// goes on from when it has missed something.
func (c *chat) lately(ctx context.Context, topic string) (sse.Message, ssehub.Position, error) {
	messages, asOf, err := c.hub.History(ctx, topic, ssehub.Position{}, shownText)
	if err != nil {
		return sse.Message{}, ssehub.Position{}, err
	}
	var data bytes.Buffer
	data.WriteByte('[')
	for i, m := range messages {
		if i > 0 {
			data.WriteByte(',')
		}
		data.Write(m.Data)
	}
	data.WriteByte(']')
	return sse.Message{Type: "lately", Data: data.Bytes()}, asOf, nil
}

func (c *chat) say(w http.ResponseWriter, r *http.Request) {
	room, user, ok := who(w, r)
	text := strings.TrimSpace(r.FormValue("text"))
	if !ok {
		return
	}
	if text == "" || len(text) > maxText {
		http.Error(w, "say something, in at most 2000 bytes", http.StatusBadRequest)
		return
	}
	data, err := json.Marshal(said{User: user, Text: text, At: time.Now().UTC().Truncate(time.Second)})
	if err == nil {
		// A page that got no answer sends again, with the same key.
		_, err = c.hub.PublishWith(r.Context(), saidIn+room, sse.Message{Type: "said", Data: data},
			ssehub.PublishOptions{IdempotencyKey: r.Header.Get("Idempotency-Key")})
	}
	if err != nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
}

// typing is for those who look now, and for nobody later.
func (c *chat) typing(w http.ResponseWriter, r *http.Request) {
	room, user, ok := who(w, r)
	if !ok {
		return
	}
	_, err := c.hub.PublishWith(r.Context(), saidIn+room, sse.Message{Type: "typing", Data: []byte(user)}, ssehub.PublishOptions{Ephemeral: true})
	if err != nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}
}

func who(w http.ResponseWriter, r *http.Request) (room, user string, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxText)
	room, user = r.FormValue("room"), r.FormValue("user")
	if ok = !slices.ContainsFunc([]string{room, user}, func(s string) bool { return !validName.MatchString(s) }); !ok {
		http.Error(w, "say who, and where: 1 to 20 of a-z, 0-9 and -", http.StatusBadRequest)
	}
	return room, user, ok
}
