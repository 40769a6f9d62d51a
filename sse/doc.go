// Package sse is the wire of ssehub: Server-Sent Events as the HTML standard
// defines them, written and read without surprises. It needs nothing but the
// standard library and can be used without the hub.
//
// # On the server
//
// [Upgrade] turns a request into a [Conn] and sends the response's head at
// once. A write returns nil only when its bytes were handed to the network,
// each write has a deadline, and after Close nothing touches the
// [http.ResponseWriter] any more:
//
//	conn, err := sse.Upgrade(w, r)
//	if err != nil {
//		return // the client was already told
//	}
//	defer conn.Close()
//	err = conn.Send(sse.Message{Type: "tick", Data: []byte("12:00")})
//
// # Anywhere else
//
// [Encoder] and [Decoder] write and read streams on any io.Writer and
// io.Reader, and [Message.AppendText] makes the bytes of one event. [Events],
// [Until] and [JSON] are for loops over the body of any response:
//
//	for chunk, err := range sse.JSON[Chunk](sse.Until(sse.Events(res.Body), "[DONE]")) {
//
// [Notify] reads a stream into a channel, once; for a reader that reconnects
// see package client.
//
// Section names in this package's comments are those of the HTML standard,
// chapter "Server-sent events", https://html.spec.whatwg.org/multipage/server-sent-events.html.
package sse
