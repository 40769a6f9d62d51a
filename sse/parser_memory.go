package sse

// How the parser keeps data: copied once, and given away where it is large.

// appendData takes a whole line of data. The first is left where it is, as most
// events have one and end before the chunk does: their data is then copied once.
func (p *parser) appendData(value []byte) {
	if p.lines == 0 {
		p.lines, p.line = 1, value
		return
	}
	p.data = append(p.data, value...)
}

// beginData begins a line of data in data.
func (p *parser) beginData() {
	p.own()
	if p.lines > 0 {
		p.data = append(p.data, '\n')
	} else if cap(p.data) == 0 && p.lastSize > 0 {
		p.data = make([]byte, 0, p.lastSize)
	}
	p.lines++
}

// own copies what lies in the chunk, because the chunk's memory is not ours.
func (p *parser) own() {
	p.data = append(p.data, p.line...)
	p.line = nil
}

// maxKept bounds what one large event can cost until the stream ends.
const maxKept = 256 << 10

// reuse empties b, or gives it up if it is too large to keep.
func reuse(b []byte) []byte {
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// message sets m to the event just dispatched. Its Data is the caller's.
func (p *parser) message(m *Message) {
	// Most are what the last event had. Bytes that are no valid text are not.
	if string(p.typ) != p.lastType {
		p.lastType = string(decodeUTF8(p.typ))
	}
	if string(p.topic) != p.lastTopic {
		p.lastTopic = string(decodeUTF8(p.topic))
	}
	*m = Message{Topic: p.lastTopic, ID: p.lastID, Type: p.lastType, Data: p.takeData()}
}

// takeData returns the event's data in memory of its own. It gives the buffer
// itself away where that saves a large copy and wastes little; the next event,
// which is often of that size, then gets one like it.
func (p *parser) takeData() []byte {
	text := p.line
	if text == nil {
		text = p.data
	}
	data := decodeUTF8(text)
	p.lastSize = 0
	switch {
	case len(data) == 0:
		return []byte{}
	case &data[0] != &text[0]:
		return data // decoded into new memory
	case p.line == nil && len(data) >= 4<<10 && cap(data) <= len(data)+len(data)/4:
		if len(data) <= maxKept {
			p.lastSize = len(data)
		}
		p.data = nil
		return data[:len(data):len(data)]
	}
	return append([]byte(nil), data...)
}

// idString makes a string of id. Ids of one stream are short and alike, and
// share memory: one allocation for 64 of them, and for fewer at first, as quiet
// streams are many. Who keeps one keeps 2 KiB at most.
func (p *parser) idString(id []byte) string {
	if len(id) > 32 {
		return string(id)
	}
	if p.ids.Cap()-p.ids.Len() < len(id) {
		size := min(max(4*len(id), 2*p.ids.Cap()), 64*len(id))
		p.ids.Reset()
		p.ids.Grow(size)
	}
	start := p.ids.Len()
	p.ids.Write(id)
	return p.ids.String()[start:]
}
