package ssetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ssehub-go/ssehub/sse"
)

// Checks returns all checks, in the order of their difficulty.
func Checks() []Check {
	return []Check{
		{Name: "head at once", Why: "a page is not connected, and a proxy gives up, until there is a head", run: (*checking).headAtOnce},
		{Name: "not cached", Why: "a cache in between may hold back what it may keep", run: (*checking).notCached},
		{Name: "event at once", Why: "the last event before a pause must not wait for the next one", run: (*checking).eventAtOnce},
		{Name: "outlives WriteTimeout", Why: "an http.Server that has one is for requests, and a stream would end with it", run: (*checking).outlivesTimeout, writeTimeout: writeTimeout},
		{Name: "line breaks", Why: "data with any kind of line break is one event", run: (*checking).lineBreaks},
		{Name: "no forged fields", Why: "who can choose a type could add data to it", run: (*checking).noForgedFields},
		{Name: "order", Why: "all readers see all events in the order in which they were published", run: (*checking).order},
		{Name: "heartbeat", Why: "proxies close quiet connections, and nobody sees one that is dead", run: (*checking).heartbeat},
		{Name: "resume", Why: "who was cut must get what it missed, once", run: (*checking).resume},
		{Name: "unknown id told", Why: "a client that may have lost something must hear of it", run: (*checking).unknownID},
		{Name: "stuck reader", Why: "one client that does not read must hold up neither the others nor the publisher", run: (*checking).stuckReader},
		{Name: "clients that leave", Why: "others must get their events when some leave at the same time", run: (*checking).clientsLeave},
		{Name: "HEAD", Why: "a request without a body must be answered", run: (*checking).head},
		{Name: "ends", Why: "a deployment waits for http.Server.Shutdown", run: (*checking).ends},
	}
}

func (k *checking) headAtOnce() error {
	r, err := k.open("")
	if err != nil {
		return err
	}
	r.close()
	return nil
}

func (k *checking) notCached() error {
	r, err := k.open("")
	if err != nil {
		return err
	}
	defer r.close()
	if cache := r.res.Header.Get("Cache-Control"); !strings.Contains(cache, "no-cache") && !strings.Contains(cache, "no-store") {
		return fmt.Errorf("Cache-Control is %q", cache)
	}
	return nil
}

func (k *checking) eventAtOnce() error {
	r, err := k.ready()
	if err != nil {
		return err
	}
	defer r.close()
	if err := k.publish("one"); err != nil {
		return err
	}
	_, err = r.expect("one")
	return err
}

// ready opens a stream that gets what is published from now on. As not every server
// says when that is, events are published until one comes.
func (k *checking) ready() (*reading, error) {
	r, err := k.open("")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(k.ctx, soon)
	defer cancel()
	came := make(chan error, 1)
	go func() {
		for {
			m, err := r.message()
			if err != nil || strings.HasPrefix(string(m.Data), "ready") {
				came <- err
				return
			}
		}
	}()
	n := 0
	for tick := time.NewTicker(20 * time.Millisecond); ; n++ {
		if err := k.publish(fmt.Sprint("ready ", n)); err != nil {
			return r, err
		}
		select {
		case err := <-came:
			tick.Stop()
			if err == nil {
				err = r.skipTo(k, "go")
			}
			return r, err
		case <-ctx.Done():
			tick.Stop()
			r.close()
			return r, errors.New("no event comes")
		case <-tick.C:
		}
	}
}

// skipTo publishes text and reads up to it.
func (r *reading) skipTo(k *checking, text string) error {
	if err := k.publish(text); err != nil {
		return err
	}
	for {
		m, err := r.message()
		if err != nil || string(m.Data) == text {
			return err
		}
	}
}

func (k *checking) outlivesTimeout() error {
	r, err := k.ready()
	if err != nil {
		return err
	}
	defer r.close()
	for range 3 {
		timer := time.NewTimer(writeTimeout * 2 / 3)
		<-timer.C
		if err := k.publish("on"); err != nil {
			return err
		}
		if _, err := r.expect("on"); err != nil {
			return err
		}
	}
	return nil
}

func (k *checking) lineBreaks() error {
	r, err := k.ready()
	if err != nil {
		return err
	}
	defer r.close()
	for _, data := range []string{"a\nb", "a\rb", "a\r\nb", "a\n\nb", " a", ":a", "a\n"} {
		if err := k.publish(data, "behind"); err != nil {
			return err
		}
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(data)
		if _, err := r.expect(want, "behind"); err != nil {
			return fmt.Errorf("of %q: %w", data, err)
		}
	}
	return nil
}

func (k *checking) noForgedFields() error {
	r, err := k.ready()
	if err != nil {
		return err
	}
	defer r.close()
	for _, lineBreak := range []string{"\n", "\r", "\r\n"} {
		_ = k.Publish(sse.Message{Type: "x" + lineBreak + "data: forged", Data: []byte("{}")}) // may be refused
	}
	if err := k.publish("behind"); err != nil {
		return err
	}
	for {
		m, err := r.event()
		if err != nil {
			return err
		}
		if strings.Contains(string(m.Data), "forged") {
			return fmt.Errorf("a type made an event %q", m.Data)
		}
		if string(m.Data) == "behind" {
			return nil
		}
	}
}

func (k *checking) heartbeat() error {
	if k.Heartbeat == 0 {
		return ErrNotOffered
	}
	r, err := k.open("")
	if err != nil {
		return err
	}
	defer r.close()
	go func() {
		for {
			if _, err := r.event(); err != nil {
				return
			}
		}
	}()
	for range 2 {
		select {
		case <-r.noes:
		case <-time.After(2*k.Heartbeat + soon):
			return errors.New("nothing comes")
		}
	}
	return nil
}

func (k *checking) head() error {
	ctx, cancel := context.WithTimeout(k.ctx, soon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, k.url, nil)
	if err != nil {
		return err
	}
	res, err := k.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}
