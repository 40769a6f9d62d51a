// Package ssehub publishes an event once and writes it, in order and without
// silent loss, to every browser and program that listens over plain
// Server-Sent Events.
//
//	hub := ssehub.New(nil)
//	http.Handle("/prices", hub.Handler("prices"))
//	id, err := hub.Publish(ctx, "prices", sse.Message{Type: "tick", Data: data})
//
// A page reads it with new EventSource("/prices"), or with package js, a Go program with package
// client, this process with [Hub.Subscribe], a shell with curl -N.
//
// # One log
//
// Publish appends a message to the log of its topic and gives it a [Position],
// which is the id of the event. A subscriber is a cursor in the logs of its
// topics: it sleeps until there is news, then writes what is new, up to 64 KiB
// in one write. Each event is encoded once and lies in memory once, however
// many subscribers there are; only a subscriber of several topics copies what it
// is about to write.
//
//	Publish ─► number + append ─► topic log, a window of encoded frames
//	                                  ▲         ▲         ▲
//	                               cursor    cursor    cursor ─► write(log[cursor:end])
//
// A topic keeps its newest events within a number, a size and an age
// ([Retention]). That one window serves who comes back after a cut, who is
// slow, and who is up to date; the code that replays is the code that delivers.
//
// # Patterns
//
// A subscription may name patterns: topics are tokens between dots, "*" stands
// for any one of them and a last ">" for one or more. "orders.*" meets orders.eu
// whenever that comes into being, without a loss at the seam. A pattern has a
// log of its own while somebody reads it, so that its readers are cursors in one
// log, whatever the number of topics; each event is kept there once more. What
// came before that log began is read from the topics'. An event that is in
// several of a stream's topics and patterns comes once. (TestPatternMatches,
// TestPatternSeams, TestPatternOnTheWire, TestPatternGaps)
//
// # Latest values
//
// In a topic under the policy [Latest] an event is the newest value of its key,
// PublishOptions.Key. Its log is compacted: what leaves the window is dropped
// only if a newer event has the key. So a subscriber that lags, or comes back
// late, skips values that are superseded, gets the newest of each key, and has
// lost nothing. A new one first gets the newest value of each key, in the order
// in which they were published and without ids, then an event of type
// ssehub.mark that brings the id, then what is new. (TestLatestModel,
// TestLatestStateOnTheWire, TestLatestJoinDuringStorm, TestLatestConflates)
//
// # Snapshots
//
// A topic may have a state that the application can give as one message:
// Options.SnapshotFor. A subscriber that is new, or to whom a gap is told, gets
// that [Snapshot] as of a position, and then exactly what came behind it, so that
// a gap does no harm. In a stream of one topic that position is its id. A new
// subscriber of several gets the states and what came since without ids, and then
// the mark; one that was told a gap in one of them gets the state with the id from
// which the others go on. If that one is cut before it has got as far as the
// state, it gets events once more that are in it, with the ids they had: with
// several topics, leave out what is not above the state's own position.
// (TestSnapshotOnTheWire, TestSnapshotAfterOverflow, TestSnapshotSingleFlight,
// TestSnapshotModel, and examples/prices)
//
// # Several topics
//
// A message that is published to several topics, PublishOptions.Topics, has one
// position in all of them, and comes once to who reads several.
// (TestPublishToSeveral)
//
// # Ephemeral messages
//
// A message that is published with PublishOptions.Ephemeral takes its turn among
// the others and is gone: no id, no replay, nothing taken from the window. What
// a subscriber misses of these is not told. (TestEphemeralOnTheWire,
// TestEphemeralBeginsInStorm, TestEphemeralIsForgotten)
//
// A message with a PublishOptions.TTL is delivered for that long, and then no
// more: it is out of date, and so no loss. Under Latest that ends its key: a new
// subscriber gets nothing of it, and one that may have an older value gets the
// message even then, or is told a gap when it has left the window.
// (TestTTL, TestTTLUnderLatest)
//
// # Brokers
//
// With Options.Broker the log is not this process's memory but a [Broker]: a file
// that outlives a restart, or an engine that several hubs share. Publish appends
// there, and every hub reads all of it back into the logs of its topics, in the
// one order. A client may then go on at any hub, and after any restart, with the
// id it has. Publish returns when the broker has the event; readers have it soon
// after. A client that comes back from before what a hub keeps, History, gets the
// rest from the broker, and those who come together share the reading. What the
// broker has dropped before a hub read it is told to all of the
// hub's readers, as is a log that has begun anew. While a broker is down Publish
// returns its error and streams stay; new clients are sent away for a moment if only
// the broker can judge their ids, or has what they need. A hub that starts has what
// the broker kept: under Latest the value of a key whose newest event is older than
// that is gone. (TestBrokerSharesLog,
// TestBrokerFails, TestBrokerDropsUnread, TestBrokerBeginsAnew,
// TestBrokerNodeBehind, TestBrokerDownAtStart, TestBrokerShutdown, TestRecall,
// TestRecallIsShared, TestRecallMeetsTrim, TestRecallFails, TestRecallBrokerAway,
// TestRecallRules, and TestModel)
//
// # Guarantees
//
// Each names the test that holds it.
//
//  1. Order. Every subscriber of a topic sees the same order, live or replayed;
//     a subscriber of many topics sees them merged by position.
//     (TestOneOrderForAll, TestOrderOfOneTopicAmongMany)
//  2. Exactly once inside the window. A client that comes back with the id of
//     the event it dispatched last gets what follows, all of it, once. Half an
//     event, cut by a lost connection, was not dispatched and comes again.
//     (TestClientCutWindowSufficient, TestResume, TestJoinDuringStorm,
//     TestHistoryThenStream)
//  3. No silent loss. Whatever a subscriber does not get it is told of, with an
//     event of type ssehub.gap that holds a [sse.Gap]: the window had passed,
//     the subscriber was too slow, the log began anew, or its id was unknown.
//     (TestClientCutWindowTooSmall, TestOverflowSkipToOldest,
//     TestOverflowOneTopicOfSeveral, TestServerRestart, and TestModel, which
//     holds all of this against a list)
//  4. A resume contract that a page can read. The first event of every stream
//     is ssehub.hello with a [sse.Hello], unless Options.NoHello is set. Its id
//     is a place that the client may resume from: that of the newest event for
//     verdict fresh, and else the one it came with, if that was a position at
//     all. Where something is missing the gap that follows brings the new id. If
//     a state follows, hello and gap of it have none, and the snapshot or the mark
//     brings it.
//     (TestHelloComesFirst, TestResumeHelloKeepsOldID)
//  5. One slow subscriber hurts nobody. Publish waits for one only where the
//     policy Block asks for that by name; one that does not read is cut when the
//     write timeout ends; one that lags meets the policy [Overflow].
//     (TestStuckReadersHurtNobody, TestStuckReaderIsCutAtDeadline,
//     TestOverflowDisconnect, TestBlock, TestBlockIsBounded, TestBlockStorm)
//  6. Nothing touches an http.ResponseWriter after its handler has returned.
//     (TestConnCloseIsTheEnd in package sse)
//  7. Bounded memory. The hub keeps base + connections × C + the windows, see
//     below, and the windows of all topics together stay under
//     Options.MaxHistory. Topics that nobody reads and that keep nothing leave
//     memory, and
//     so do patterns that nobody reads. Keys have bounds too, and what is dropped
//     by them is told. (TestWindowEdges, TestTopicsAreForgotten, TestScaleTopics,
//     TestBudgetVictim, TestBudgetStorm, TestLatestBounds, TestLatestStateTellsLoss,
//     TestPatternsAreForgotten, TestConnectionChurn, TestMemoryIsBounded)
//  8. Shutdown ends. It leaves no stream and no goroutine, and when its context
//     ends it does so within a second; until then the closes are spread out, and
//     each client is given its own time to come back. What application code holds
//     up ends when that does.
//     (TestShutdownDrains, TestShutdownSpreadsReturn, TestShutdownWithStuckReaders,
//     TestShutdowns, TestTraceBlocks)
//
// # Watching
//
// [Hub.Stats], [Hub.TopicStats] and [Hub.Topics] are snapshots, with the lag of
// the slowest subscribers, gaps by reason and the latency from Publish to the end
// of the write. The functions of [Trace] are called as things happen, under no
// lock. One that blocks holds the one subscriber or publisher that it is about,
// one that panics is logged and costs nothing, and each may call the hub.
// (TestStatsCounts, TestStatsLatency, TestTopicStats, TestTopics, TestTrace,
// TestTraceBlocks, TestTracePanics, TestTraceReenters, TestTraceEndsHub,
// TestTraceDrain)
//
// # Positions and restarts
//
// Without a Broker the log lives in this process's memory. A restart begins a new one, with a
// new epoch in every id; a client that comes back with an id of the old one is
// told so (reason "epoch"), because nobody can know what it missed, and then
// gets all that the new log has. Numbers rise across all topics of a hub, so
// one id resumes a stream of any number of topics.
//
// # Memory
//
// A topic's window holds at most Retention.Bytes of frames. In memory it is
// that, 28 bytes more for each event, up to a quarter more for what does not
// fit exactly, and up to 64 KiB at each of its ends. A pattern that is read, or
// was a short time ago, has such a window too. A topic under Latest has at most
// twice as much again before its window, and for each key some 100 bytes and its
// name. A topic with ephemeral messages keeps up to 256 KiB of them, for half a
// minute. One that was read has 300 bytes of counters. Measured: 1.29 times the
// frames with 64 bytes of data, between 1.01 and 1.24 times with 1 kB and more.
//
// All topics and patterns together keep at most Options.MaxHistory bytes of
// frames, 1 GiB by default, and up to an eighth and one event more for the moment
// that it takes to drop some: then Publish waits for that. (In memory each topic
// takes more than its frames, as above.) The topic with the most lag gives
// first, that is where the slowest reader has most to get, its oldest events
// first; if no reader lags by more than 64 KiB, the topic that keeps most; the
// newest event of each topic goes last. Who had not got what is dropped is told,
// under Block too. The Logger names the topic, at most every ten seconds, and
// Stats.Evicted counts the bytes. (TestBudgetVictim, TestBudgetStorm,
// TestBudgetNewestGoLast, TestBudgetBlock, TestBudgetLatest, TestBudgetCount)
//
// A connection that waits costs 5.3 kB, 2 kB of them a stack, where it was taken
// over from net/http, and nearly 29 kB where it was not (bench/README.md). One that
// reads several topics borrows 64 KiB more while it is writing. A slow write keeps
// the one segment that it is about in memory, which is one event where that is
// larger, or that copy, for the write timeout at the longest and beside the windows;
// all that are slow in the same keep it once. (TestDozeStack, TestStuckWritePinsLittle,
// TestStuckReadersMemory)
//
// A Subscription costs 2.5 kB and a stack of 4 kB, and once it has had an event
// 2.6 kB and that stack. A million of them on one topic, on two cores: Publish
// took 0.2 to 3.9 ms and all had the event after 4 to 10 s, four runs
// (go test -v -run TestScaleSubscribers -timeout 10m . -scale 1000000).
//
// # Who may read
//
// Options.Authorize decides about each request, at each connect, before anything is
// replayed; Grant.AllowTopic about each topic that a pattern meets, live or
// replayed. A stream ends at Grant.Expires; Grant.Check is asked about it at each
// heartbeat, and has until the next one to answer. [Hub.Revoke] ends streams of a
// subject, of a topic, or one, within 150 ms, however stuck they are, and
// of all hubs that share a Broker. A browser then
// comes back once with the id of the last event it got, ssehub.revoked, and gets
// status 204, on which it stops. (TestAuthorizeEachConnect,
// TestPatternAuthorizesTopics, TestGrantExpires, TestCheck, TestRevoke,
// TestRevokeStuck, TestRevokeWhileAuthorizing, TestRevokeStorm, TestRevokedComesBack,
// TestRevokeOnAllNodes)
//
// Pages of other origins are refused, as browsers send their users' cookies along:
// Options.AllowedOrigins names those that are not. On the loopback interface only
// its own names are served: Options.AllowedHosts is for a proxy there that passes
// the name on. (TestOrigins, TestPreflight, TestHosts)
//
// # How many
//
// [Limits] bounds the streams in all, of one subject, of one address and of one topic,
// and how many come in a second. Who is above it is sent away in a way to come back
// from, and nobody is sent away for him. Options.MaxAge ends each stream at an age of
// its own, so that a rollout is nothing new. With Limits.AllHubs those of a subject and
// of an address count on all hubs of a Broker together. (TestLimits, TestLimitPerAddr,
// TestConnectRate, TestConnectRateUnderAttack, TestMaxAge, TestLimitsOnAllHubs,
// TestHubLeavesLimits, TestLimitsAfterLoss, TestLimitsAfterDeafness)
//
// # Who holds the connection
//
// A Handler takes HTTP/1 connections over from their http.Server, if the
// http.ResponseWriter is an http.Hijacker and nothing transforms the body, and
// returns while the stream goes on. Middleware sees a short request without a
// status; one that embeds the http.ResponseWriter and so hides Hijack keeps the
// stream where it is. What Authorize has put into a Grant must do without the
// request's context, which ends; a panic in AllowTopic is logged, and ends that
// stream. All promises are the same either way: the tests run over connections
// that were taken over, with TLS and without, over plain HTTP/1.1 and HTTP/2.
// Options.NoHijack turns it off. (TestHijackOutlivesRequest, TestHijackAccessLog,
// TestHijackShutdown, TestHijackPanic, TestDozeStorm)
//
// # In front of it
//
// Six connections per host is what browsers allow over HTTP/1.1: where pages have
// many tabs use HTTP/2, or package js, with which they share one. http.Server.WriteTimeout does not end streams,
// as every write sets its own deadline; set ReadHeaderTimeout as for any
// server. http.Server.Shutdown does not end streams: it waits for those that it
// still holds, and forgets those that were taken over. Call [Hub.Shutdown] first.
// http.TimeoutHandler and other middleware without Flush
// or Unwrap cannot stream, and get status 500 with the reason. Middleware that
// has Flush but neither Unwrap nor SetWriteDeadline takes the deadlines away:
// the hub warns of it, once, in its Logger.
//
// # Testing
//
// Package ssetest has servers in memory for testing/synctest, and a recorder.
//
// # Packages
//
//	ssehub   the hub: logs, cursors, handlers
//	client   a reader that reconnects; does not know the hub
//	sse      the wire: messages, Upgrade, Conn, Encoder, Decoder; the standard library alone
//	js       ssehub.js, which pages may use in place of EventSource
//	ssetest  servers in memory and a recorder
//
//	broker/bolt        a Broker in a file; a module of its own, as are all others
//	broker/nats        a Broker in NATS JetStream, for several hubs
//	broker/redis       a Broker in a stream of Redis, for several hubs
//	broker/postgres    a Broker in PostgreSQL, for several hubs, and for transactions
//	broker/brokertest  what holds a Broker against its contract
//	metrics/prom       Stats for Prometheus, with a dashboard and alerts
//	metrics/otel       Stats and Trace for OpenTelemetry
//
// Imports point one way: broker/*, metrics/* → ssehub → sse ← client. (TestImportDirection)
package ssehub
