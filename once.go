package ssehub

import "strings"

// once remembers which idempotency keys the events in a topic's window have.
type once struct {
	seqs  map[string]uint64
	queue []onceKey // oldest first
}

type onceKey struct {
	key string
	seq uint64
}

func (o *once) add(key string, seq uint64) {
	if o.seqs == nil {
		o.seqs = make(map[string]uint64)
	}
	key = strings.Clone(key)
	o.seqs[key] = seq
	o.queue = append(o.queue, onceKey{key, seq})
}

// forget forgets the keys of events up to seq.
func (o *once) forget(seq uint64) {
	for len(o.queue) > 0 && o.queue[0].seq <= seq {
		delete(o.seqs, o.queue[0].key)
		o.queue[0] = onceKey{}
		o.queue = o.queue[1:]
	}
	if len(o.queue) == 0 {
		*o = once{}
	}
}
