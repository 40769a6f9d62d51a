// ssehub.js reads a hub's event stream in a page: it reconnects and resumes by
// itself, notices a line that is open but dead, and holds events back while the
// page fetches its state anew. It needs no other file and no build step.
//
//   import { connect } from "/ssehub/ssehub.js";
//
//   const stream = connect("/events", { onGap: (gap) => reload() });
//   stream.addEventListener("message", (event) => show(event.data));
//
// A Feed is one connection after the other, a Stream what the page has of it. The
// feed hands each event to its readers; a reader that stops for a while goes on
// behind the id of the last event that it took, as anybody does. With the option
// shared the feed is in a SharedWorker, which runs this same file, and has the pages
// of all tabs for its readers.

// Milliseconds, unless they say otherwise.
const baseDelay = 1000;            // before the first retry, until the server's retry: says another
const minDelay = 100;
const maxDelay = 30_000;
const stableAfter = 10_000;        // a connection that lasted as long ends a row of failures
const pace = 1000;                 // between two attempts that something else than the back-off makes
const minSilence = 2000;           // that is taken for a dead line, whatever the heartbeat
const answerTime = 45_000;         // for a server to answer, until its heartbeat is known
const minAnswerTime = 10_000;
const hiddenAfter = 60_000;
const maxHeld = 1000;              // events
const maxHeldSize = 4 << 20;       // characters of their data

const pingEvery = 2000;            // a page, so that it notices a worker that has ended
const askedFor = 15_000;           // without a ping until another page is asked
const frozenAfter = 180_000;       // hidden pages may ping once a minute
const maxUnread = 20_000;          // events that a page may leave unread
const maxUnreadSize = 16 << 20;    // characters of their data

// The worker's name has the version of what is said between it and pages, so that pages
// of two versions of this file never meet.
const workerName = "ssehub 1";

// Statuses below 500 that may get better by themselves.
const passing = new Set([408, 425, 429]);

// connect returns a Stream that reads url. It connects in the background.
export function connect(url, options) {
  return new Stream(url, options);
}

// StreamError is why a connection failed, or why a Stream has ended.
export class StreamError extends Error {
  name = "StreamError";
  status = 0;      // of the answer, if that was the reason
  final = false;   // the next attempt would fare no better
  retryAfter = 0;  // milliseconds that the server asks for

  constructor(message, fields) {
    super(message);
    Object.assign(this, fields);
  }
}

// again is the end of an attempt that another one follows at once.
const again = new StreamError("connecting anew");

// gone is why a page does not answer: it is closed, frozen or hidden.
const gone = new StreamError("no page answers");

// Parser takes a stream apart by the algorithm of the HTML standard, "Interpreting
// an event stream". Its chunks may be cut anywhere, and it never waits for the byte
// behind a CR.
export class Parser {
  lastEventId;  // what the last blank line put in force
  retry;        // milliseconds, undefined until the stream says it

  #dispatch;
  #decoder = new TextDecoder(); // drops a byte order mark, and waits for the rest of a character
  #rest = "";     // the line that has no end yet
  #cr = false;    // the last chunk ended with one: a LF is its other half
  #id;
  #hasId = false; // since the last blank line
  #type = "";
  #topic = "";
  #data = [];

  // dispatch is called with each event: id is the one in force, hasId whether this
  // event brought it, type "" where it has none, topic the hub's field beside the
  // standard's.
  constructor(dispatch, lastEventId = "") {
    this.#dispatch = dispatch;
    this.#id = this.lastEventId = lastEventId;
  }

  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text === "") {
      return;
    }
    if (this.#cr && text[0] === "\n") {
      text = text.slice(1);
    }
    this.#cr = text.endsWith("\r");
    let start = 0;
    for (const end of text.matchAll(/\r\n?|\n/g)) {
      this.#line(this.#rest + text.slice(start, end.index));
      this.#rest = "";
      start = end.index + end[0].length;
    }
    this.#rest += text.slice(start);
  }

  #line(line) {
    if (line === "") {
      this.#blank();
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value[0] === " ") {
      value = value.slice(1);
    }
    switch (name) {
      case "data":
        this.#data.push(value);
        break;
      case "event":
        this.#type = value;
        break;
      case "topic":
        this.#topic = value;
        break;
      case "id":
        if (!value.includes("\0")) {
          this.#id = value;
          this.#hasId = true;
        }
        break;
      case "retry":
        if (/^[0-9]+$/.test(value)) {
          this.retry = Number(value);
        }
    }
  }

  #blank() {
    this.lastEventId = this.#id;
    const event = {
      id: this.#id, hasId: this.#hasId, type: this.#type, topic: this.#topic, data: this.#data.join("\n"),
    };
    const dispatched = this.#data.length > 0;
    this.#hasId = false;
    this.#type = this.#topic = "";
    this.#data = [];
    if (dispatched) {
      this.#dispatch(event);
    }
  }
}

// backoff returns the milliseconds to wait before the next attempt, after failures
// of a row: full jitter, so that clients that were cut together do not come back
// together.
export function backoff(failures, base = baseDelay, random = Math.random) {
  const top = Math.min(Math.max(base, minDelay) * 2 ** (failures - 1), maxDelay);
  return minDelay + random() * (top - minDelay);
}

// retryAfter reads both forms of the header, in milliseconds; what is neither
// counts as none.
function retryAfter(header) {
  const ms = /^[0-9]+$/.test(header ?? "") ? header * 1000 : Date.parse(header) - Date.now();
  return ms > 0 ? Math.min(ms, maxDelay) : 0;
}

// position takes an id of a hub apart, or returns null.
function position(id) {
  const parts = /^([0-9A-Za-z_]{1,32})-(0|[1-9][0-9]{0,15})$/.exec(id);
  return parts && { epoch: parts[1], seq: Number(parts[2]) };
}

// json is the object that data holds; a hub's own always does.
function json(data) {
  try {
    return Object(JSON.parse(data));
  } catch {
    return {};
  }
}

// isBehind reports whether a comes before b, or at it, in the same log.
function isBehind(a, b) {
  return a && b && a.epoch === b.epoch && a.seq <= b.seq;
}

// headerValue is an id as fetch wants it, a character for each byte of UTF-8.
function headerValue(id) {
  return Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join("");
}

// Reader is one of those that a feed hands events to. It leaves out what it has had
// already, as a feed may have begun behind it, and a broker may bring an event twice.
class Reader {
  #newest; // position of what it has had

  constructor(lastId) {
    this.#newest = position(lastId);
  }

  // wants reports whether an event of a hub is for this reader, and takes note of it.
  wants(event) {
    const at = event.hasId ? position(event.id) : null;
    switch (event.type) {
      case "ssehub.hello":
        this.#newest ??= at; // of a fresh one, and else where it comes from
        return true;
      case "ssehub.gap":
        if (!this.#misses(json(event.data))) {
          return false;
        }
        this.#newest = at;
        return true;
    }
    if (isBehind(at, this.#newest)) {
      return false;
    }
    this.#newest = at ?? this.#newest;
    return true;
  }

  // misses reports whether a gap is in front of this reader. Where the log uses numbers
  // again, they say nothing.
  #misses({ reason, to }) {
    return reason === "ahead" || !isBehind(position(to), this.#newest);
  }
}

// Feed reads one URL over one connection after the other, until it is closed or
// the server ends it, and hands what comes to its readers.
//
// request is {url, credentials, silence, hooks}: a plain object, as it may come from
// another thread. The functions of the page are its readers' affair: ask.
class Feed {
  readers = new Set();
  state = "connecting";
  lastId;          // the place that the next connection goes on from
  begun = false;   // something has come
  settled = false; // lastId is where this connection is

  #request;
  #onSettled;
  #abort;          // of the attempt under way
  #asked = 0;      // when it began
  #wake;           // ends the wait for the next one
  #failures = 0;
  #base = baseDelay;
  #refused = false; // by status 401 or 403, and the page was asked
  #fromHub = false;
  #limit;          // milliseconds of silence; 0: unknown
  #ticks = 0;      // without a byte
  #ticker;

  constructor(request, lastId, onSettled = () => {}) {
    this.#request = request;
    this.lastId = lastId;
    this.#limit = request.silence;
    this.#onSettled = onSettled;
  }

  add(reader) {
    reader.feed = this;
    this.readers.add(reader);
    reader.onState(this.state);
  }

  // remove ends the feed with its last reader.
  remove(reader) {
    this.readers.delete(reader);
    if (this.readers.size === 0) {
      this.close();
    }
  }

  close(error) {
    if (this.state !== "closed") {
      this.settled = false;
      this.#setState("closed", error);
      this.#abort?.abort();
      this.#wake?.();
    }
  }

  // merge makes one of this feed and another that reads the same. The one that is behind
  // will have all that the other has, and readers leave out what they know. In logs of
  // different epochs, as on two servers that share none, both stay.
  merge(other) {
    const [here, there] = [position(this.lastId), position(other.lastId)];
    if (!isBehind(here, there)) {
      return isBehind(there, here) && other.merge(this);
    }
    for (const reader of other.readers) {
      this.add(reader);
    }
    other.readers.clear();
    other.close();
    return true;
  }

  // reconnect ends the connection, or the wait for the next one, and connects anew:
  // the network has changed.
  reconnect() {
    if (performance.now() - this.#asked >= pace) {
      this.#abort?.abort(again);
      this.#wake?.();
    }
  }

  async run() {
    while (this.state !== "closed") {
      const error = await this.#attempt();
      if (this.state === "closed") {
        return;
      }
      if (error.final) {
        this.close(error);
      } else if (error !== again) {
        await this.#pause(error);
      }
    }
  }

  // attempt makes one connection, reads it to its end, and returns why it ended.
  async #attempt() {
    const abort = this.#abort = new AbortController();
    this.#asked = performance.now();
    this.#setState("connecting");
    let opened = Infinity;
    try {
      const response = await this.#fetch(abort.signal);
      opened = performance.now();
      await this.#read(response.body.getReader(), abort.signal);
      return new StreamError("the connection has ended");
    } catch (error) {
      const reason = abort.signal.reason ?? error;
      return reason instanceof StreamError ? reason : new StreamError(String(reason), { cause: reason });
    } finally {
      clearInterval(this.#ticker);
      abort.abort();
      this.settled = false;
      if (performance.now() - opened >= stableAfter) {
        this.#failures = 0;
      }
    }
  }

  async #fetch(signal) {
    const headers = new Headers(await this.#ask("headers"));
    headers.set("Accept", "text/event-stream");
    if (this.lastId) {
      headers.set("Last-Event-ID", headerValue(this.lastId));
    }
    this.#watch(this.#limit > 0 ? Math.max(this.#limit, minAnswerTime) : answerTime);
    const { url, credentials } = this.#request;
    const response = await fetch(url, { headers, credentials, cache: "no-store", signal });
    this.#watch(0);
    const { status } = response;
    if (status === 204) {
      throw new StreamError("the server has ended the stream", { status, final: true });
    }
    if (status === 401 || status === 403) {
      throw await this.#refusal(status);
    }
    if (status !== 200) {
      const final = status < 500 && !passing.has(status);
      throw new StreamError(`status ${status}`, { status, final, retryAfter: retryAfter(response.headers.get("Retry-After")) });
    }
    if (!/^text\/event-stream(;|$)/i.test(response.headers.get("Content-Type"))) {
      throw new StreamError("the answer is no event stream", { status, final: true });
    }
    this.#refused = false;
    return response;
  }

  // refusal asks the page for new credentials, once, and returns what to do then.
  async #refusal(status) {
    const { auth, headers } = this.#request.hooks;
    const first = !this.#refused;
    this.#refused = true;
    if (first && (auth || headers) && (!auth || await this.#ask("auth", status) !== false)) {
      return again;
    }
    return new StreamError(`status ${status}`, { status, final: true });
  }

  async #read(body, signal) {
    this.#fromHub = false;
    this.#watch(this.#limit);
    this.#setState("open");
    const resumed = this.lastId;
    const parser = new Parser((event) => {
      if (!signal.aborted) {
        this.#take(event, resumed);
      }
    }, this.lastId);
    for (;;) {
      const { done, value } = await body.read();
      if (done || signal.aborted) {
        return;
      }
      this.#ticks = 0;
      parser.push(value);
      this.#base = parser.retry ?? this.#base;
      if (!signal.aborted) { // else it may be that of an event that was not taken
        this.lastId = parser.lastEventId; // a block without data may have moved it
      }
    }
  }

  // take looks at what a hub says of the stream, and hands on the event.
  #take(event, resumed) {
    const was = this.settled;
    this.begun = true;
    if (event.type === "ssehub.revoked") {
      this.#hand(event);
      this.close(new StreamError("the permission was withdrawn", { final: true }));
      return;
    }
    const has = event.hasId && event.id !== "";
    this.lastId = event.id;
    switch (event.type) {
      case "ssehub.hello":
        this.#hello(json(event.data), event, resumed);
        break;
      case "ssehub.gap":
        this.settled = has; // else what comes behind it brings the place
        this.#hand(event);
        break;
      default:
        this.settled ||= has && this.#fromHub;
        this.#forgetHub();
        this.#hand(event);
    }
    if (this.settled && (!was || event.type === "ssehub.gap")) {
      this.#onSettled(this);
    }
  }

  // hello takes note of the heartbeat. A hub that calls a stream fresh which asked
  // to go on never saw the id: a proxy has dropped it.
  #hello(hello, event, resumed) {
    const { heartbeatMs, verdict } = hello;
    this.#fromHub = true;
    if (!this.#request.silence) {
      this.#watch(this.#limit = heartbeatMs > 0 ? Math.max(2 * heartbeatMs, minSilence) : 0);
    }
    this.settled = event.hasId && event.id !== "" && (verdict === "fresh" || verdict === "resumed");
    this.#hand(event);
    if (verdict === "fresh" && resumed) {
      const gap = { reason: "invalid", from: resumed, to: event.hasId ? event.id : "", topic: "" };
      this.#hand({ ...event, type: "ssehub.gap", data: JSON.stringify(gap) });
    }
  }

  // forgetHub takes back the heartbeat of an earlier connection, where this one is to
  // something else.
  #forgetHub() {
    if (!this.#fromHub && this.#limit !== this.#request.silence) {
      this.#watch(this.#limit = this.#request.silence);
    }
  }

  #hand(event) {
    for (const reader of [...this.readers]) {
      if (!this.#fromHub || reader.wants(event)) {
        reader.onEvent(event);
      }
    }
  }

  // watch ends the attempt when no byte comes within limit, or up to a fifth more.
  // It counts ticks and not time: a thread that was blocked, or a machine that
  // slept, has not listened.
  #watch(limit) {
    clearInterval(this.#ticker);
    this.#ticks = 0;
    if (limit > 0) {
      this.#ticker = setInterval(() => {
        if (++this.#ticks > 5) {
          this.#abort.abort(new StreamError("no byte came for too long"));
        }
      }, Math.min(limit, 86_400_000) / 5);
    }
  }

  // ask calls a function of the page, where there is one: of the page that was heard
  // last, and of another if that one goes.
  async #ask(hook, status) {
    if (!this.#request.hooks[hook]) {
      return undefined;
    }
    for (const reader of [...this.readers].sort((a, b) => b.heard - a.heard)) {
      try {
        return await reader.onAsk(hook, status);
      } catch (error) {
        if (error !== gone) {
          throw error;
        }
      }
    }
    throw gone;
  }

  async #pause(error) {
    this.#failures++;
    this.#setState("waiting", error);
    const wait = Math.max(backoff(this.#failures, this.#base), error.retryAfter);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #setState(state, error) {
    this.state = state;
    for (const reader of [...this.readers]) {
      reader.onState(state, error);
    }
  }
}

// Line is how a Stream reads in its own page: a feed with one reader.
class Line {
  #reader;

  constructor(request, handlers) {
    this.request = request;
    this.handlers = handlers;
  }

  attach(lastId) {
    this.#reader = Object.assign(new Reader(lastId), this.handlers);
    const feed = new Feed(this.request, lastId);
    feed.add(this.#reader);
    feed.run();
  }

  detach() {
    this.#reader?.feed.remove(this.#reader);
  }

  close() {
    this.detach();
  }

  reconnect() {
    this.#reader?.feed.reconnect();
  }
}

// Shared is how a Stream reads in the worker. A page says
//
//   attach n request lastId | detach | reconnect | ping | ack n | answer id value error
//
// and the worker answers [n, items], where n is that of the attachment they are for:
// what comes late for an earlier one counts for nothing.
class Shared {
  #request;
  #handlers;
  #url;
  #port;
  #n = 0;
  #answered = false;
  #pings = 0;     // without an answer
  #pinger;

  constructor(request, handlers, url) {
    this.#request = request;
    this.#handlers = handlers;
    this.#url = url;
  }

  attach(lastId) {
    if (!this.#port && !this.#open()) {
      return;
    }
    this.#post("attach", ++this.#n, this.#request, lastId);
    clearInterval(this.#pinger);
    this.#pings = 0;
    this.#pinger = setInterval(() => this.#ping(), pingEvery);
  }

  detach() {
    this.#n++;
    clearInterval(this.#pinger);
    this.#post("detach");
  }

  reconnect() {
    this.#post("reconnect");
  }

  #open() {
    try {
      const worker = new SharedWorker(this.#url, { type: "module", name: workerName });
      worker.onerror = () => this.#giveUp();
      this.#port = worker.port;
    } catch { // of another origin, or against the page's policy
      this.#giveUp();
      return false;
    }
    this.#answered = false;
    this.#port.onmessage = ({ data: [n, items] }) => this.#receive(n, items);
    return true;
  }

  #post(...message) {
    this.#port?.postMessage(message);
  }

  #receive(n, items) {
    this.#answered = true;
    this.#pings = 0;
    if (items.length > 0) {
      this.#post("ack", n);
    }
    for (const item of items) {
      if (n !== this.#n) {
        return;
      }
      if ("data" in item) {
        this.#handlers.onEvent(item);
      } else if ("state" in item) {
        this.#handlers.onState(item.state, item.error && new StreamError(item.error.message, item.error));
      } else if ("ask" in item) {
        this.#answer(item);
      } else {
        this.attach(this.#handlers.lastId()); // it was dropped
      }
    }
  }

  async #answer({ ask, hook, status }) {
    try {
      this.#post("answer", ask, await this.#handlers.onAsk(hook, status));
    } catch (error) {
      this.#post("answer", ask, undefined, String(error));
    }
  }

  // ping asks for a sign of life. A worker may end, as on a phone that needs memory, and
  // nobody tells the page: the browser then has a new one for it.
  #ping() {
    if (++this.#pings <= 2) {
      this.#post("ping");
    } else if (this.#answered) {
      this.close();
      this.attach(this.#handlers.lastId());
    } else {
      this.#giveUp();
    }
  }

  close() {
    this.detach();
    this.#port?.close();
    this.#port = undefined;
  }

  // giveUp leaves the page to a connection of its own.
  #giveUp() {
    if (this.#handlers) {
      this.close();
      const { onAlone } = this.#handlers;
      this.#handlers = undefined;
      onAlone();
    }
  }
}

// Stream is what connect returns. Events of the application are dispatched by their
// type, "message" where they have none, as MessageEvents with a topic; so are the
// hub's own, such as "ssehub.hello" and "ssehub.gap".
export class Stream extends EventTarget {
  #url;
  #origin;
  #options;
  #state = "connecting";
  #error;
  #source;
  #attached = false;
  #lastId;          // of the last event that the page has had
  #taken;           // of the last one in the queue
  #queue = [];
  #size = 0;        // of what is in it
  #pumping = false;
  #away = false;    // the page is frozen, or has been left, for good or not
  #paused = false;  // that, or it is hidden for long
  #hiddenTimer;
  #end = new AbortController(); // of what the Stream has begun

  constructor(url, options = {}) {
    super();
    ({ href: this.#url, origin: this.#origin } = new URL(url, globalThis.location?.href));
    this.#options = options;
    this.#lastId = this.#taken = options.lastEventId ?? "";
    const { onAuth, headers, credentials = "same-origin", silence = 0, shared = false, worker = import.meta.url } = options;
    if (shared === true && (onAuth || headers)) {
      throw new TypeError("shared must name whose stream it is, where headers or onAuth decide that");
    }
    const request = {
      url: this.#url, credentials, silence, shared,
      hooks: { headers: headers !== undefined, auth: onAuth !== undefined },
    };
    const handlers = {
      lastId: () => this.#taken,
      onEvent: (event) => this.#take(event),
      onState: (state, error) => this.#onState(state, error),
      onAsk: async (hook, status) => hook === "auth" ? onAuth(status) : [...new Headers(typeof headers === "function" ? await headers() : headers)],
      onAlone: () => {
        this.#source = new Line(request, handlers);
        if (this.#attached) {
          this.#source.attach(this.#taken);
        }
      },
    };
    this.#source = shared && globalThis.SharedWorker ? new Shared(request, handlers, worker) : new Line(request, handlers);
    this.#watchPage();
    this.#attach();
  }

  get url() {
    return this.#url;
  }

  // state is "connecting", "open", "waiting" for the next attempt, "paused" while the
  // page is hidden or holds back too much, or "closed" for good.
  get state() {
    return this.#state;
  }

  // error is why the last connection failed, or why the Stream has ended.
  get error() {
    return this.#error;
  }

  // lastEventId is that of the last event that was dispatched.
  get lastEventId() {
    return this.#lastId;
  }

  // close ends the Stream for good. What was held back is dropped.
  close() {
    if (this.#state !== "closed") {
      this.#queue = [];
      this.#finish();
    }
  }

  // reconnect connects anew at once.
  reconnect() {
    this.#source.reconnect();
  }

  #attach() {
    if (!this.#attached && this.#state !== "closed") {
      this.#attached = true;
      this.#source.attach(this.#taken);
    }
  }

  #detach() {
    if (this.#attached) {
      this.#attached = false;
      this.#source.detach();
      this.#setState("paused");
    }
  }

  #finish(error) {
    this.#attached = false;
    this.#source.close();
    this.#end.abort();
    clearTimeout(this.#hiddenTimer);
    this.#setState("closed", error);
  }

  #onState(state, error) {
    if (!this.#attached) {
      return;
    }
    if (state === "closed") {
      this.#queue.push({ end: true, error }); // behind what came before
      this.#pump();
    } else {
      this.#setState(state, error);
    }
  }

  #setState(state, error) {
    if (this.#state !== "closed" && (state !== this.#state || error)) {
      this.#state = state;
      this.#error = error ?? (state === "open" ? undefined : this.#error);
      this.#call(this.#options.onState, state, error);
    }
  }

  // take puts an event into the queue. When that is full, because the page has not
  // come to an end with a gap, the connection is given up until it has: it goes on
  // behind the last event in the queue.
  #take(event) {
    if (!this.#attached) {
      return;
    }
    this.#taken = event.type === "ssehub.revoked" ? this.#taken : event.id;
    this.#queue.push(event);
    this.#size += event.data.length;
    this.#pump();
    if (this.#queue.length >= (this.#options.maxHeld ?? maxHeld) || this.#size >= maxHeldSize && this.#queue.length > 0) {
      this.#detach();
    }
  }

  // pump dispatches what is in the queue, at once but for what a function of the page
  // has asked to wait for.
  async #pump() {
    if (this.#pumping) {
      return;
    }
    this.#pumping = true;
    for (let event; this.#state !== "closed" && (event = this.#queue.shift());) {
      if (event.end) {
        this.#finish(event.error);
        return;
      }
      this.#size -= event.data.length;
      const wait = this.#deliver(event);
      if (wait) {
        await wait;
      }
    }
    this.#pumping = false;
    if (!this.#paused) {
      this.#attach(); // after a queue that was full
    }
  }

  // deliver returns a promise if what comes behind the event must wait.
  #deliver(event) {
    const { onHello, onGap, onEvent } = this.#options;
    const init = { data: event.data, lastEventId: event.id, origin: this.#origin };
    const message = new MessageEvent(event.type || "message", init);
    message.topic = event.topic;
    this.dispatchEvent(message);
    if (event.type !== "ssehub.revoked") {
      this.#lastId = event.id;
    }
    switch (event.type) {
      case "ssehub.hello":
        return onHello && this.#insist(onHello, json(event.data));
      case "ssehub.gap":
        return onGap && this.#insist(onGap, json(event.data));
    }
    return event.type.startsWith("ssehub.") ? undefined : this.#call(onEvent, message);
  }

  // insist calls hook until it does not fail: behind a gap the events are of no use to
  // a page that could not fetch its state.
  async #insist(hook, argument) {
    for (let failures = 1; this.#state !== "closed"; failures++) {
      try {
        await hook.call(this, argument);
        return;
      } catch (error) {
        this.#report(error);
      }
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, backoff(failures));
        this.#end.signal.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        }, { once: true });
      });
    }
  }

  // call calls hook, if there is one, and reports what it throws. It returns a promise
  // if hook does.
  #call(hook, ...args) {
    try {
      return hook?.apply(this, args)?.then?.(undefined, (error) => this.#report(error));
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }

  #report(error) {
    const handle = this.#options.onError ?? globalThis.reportError ?? console.error;
    queueMicrotask(() => handle(error)); // what that throws is its own affair
  }

  // watchPage gives the connection up while nobody looks, and takes it up again.
  #watchPage() {
    if (typeof document === "undefined") {
      return;
    }
    const { signal } = this.#end;
    const on = (target, type, listener) => target.addEventListener(type, listener, { signal });
    on(document, "visibilitychange", () => this.#look());
    on(document, "freeze", () => this.#leave());
    on(document, "resume", () => this.#comeBack());
    on(window, "pagehide", () => this.#leave()); // and then it is hidden
    on(window, "pageshow", () => this.#comeBack());
    on(window, "online", () => this.reconnect());
    this.#look();
  }

  #look() {
    clearTimeout(this.#hiddenTimer);
    const after = this.#options.hiddenAfter ?? hiddenAfter;
    if (this.#away) {
      return;
    }
    if (document.visibilityState !== "hidden" || after < 0) {
      this.#paused = false;
      if (!this.#pumping) {
        this.#attach();
      }
    } else if (!this.#paused) {
      this.#hiddenTimer = setTimeout(() => this.#pause(), after);
    }
  }

  #leave() {
    this.#away = true;
    this.#pause();
  }

  #comeBack() {
    this.#away = false;
    this.#look();
  }

  #pause() {
    this.#paused = true;
    this.#detach();
  }
}

// Client is the worker's end of a page's port.
class Client {
  #port;
  #feeds;
  #clients;        // those that may be alive
  #n = 0;
  #tab;            // the reader of the attachment
  #batch = [];     // for one message
  #unread = [];    // of each message, how many events and how large
  #asks = new Map();
  #asked = 0;
  heard = performance.now();

  constructor(port, feeds, clients) {
    this.#port = port;
    this.#feeds = feeds;
    this.#clients = clients;
    port.onmessage = ({ data: [kind, ...args] }) => this.#on(kind, args);
    port.onclose = () => this.detach(); // where there is such an event
  }

  #on(kind, args) {
    this.#clients.add(this);
    this.heard = performance.now();
    if (this.#tab) {
      this.#tab.heard = this.heard;
    }
    switch (kind) {
      case "attach":
        this.detach();
        this.#attach(...args);
        break;
      case "detach":
        this.detach();
        break;
      case "reconnect":
        this.#tab?.feed.reconnect();
        break;
      case "ping":
        this.#port.postMessage([this.#n, []]);
        break;
      case "ack":
        if (args[0] === this.#n) {
          this.#unread.shift();
        }
        break;
      case "answer":
        this.#onAnswer(...args);
    }
  }

  // attach gives the page a feed of its own, from its own place, which merges with that
  // of the others as soon as both know where they are; or one that is just beginning at
  // the same place.
  #attach(n, request, lastId) {
    this.#n = n;
    this.#tab = Object.assign(new Reader(lastId), {
      heard: this.heard,
      onEvent: (event) => this.#send(event),
      onState: (state, error) => this.#send({ state, error: error && { ...error, message: error.message } }),
      onAsk: (hook, status) => new Promise((resolve, reject) => {
        const ask = ++this.#asked;
        this.#asks.set(ask, { resolve, reject });
        this.#send({ ask, hook, status });
      }),
    });
    this.#feeds.join(request, lastId, this.#tab);
  }

  detach() {
    this.#batch = [];
    this.#unread = [];
    this.leaveAsks();
    this.#tab?.feed.remove(this.#tab);
    this.#tab = undefined;
  }

  // drop is for a page that does not read: if it lives it attaches again, from where it is.
  drop() {
    if (this.#tab) {
      this.detach();
      this.#send({});
    }
  }

  leaveAsks() {
    for (const { reject } of this.#asks.values()) {
      reject(gone);
    }
    this.#asks.clear();
  }

  #onAnswer(ask, value, error) {
    const { resolve, reject } = this.#asks.get(ask) ?? {};
    this.#asks.delete(ask);
    if (error === undefined) {
      resolve?.(value);
    } else {
      reject?.(new StreamError(error));
    }
  }

  // send puts an item into the next message: one for all that a chunk of the stream has.
  #send(item) {
    if (this.#batch.push(item) === 1) {
      queueMicrotask(() => this.#flush());
    }
  }

  #flush() {
    const items = this.#batch;
    if (items.length === 0) {
      return; // detached meanwhile
    }
    this.#batch = [];
    this.#port.postMessage([this.#n, items]);
    this.#unread.push({ count: items.length, size: items.reduce((n, { data = "" }) => n + data.length, 0) });
    const sum = (what) => this.#unread.reduce((n, message) => n + message[what], 0);
    if (sum("count") > maxUnread || sum("size") > maxUnreadSize) {
      this.drop();
    }
  }
}

// Feeds are those of a worker, by what they read.
class Feeds {
  #feeds = new Map(); // sets of feeds that read the same

  join(request, lastId, reader) {
    const key = JSON.stringify(request);
    const alike = this.#feeds.get(key) ?? new Set();
    this.#feeds.set(key, alike);
    for (const feed of alike) {
      if (!feed.begun && feed.lastId === lastId && feed.state !== "closed") {
        feed.add(reader);
        return;
      }
    }
    const feed = new Feed(request, lastId, () => {
      for (const other of alike) {
        if (other !== feed && feed.settled && other.settled) {
          other.merge(feed);
        }
      }
    });
    alike.add(feed);
    feed.add(reader);
    feed.run().then(() => alike.delete(feed) && alike.size === 0 && this.#feeds.delete(key));
  }
}

// serve is the worker: one connection for all pages that read the same.
function serve(scope) {
  const feeds = new Feeds();
  const clients = new Set();
  scope.onconnect = ({ ports: [port] }) => new Client(port, feeds, clients);
  setInterval(() => {
    for (const client of clients) {
      const quiet = performance.now() - client.heard;
      if (quiet > frozenAfter) {
        client.drop();
        clients.delete(client); // until it says something
      } else if (quiet > askedFor) {
        client.leaveAsks();
      }
    }
  }, askedFor / 3);
}

if (globalThis.SharedWorkerGlobalScope && self.name === workerName) {
  serve(self);
}
