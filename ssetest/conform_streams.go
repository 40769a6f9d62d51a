package ssetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// Checks of more than one event or stream: order, replay, who does not read, who leaves,
// the end.

func (k *checking) order() error {
	const clients, events = 5, 500
	var readers []*reading
	for range clients {
		r, err := k.ready()
		if err != nil {
			return err
		}
		defer r.close()
		readers = append(readers, r)
	}
	published := make(chan error, 1)
	go func() {
		for i := range events {
			if err := k.publish(fmt.Sprint("number ", i)); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	failed := make(chan error, clients)
	for _, r := range readers {
		go func() {
			for i := 0; i < events; {
				m, err := r.message()
				if err != nil {
					failed <- fmt.Errorf("%d of %d events came: %w", i, events, err)
					return
				}
				if data := string(m.Data); strings.HasPrefix(data, "number ") {
					if data != fmt.Sprint("number ", i) {
						failed <- fmt.Errorf("%q in place of %d", data, i)
						return
					}
					i++
				}
			}
			failed <- nil
		}()
	}
	var errs []error
	for range clients {
		errs = append(errs, <-failed)
	}
	return errors.Join(append(errs, <-published)...)
}

func (k *checking) resume() error {
	if !k.Resumes {
		return ErrNotOffered
	}
	r, err := k.ready()
	if err != nil {
		return err
	}
	if err := k.publish("1", "2", "3", "4", "5"); err != nil {
		return err
	}
	m, err := r.expect("1", "2", "3")
	r.close()
	if err != nil {
		return err
	}
	if m.ID == "" {
		return errors.New("events have no id")
	}
	if err := k.publish("6"); err != nil {
		return err
	}
	r, err = k.open(m.ID)
	if err != nil {
		return err
	}
	defer r.close()
	if _, err := r.expect("4", "5", "6"); err != nil {
		return err
	}
	if err := k.publish("7"); err != nil {
		return err
	}
	_, err = r.expect("7")
	return err
}

func (k *checking) unknownID() error {
	if !k.Resumes {
		return ErrNotOffered
	}
	first, err := k.ready()
	if err != nil {
		return err
	}
	defer first.close()
	if err := k.publish("1", "2", "3"); err != nil {
		return err
	}
	if _, err := first.expect("1", "2", "3"); err != nil {
		return err
	}
	r, err := k.open("9fffffffffff-123456")
	if err != nil {
		return nil // an answer that is no stream tells, too
	}
	defer r.close()
	var seen []string
	for {
		if err := k.publish("live"); err != nil {
			return err
		}
		m, err := r.event()
		if err != nil {
			return err
		}
		switch {
		case string(m.Data) != "live":
			seen = append(seen, m.Type+string(m.Data))
		case len(seen) > 0:
			return nil // something came that tells of it, or all that is kept
		default:
			return errors.New("the stream goes on as if nothing were missing")
		}
	}
}

func (k *checking) stuckReader() error {
	const events, size = 300, 64 << 10 // more than any buffers take
	r, err := k.ready()
	if err != nil {
		return err
	}
	defer r.close()
	stuck, err := dialStuck(k.ctx, new(net.Dialer).DialContext, k.url)
	if err != nil {
		return err
	}
	defer stuck.Close()
	pad := strings.Repeat("x", size)
	for i := range events { // the other one keeps up
		text := fmt.Sprint("number ", i, " ", pad)
		published := make(chan error, 1)
		go func() { published <- k.publish(text) }()
		if _, err := r.expect(text); err != nil {
			return fmt.Errorf("event %d of %d to the other reader: %w", i, events, err)
		}
		select {
		case err := <-published:
			if err != nil {
				return err
			}
		case <-time.After(soon):
			return errors.New("the publisher is held up")
		}
	}
	return nil
}

func (k *checking) clientsLeave() error {
	r, err := k.ready()
	if err != nil {
		return err
	}
	defer r.close()
	for round := range 20 {
		for range 10 {
			other, err := k.open("")
			if err != nil {
				return err
			}
			other.close()
		}
		if err := k.publish(fmt.Sprint("round ", round)); err != nil {
			return err
		}
		if _, err := r.expect(fmt.Sprint("round ", round)); err != nil {
			return err
		}
	}
	return nil
}

func (k *checking) ends() error {
	var readers []*reading
	for range 3 {
		r, err := k.ready()
		if err != nil {
			return err
		}
		defer r.close()
		readers = append(readers, r)
	}
	ctx, cancel := context.WithTimeout(k.ctx, soon)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		k.close()
		ended <- k.server.Shutdown(ctx)
	}()
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
	case <-time.After(2 * soon):
		return errors.New("the end does not come")
	}
	for _, r := range readers {
		for {
			if _, err := r.event(); err != nil {
				if r.res.Request.Context().Err() != nil {
					return errors.New("a stream goes on")
				}
				break
			}
		}
	}
	return nil
}
