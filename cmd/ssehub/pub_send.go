package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// What goes into one request at the most, so that little is sent twice.
const (
	maxBatchLines = 256
	maxBatchBytes = 1 << 20
)

// Between attempts: a random time up to the first, doubled up to the second.
const (
	firstWait = 200 * time.Millisecond
	lastWait  = 5 * time.Second
)

// publisher sends lines in order until each is answered.
type publisher struct {
	remote   *remoteFlags
	url      string
	retryFor time.Duration
	std      stdio
	quiet    bool

	done     int // messages that are answered
	rejected int // of which so many are wrong
	refused  bool
}

// publishAll sends the lines as they come, those that wait together.
func (p *publisher) publishAll(ctx context.Context, lines <-chan line) error {
	for {
		select {
		case l, ok := <-lines:
			if !ok {
				return nil
			}
			if err := p.publish(ctx, gather(l, lines)); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather returns first and what waits behind it.
func gather(first line, lines <-chan line) []line {
	batch, size := []line{first}, len(first.Data)
	for len(batch) < maxBatchLines && size < maxBatchBytes {
		select {
		case l, ok := <-lines:
			if !ok {
				return batch
			}
			batch, size = append(batch, l), size+len(l.Data)
		default:
			return batch
		}
	}
	return batch
}

// publish returns when all lines are answered, or an error that says it is in vain.
func (p *publisher) publish(ctx context.Context, batch []line) error {
	wait, progress := firstWait, time.Now()
	for {
		answered, after, err := p.attempt(ctx, batch)
		if answered > 0 {
			wait, progress = firstWait, time.Now()
		}
		batch = batch[answered:]
		if len(batch) == 0 {
			return nil
		}
		var e *exitError
		if errors.As(err, &e) || ctx.Err() != nil {
			return err
		}
		batch = p.dropEphemeral(batch)
		pause := max(after, rand.N(wait))
		if time.Since(progress)+pause > p.retryFor {
			return fmt.Errorf("message %d and those behind it are not known to be published: %w", p.done+1, err)
		}
		fmt.Fprintf(p.std.err, "-- %v; again in %v\n", err, pause.Round(time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, lastWait)
	}
}

// dropEphemeral leaves out what could come twice.
func (p *publisher) dropEphemeral(batch []line) []line {
	return slices.DeleteFunc(batch, func(l line) bool {
		if l.Ephemeral {
			p.reject("ephemeral, and not sent again")
		}
		return l.Ephemeral
	})
}

// attempt sends the batch once. It returns how many of its lines are answered for good,
// and if that is not all why, and when to try again at the earliest.
func (p *publisher) attempt(ctx context.Context, batch []line) (answered int, after time.Duration, err error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for _, l := range batch {
		if err := enc.Encode(l); err != nil {
			return 0, 0, &exitError{exitFailed, err}
		}
	}
	req, err := p.remote.request(ctx, http.MethodPost, p.url, &body)
	if err != nil {
		return 0, 0, &exitError{exitFailed, err}
	}
	req.Header.Set("Content-Type", ndjson)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		after, err := refusalOf(res)
		return 0, after, err
	}
	dec := json.NewDecoder(res.Body)
	for range batch {
		var a answer
		err := dec.Decode(&a)
		switch {
		case err == io.EOF:
			return answered, 0, io.ErrUnexpectedEOF
		case err != nil:
			return answered, 0, err
		case a.Status >= 500, a.Status == http.StatusRequestTimeout:
			return answered, 0, errors.New(plain(a.Error))
		case a.Status != 0:
			p.refused = p.refused || isRefusal(a.Status)
			p.reject(plain(a.Error))
		default:
			p.done++
			if !p.quiet && a.ID != "" {
				if _, err := fmt.Fprintln(p.std.out, plain(a.ID)); err != nil {
					return answered, 0, &exitError{exitFailed, err}
				}
			}
		}
		answered++
	}
	return answered, 0, nil
}

// refusalOf says what an answer to the whole request means; an exitError is for good.
func refusalOf(res *http.Response) (time.Duration, error) {
	var a answer
	text := res.Status
	if json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&a) == nil && a.Error != "" {
		text += ": " + a.Error
	}
	err := errors.New(plain(text))
	switch {
	case isRefusal(res.StatusCode):
		return 0, &exitError{exitRefused, err}
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests, res.StatusCode == http.StatusRequestTimeout:
		seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date, which few send, counts for nothing
		return min(max(time.Duration(seconds)*time.Second, 0), lastWait), err
	}
	return 0, &exitError{exitFailed, err}
}

// reject tells of a message that is not published and will not be.
func (p *publisher) reject(why string) {
	p.done++
	p.rejected++
	fmt.Fprintf(p.std.err, "ssehub: message %d: %s\n", p.done, why)
}

// result returns an error if a message was rejected.
func (p *publisher) result() error {
	code := exitFailed
	if p.refused {
		code = exitRefused
	}
	if p.rejected > 0 {
		return &exitError{code, fmt.Errorf("%d of %d messages were not published", p.rejected, p.done)}
	}
	return nil
}
