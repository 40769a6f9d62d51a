package sse

import (
	"encoding/json"
	"encoding/xml"
)

// Write sends msg as the data of one unnamed event. It returns an error like
// [Conn.Send], and is not an io.Writer: each call is an event of its own.
func (c *Conn) Write(msg []byte) error {
	return c.WriteEventWithID("", "", msg)
}

// WriteEvent sends msg as the data of an event of type typ.
func (c *Conn) WriteEvent(typ string, msg []byte) error {
	return c.WriteEventWithID("", typ, msg)
}

// WriteEventWithID sends msg as the data of an event with an id.
func (c *Conn) WriteEventWithID(id, typ string, msg []byte) error {
	if msg == nil {
		msg = []byte{} // an event all the same
	}
	return c.Send(Message{ID: id, Type: typ, Data: msg})
}

// WriteString sends msg as the data of one unnamed event.
func (c *Conn) WriteString(msg string) error {
	return c.WriteEventWithID("", "", []byte(msg))
}

// WriteStringEvent sends msg as the data of an event of type typ.
func (c *Conn) WriteStringEvent(typ, msg string) error {
	return c.WriteEventWithID("", typ, []byte(msg))
}

// WriteJson sends value, as encoding/json marshals it, in one unnamed event.
// An error of marshalling leaves the connection as it was. Its name, like the
// other three, is part of an API that this package keeps compatible.
func (c *Conn) WriteJson(value any) error {
	return c.WriteJsonEvent("", value)
}

// WriteJsonEvent is WriteJson with an event type.
func (c *Conn) WriteJsonEvent(typ string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.WriteEvent(typ, data)
}

// WriteXml sends value, as encoding/xml marshals it, in one unnamed event. An
// error of marshalling leaves the connection as it was.
func (c *Conn) WriteXml(value any) error {
	return c.WriteXmlEvent("", value)
}

// WriteXmlEvent is WriteXml with an event type.
func (c *Conn) WriteXmlEvent(typ string, value any) error {
	data, err := xml.Marshal(value)
	if err != nil {
		return err
	}
	return c.WriteEvent(typ, data)
}
