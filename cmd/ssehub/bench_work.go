package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ssehub-go/ssehub/client"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	publishers      = 16               // requests that are under way at once
	connectPatience = 30 * time.Second // until all readers are there
)

// benchReaders are the readers of a bench.
type benchReaders struct {
	subs  []*client.Subscription
	wg    sync.WaitGroup
	gaps  atomic.Int64
	again atomic.Int64 // reconnects
	took  time.Duration
}

func (r *benchReaders) close() {
	for _, sub := range r.subs {
		sub.Close()
	}
	r.wg.Wait()
}

// connect returns when all readers have their place in the log.
func (w *benchWork) connect(ctx context.Context) (*benchReaders, error) {
	r := &benchReaders{}
	began := time.Now()
	ready, failed := make(chan struct{}, w.Connections), make(chan error, w.Connections)
	remote := w.Remote
	if w.ReadToken != "" {
		remote.Token = w.ReadToken
	}
	for i := range w.Connections {
		opened := false
		sub := client.Subscribe(ctx, w.events, &client.Options{
			HTTPClient:    &http.Client{Transport: w.transport},
			ControlEvents: true,
			NewRequest: func(ctx context.Context) (*http.Request, error) {
				return remote.request(ctx, http.MethodGet, w.events, nil)
			},
			OnState: func(s client.State) {
				if s == client.StateOpen && opened {
					r.again.Add(1)
				}
				opened = opened || s == client.StateOpen
			},
		})
		r.subs = append(r.subs, sub)
		r.wg.Go(func() {
			there := false
			for m := range sub.Events() {
				switch {
				case m.Type == sse.TypeHello && !there:
					there = true
					ready <- struct{}{}
				case m.Type == sse.TypeGap:
					r.gaps.Add(1)
				case !isControl(m.Type):
					if n, ok := numberOf(m.Data); ok && n < w.messages {
						w.tally.got(i, n)
					}
				}
			}
			if !there {
				failed <- sub.Err()
			}
		})
	}
	patience := time.After(connectPatience)
	for there := range w.Connections {
		select {
		case <-ready:
		case err := <-failed:
			return r, readerError(err)
		case <-patience:
			return r, fmt.Errorf("%d of %d readers are connected after %v", there, w.Connections, connectPatience)
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	r.took = time.Since(began)
	return r, nil
}

func readerError(err error) error {
	var res *sse.ResponseError
	if errors.As(err, &res) && isRefusal(res.StatusCode) {
		return &exitError{exitRefused, fmt.Errorf("readers are refused: %s", plain(res.Status))}
	}
	return fmt.Errorf("a reader has ended: %w", err)
}

// publishAll publishes each message when it is due, and later if all publishers are held
// up.
func (w *benchWork) publishAll(ctx context.Context) {
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for n := range numbers {
				w.tally.published(n, w.publishOne(ctx, n))
			}
		})
	}
	for n := 0; n < w.messages && ctx.Err() == nil; n++ {
		select {
		case <-time.After(time.Until(w.tally.due(n))):
			numbers <- n
		case <-ctx.Done():
		}
	}
	close(numbers)
	wg.Wait()
}

func (w *benchWork) publishOne(ctx context.Context, n int) error {
	text := strconv.Itoa(n) + " "
	text += strings.Repeat("x", max(0, w.Size-len(text)))
	req, err := w.Remote.request(ctx, http.MethodPost, w.publish, strings.NewReader(text))
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: w.transport}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		_, err := refusalOf(res)
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// numberOf reads what publishOne has written.
func numberOf(data []byte) (int, bool) {
	text, _, _ := strings.Cut(string(data), " ")
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0
}
