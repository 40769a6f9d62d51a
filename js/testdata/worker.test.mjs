// The worker, and pages that do what no test can have a browser do: be frozen without a
// word, or never read.
import assert from "node:assert";
import test, { mock } from "node:test";
import { event, hub, serve, stays } from "./server.mjs";

mock.timers.enable({ apis: ["setInterval"] });
let now = 0;
performance.now = () => now;
globalThis.SharedWorkerGlobalScope = Object;
globalThis.self = { name: "ssehub 1" };
await import("../ssehub.js");

// open is a page's end of a port: what comes goes into items.
function open(t) {
  const { port1, port2 } = new MessageChannel();
  const page = {
    items: [],
    say: (...message) => port1.postMessage(message),
    async until(done) {
      while (!page.items.some(done)) {
        await new Promise((resolve) => { page.wake = resolve; });
      }
      return page.items.find(done);
    },
  };
  port1.onmessage = ({ data: [, items] }) => {
    page.items.push(...items);
    page.wake?.();
  };
  self.onconnect({ ports: [port2] });
  t.after(() => {
    page.say("detach");
    port1.close();
  });
  return page;
}

// pass has time pass for the worker's own clock, and hears those pages that live.
async function pass(seconds, ...living) {
  for (let i = 0; i < seconds; i += 5) {
    now += 5000;
    for (const page of living) {
      page.say("ping");
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    mock.timers.tick(5000);
  }
}

const request = (url, hooks = {}) => ({ url, credentials: "same-origin", silence: 0, shared: true, hooks });
const fresh = hub("hello", { verdict: "fresh" }, "a-1");
const asked = (item) => "ask" in item;
const dropped = (item) => Object.keys(item).length === 0;
const hello = (item) => item.type === "ssehub.hello";

test("another page is asked when one does not answer", async (t) => {
  const { url, requests } = await serve(t, stays(fresh));
  const [frozen, living] = [open(t), open(t)];
  frozen.say("attach", 1, request(url, { headers: true }), "");
  await frozen.until(asked);
  living.say("attach", 1, request(url, { headers: true }), "");
  await pass(20, living);
  living.say("answer", (await living.until(asked)).ask, [["x-from", "living"]]);
  await living.until(hello);
  await frozen.until(hello);
  assert.deepEqual(requests.map(({ headers }) => headers["x-from"]), ["living"]);
});

test("a page that is silent for too long is dropped, and may come back", async (t) => {
  const { url, requests } = await serve(t, stays(fresh));
  const page = open(t);
  page.say("attach", 1, request(url), "");
  await page.until(hello);
  await pass(180, page);
  assert.ok(!page.items.some(dropped));
  await pass(200);
  await page.until(dropped);
  page.items = [];
  page.say("attach", 2, request(url), "a-1");
  await page.until(hello);
  assert.equal(requests[1].headers["last-event-id"], "a-1");
});

test("a page that does not read is dropped before it costs too much", async (t) => {
  const events = Array.from({ length: 30_000 }, (_, i) => event(`a-${i + 2}`)).join("");
  const { url } = await serve(t, stays(fresh + events));
  const [stuck, reading] = [open(t), open(t)];
  for (const page of [stuck, reading]) {
    page.say("attach", 1, request(url), "");
  }
  await stuck.until(dropped);
  assert.ok(stuck.items.length < 30_000);
  reading.say("detach");
});

test("pages that come from different places get what each of them misses", async (t) => {
  const streams = [];
  const begin = (id) => (response) => {
    stays(hub("hello", { verdict: "resumed" }, id))(response);
    streams.push(response);
  };
  const { url } = await serve(t, begin("a-5"), begin("a-9"));
  const [behind, ahead] = [open(t), open(t)];
  behind.say("attach", 1, request(url), "a-5");
  await behind.until(hello);
  ahead.say("attach", 1, request(url), "a-9");
  await ahead.until(hello);
  await new Promise((resolve) => streams[1].on("close", resolve)); // the one that is not needed
  const gap = { reason: "overflow", from: "a-5", to: "a-7", topic: "t" };
  streams[0].write(hub("gap", gap, "a-7") + event("a-8") + event("a-9") + event("a-10"));
  const story = (page) => page.items.filter((item) => "data" in item && !hello(item)).map(({ type, id }) => `${type} ${id}`);
  for (const [page, want] of [[behind, ["ssehub.gap a-7", " a-8", " a-9", " a-10"]], [ahead, [" a-10"]]]) {
    await page.until((item) => item.id === "a-10");
    assert.deepEqual(story(page), want);
  }
});
