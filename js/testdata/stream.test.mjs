// A Stream against servers that say what each test wants.
import assert from "node:assert";
import test from "node:test";
import { backoff, connect, StreamError } from "../ssehub.js";
import { event, hub, serve, status, stays } from "./server.mjs";

// read connects, and returns what came once the stream is closed.
function read(t, url, options = {}) {
  return new Promise((resolve) => {
    const log = [];
    const stream = connect(url, {
      onHello: (hello) => { log.push(`<${hello.verdict}>`); },
      onGap: (gap) => { log.push(`<gap ${gap.reason} ${gap.from} ${gap.to}>`); },
      onEvent: (event) => { log.push(`${event.lastEventId} ${event.data}`); },
      ...options,
      onState: (state) => state === "closed" && resolve({ log, stream }),
    });
    t.after(() => stream.close());
  });
}

test("answers that end it", async (t) => {
  for (const [answer, code] of [
    [status(204), 204], [status(404), 404], [status(401), 401],
    [status(200, { "Content-Type": "text/html" }), 200],
  ]) {
    const { url, requests } = await serve(t, answer);
    const { stream } = await read(t, url);
    assert.ok(stream.error instanceof StreamError);
    assert.equal(stream.error.status, code);
    assert.equal(stream.state, "closed");
    assert.equal(requests.length, 1);
  }
});

test("answers that are tried again", async (t) => {
  const { url, requests } = await serve(t,
    "retry: 0\n", status(502), status(429), (response) => response.destroy(), status(503, { "Retry-After": "1" }), status(204));
  await read(t, url);
  assert.equal(requests.length, 6);
  const waits = requests.slice(1).map(({ at }, i) => at - requests[i].at);
  assert.ok(waits[4] >= 995, `Retry-After: ${waits}`);
  assert.ok(waits[0] < 900, `retry: 0 is ${waits[0]}`);
});

test("refused with headers: once more, made anew", async (t) => {
  const { url, requests } = await serve(t, status(401), "retry: 0\n", status(403), status(401));
  let n = 0;
  const { stream } = await read(t, url, { headers: () => ({ "X-Try": String(++n) }) });
  assert.deepEqual(requests.map(({ headers }) => headers["x-try"]), ["1", "2", "3", "4"]);
  assert.equal(stream.error.status, 401);
});

test("onAuth may end it", async (t) => {
  const { url, requests } = await serve(t, status(403));
  await read(t, url, { onAuth: async (code) => code !== 403 });
  assert.equal(requests.length, 1);
});

test("a headers function that fails is tried again", async (t) => {
  const { url, requests } = await serve(t, status(204));
  let n = 0;
  await read(t, url, { headers: () => { if (n++ === 0) throw new Error("no token yet"); } });
  assert.equal(n, 2);
  assert.equal(requests.length, 1);
});

test("an id comes back as it was, byte for byte", async (t) => {
  const { url, requests } = await serve(t, "retry: 0\n" + event("é😀 1"), status(204));
  await read(t, url);
  assert.equal(Buffer.from(requests[1].headers["last-event-id"], "latin1").toString(), "é😀 1");
});

test("events behind one that has it connect anew come again", async (t) => {
  const { url, requests } = await serve(t, stays(event("1") + event("2") + event("3")), status(204));
  t.mock.method(performance, "now", ((n) => () => n += 2000)(0)); // it may, once a second
  const { log } = await read(t, url, { onEvent() { this.reconnect(); } });
  assert.deepEqual(log, []);
  assert.equal(requests[1].headers["last-event-id"], "1");
});

test("an event that was cut in half comes again", async (t) => {
  const { url, requests } = await serve(t,
    "retry: 0\n" + event("a-1") + "id: a-2\ndata: half", event("a-2", "whole"), status(204));
  const { log } = await read(t, url);
  assert.deepEqual(log, ["a-1 x", "a-2 whole"]);
  assert.equal(requests[1].headers["last-event-id"], "a-1");
});

test("what a hub sends twice comes once, what others send as they send it", async (t) => {
  const twice = event("a-5") + event("a-4") + event("a-5") + event("b-1") + event("a-6");
  const { url } = await serve(t, "retry: 0\n" + hub("hello", { verdict: "fresh" }, "a-4") + twice, twice, status(204));
  const { log } = await read(t, url);
  assert.deepEqual(log.slice(0, 4), ["<fresh>", "a-5 x", "b-1 x", "a-6 x"]);
  assert.equal(log.length, 4 + 5);
});

test("a hub that calls a stream fresh which is none never saw the id", async (t) => {
  const { url } = await serve(t,
    "retry: 0\n" + hub("hello", { verdict: "fresh" }, "a-1") + event("a-2"),
    hub("hello", { verdict: "fresh" }, "a-9") + event("a-10"), status(204));
  const { log } = await read(t, url);
  assert.deepEqual(log, ["<fresh>", "a-2 x", "<fresh>", "<gap invalid a-2 a-9>", "a-10 x"]);
});

test("behind a gap ids may begin anew", async (t) => {
  for (const [reason, to, id, next] of [["epoch", "b-3", "b-1", "b-2"], ["ahead", "a-3", "a-1", "a-2"], ["ahead", "a-20", "a-20", "a-21"]]) {
    const gap = { reason, from: "a-9", to, topic: "" };
    const { url } = await serve(t, hub("hello", { verdict: reason }, "a-9") + hub("gap", gap, id) + event(next), status(204));
    const { log } = await read(t, url, { lastEventId: "a-9" });
    assert.deepEqual(log, [`<${reason}>`, `<gap ${reason} a-9 ${to}>`, `${next} x`]);
  }
});

test("a withdrawn permission ends it, behind what came before", async (t) => {
  const { url, requests } = await serve(t, hub("hello", { verdict: "fresh" }, "a-1") + event("a-2") + hub("revoked", {}, "ssehub.revoked") + event("a-3"));
  const { log, stream } = await read(t, url);
  assert.deepEqual(log, ["<fresh>", "a-2 x"]);
  assert.equal(stream.lastEventId, "a-2");
  assert.equal(requests.length, 1);
});

test("events wait for onEvent, and its failure costs nothing", async (t) => {
  const { url } = await serve(t, stays(event("1") + event("2") + event("3")));
  const order = [];
  const errors = [];
  await read(t, url, {
    onError: (error) => errors.push(error.message),
    onEvent: async function (e) {
      order.push("begin " + e.lastEventId);
      await new Promise((resolve) => setTimeout(resolve, 5));
      order.push("end " + e.lastEventId);
      if (e.lastEventId === "3") {
        this.close();
      }
      throw new Error("of " + e.lastEventId);
    },
  });
  assert.deepEqual(order, ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]);
  assert.deepEqual(errors.slice(0, 2), ["of 1", "of 2"]);
});

test("silence is judged by the heartbeat of who is read", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const hello = hub("hello", { verdict: "fresh", heartbeatMs: 10_000 }, "a-1");
  const { url, requests } = await serve(t, stays("retry: 0\n" + hello), stays(event("x")), status(204));
  let error;
  let came;
  const stream = connect(url, {
    onHello: () => came(),
    onEvent: () => came(),
    onState(state, why) { error ??= why; },
  });
  t.after(() => stream.close());
  await new Promise((resolve) => { came = resolve; });
  const pass = async (seconds) => {
    for (let i = 0; i < seconds; i++) {
      t.mock.timers.tick(1000);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await pass(19);
  assert.equal(error, undefined);
  await pass(6);
  assert.match(error.message, /no byte/);
  await new Promise((resolve) => { came = resolve; });
  await pass(100);
  assert.equal(stream.state, "open", "no hub, no heartbeat");
  assert.equal(requests.length, 2);
});

test("back-off: full jitter within bounds", () => {
  for (const [failures, base, random, want] of [
    [1, undefined, 0, 100], [1, undefined, 1, 1000], [2, undefined, 1, 2000], [3, undefined, 0.5, 2050],
    [6, undefined, 1, 30000], [5000, undefined, 1, 30000], [1, 0, 1, 100], [1, 1e300, 1, 30000], [1, 50000, 0, 100],
  ]) {
    assert.equal(backoff(failures, base, () => random), want, `${failures} ${base} ${random}`);
  }
});
