// Package ssetest helps to test programs that send or read event streams.
//
// [Server] serves HTTP over connections in memory, so that a whole
// http.Server, a hub and its clients can run inside a testing/synctest bubble,
// where hours of heartbeats and back-off take no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		hub := ssehub.New(nil)
//		server := ssetest.NewServer(hub.Handler("prices"))
//		defer server.Close()
//		defer hub.Close()
//		sub := client.Subscribe(t.Context(), server.URL, &client.Options{HTTPClient: server.Client()})
//		defer sub.Close()
//		synctest.Wait() // a first connect gets what is published behind it
//		hub.Publish(t.Context(), "prices", sse.Message{Data: []byte("12.50")})
//		m := <-sub.Events()
//		time.Sleep(time.Hour) // of heartbeats, at once
//	})
//
// [Recorder] is an http.ResponseWriter that takes down what a handler streams,
// for tests that need no connection at all.
//
// [Proxy] stands in front of a server, over TCP or in memory, and resets, half
// closes, stalls, slices and delays its connections, each as a [Fault] says:
//
//	proxy, err := ssetest.NewProxy(server.URL)
//	…
//	defer proxy.Close()
//	proxy.SetFaults(func(n int) ssetest.Fault { return ssetest.Fault{Cut: rand.Int64N(1000)} })
//
// [DialStuck] is a client that never reads. [TestServer] holds any server of event
// streams, a hub or not, against what clients need of it; [Checks] are the same where
// there is no test.
package ssetest
