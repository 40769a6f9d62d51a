package main

import "net/http"

// bareReplay is the least that can answer a client that comes back: it has all
// frames in one slice and writes that to each, with the head and the frames of
// the same lengths as ssehub's. It looks at no id and publishes nothing live.
type bareReplay struct {
	seq    uint64
	frames []byte
}

func newBareReplay(task) (peer, error) {
	b := &bareReplay{}
	return peer{handler: b, greeted: true, publish: b.publish, signal: b.signal}, nil
}

func (b *bareReplay) publish(data []byte) error {
	b.seq++
	b.frames = appendBareFrame(b.frames, b.seq, data)
	return nil
}

func (b *bareReplay) signal(string) (id string, err error) {
	b.frames = append(b.frames[:0], bareHello...)
	return bareEpoch + "-0", nil
}

func (b *bareReplay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	setBareHead(w.Header())
	if _, err := w.Write(b.frames); err != nil {
		return
	}
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	<-r.Context().Done()
}
