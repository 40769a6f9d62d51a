package ssehub

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/ssehub-go/ssehub/sse"
)

// History returns events of topic that are kept, oldest first and at most limit
// of them (zero or less: all), and the position behind them: a page that is
// made from them goes on there, with a lastEventID, and misses nothing. It
// returns the newest if after is zero, and else those that follow after, where
// a message of type [sse.TypeGap] comes first if something is missing. Errors:
// [ErrInvalidTopic], [ErrClosed], that of ctx.
func (h *Hub) History(ctx context.Context, topic string, after Position, limit int) ([]sse.Message, Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, Position{}, err
	}
	if err := checkTopic(topic); err != nil {
		return nil, Position{}, err
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	if err := h.Ready(ctx); err != nil {
		return nil, Position{}, err
	}
	r, err := h.join(after.String(), []string{topic}, joining{ctx: ctx, plain: true})
	if err != nil {
		return nil, Position{}, err
	}
	defer r.leave()
	if after == (Position{}) {
		r.state = nil // it is a part of the history
		s := &r.seats[0]
		r.cursor = s.topic.beforeNewest(limit, r.cursor, h.now())
		s.told = math.MaxUint64 // who has nothing has lost nothing
	}
	return r.page(limit)
}

// page returns what the reader would deliver now.
func (r *reader) page(limit int) (messages []sse.Message, end Position, err error) {
	name := r.seats[0].topic.name
	for events := 0; ; {
		frames, err := r.next()
		if err != nil {
			return nil, Position{}, err
		}
		if frames == nil {
			return messages, r.position(r.cursor), nil
		}
		dec := sse.NewDecoder(bytes.NewReader(frames))
		dec.SetMaxEventSize(math.MaxInt) // what could be published can be read
		for m, err := range dec.Events() {
			if err != nil {
				return nil, Position{}, fmt.Errorf("ssehub: read history: %w", err)
			}
			if m.Type != sse.TypeGap {
				m.Topic = name
				events++
			}
			messages = append(messages, m)
			if events == limit {
				end, err = ParsePosition(m.ID)
				return messages, end, err
			}
		}
	}
}
