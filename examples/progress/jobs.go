package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ssehub-go/ssehub"
	"github.com/ssehub-go/ssehub/sse"
)

const (
	topic    = "jobs"
	maxJobs  = 20 // at once
	maxName  = 100
	keepTime = 5 * time.Minute // a job that has ended
)

// jobs are those that run. What pages know of them they have from the topic, which is
// under Latest: it has one value for each job, its newest.
type jobs struct {
	hub  *ssehub.Hub
	work func() work // of the next job

	mu      sync.Mutex
	last    int
	cancels map[string]context.CancelCauseFunc
	running sync.WaitGroup
}

// work is what a job does: it says how much of it is done, as often as it likes.
type work func(ctx context.Context, tell func(done, total int)) error

// job is the data of an event "job".
type job struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
	State string `json:"state"` // "running", "done" or "failed"
	Error string `json:"error,omitempty"`
}

func newJobs(next func() work) *jobs {
	return &jobs{
		hub: ssehub.New(&ssehub.Options{
			Overflow: ssehub.Latest,
			History:  ssehub.Retention{Events: 100, Age: -1},
		}),
		work:    next,
		cancels: make(map[string]context.CancelCauseFunc),
	}
}

// start begins a job. It does not hang on the request, nor on any page.
func (j *jobs) start(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxName)
	name := r.FormValue("name")
	if name == "" || len(name) > maxName {
		http.Error(w, "give it a name of at most 100 bytes", http.StatusBadRequest)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.cancels) >= maxJobs {
		http.Error(w, "too many jobs at once", http.StatusTooManyRequests)
		return
	}
	j.last++
	id := strconv.Itoa(j.last)
	ctx, cancel := context.WithCancelCause(context.Background())
	j.cancels[id] = cancel
	do := j.work()
	j.running.Go(func() { j.run(ctx, job{ID: id, Name: name, State: "running"}, do) })
}

// run is the life of a job.
func (j *jobs) run(ctx context.Context, what job, do work) {
	j.tell(what)
	err := do(ctx, func(done, total int) {
		what.Done, what.Total = done, total
		j.tell(what)
	})
	j.mu.Lock()
	j.cancels[what.ID](nil)
	delete(j.cancels, what.ID)
	j.mu.Unlock()
	what.State = "done"
	if err != nil {
		what.State, what.Error = "failed", err.Error()
	}
	j.tell(what)
}

// tell publishes the newest value of a job. An error is that of a hub that ends, of
// which pages hear by themselves.
func (j *jobs) tell(what job) {
	opts := ssehub.PublishOptions{Key: what.ID}
	if what.State != "running" {
		opts.TTL = keepTime
	}
	if data, err := json.Marshal(what); err == nil {
		_, _ = j.hub.PublishWith(context.Background(), topic, sse.Message{Type: "job", Data: data}, opts)
	}
}

func (j *jobs) stop(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	cancel := j.cancels[r.FormValue("id")]
	if cancel == nil {
		http.Error(w, "no such job runs", http.StatusNotFound)
		return
	}
	cancel(errors.New("stopped"))
}

// stopAll returns when all jobs have ended.
func (j *jobs) stopAll() {
	j.mu.Lock()
	for _, cancel := range j.cancels {
		cancel(errors.New("the server is shutting down"))
	}
	j.mu.Unlock()
	j.running.Wait()
}
