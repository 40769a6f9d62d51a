// The page of the quickstart: one EventSource, and an honest account of it.

const maxEntries = 200;

// What a ssehub.hello says, by its verdict.
const verdicts = {
  fresh: "Connected. The stream starts now.",
  resumed: "Reconnected. Nothing was missed.",
  gap: "Reconnected, but away for too long.",
  epoch: "Reconnected, to a server that was started anew.",
  ahead: "Reconnected, to a server that is behind this page.",
  invalid: "Reconnected, with an id that the server does not know.",
};

// What a ssehub.gap says, by its reason.
const reasons = {
  window: "The server no longer keeps all that was sent meanwhile. What follows is complete.",
  overflow: "This page read too slowly, and the server no longer keeps what it missed. What follows is complete.",
  epoch: "The server was restarted: what it sent before is gone. What follows is complete.",
  ahead: "The server does not know the events that this page has seen. What follows is complete.",
  invalid: "The server cannot tell what this page has seen. What follows is complete.",
};

const byId = (id) => document.getElementById(id);
const counts = { events: 0, reconnects: 0, gaps: 0 };

let source;           // the EventSource
let state = "connecting";
let lastId = "";      // of the last event, the browser's own copy cannot be read
let lastHeard = 0;    // performance.now() of the last event
let silence = 0;      // milliseconds without an event that mean trouble; 0: unknown
let streams = 0;      // that said hello
let failures = 0;     // since the last event

function connect() {
  // The browser sends the last id by itself when it reconnects. A new
  // EventSource does not know it, so it goes into the URL.
  source = new EventSource(lastId ? "events?lastEventID=" + encodeURIComponent(lastId) : "events");
  source.onmessage = (event) => {
    heard(event);
    addEntry("message", event, [["text", event.data]]);
  };
  source.addEventListener("clock", (event) => {
    heard(event);
    byId("clock").textContent = event.data;
  });
  source.addEventListener("ssehub.hello", onHello);
  source.addEventListener("ssehub.gap", onGap);
  source.onopen = () => {
    // Not live yet: a server that shuts down answers too, with nothing but the
    // time to come back. Its hello makes a stream.
    lastHeard = performance.now();
  };
  source.onerror = onError;
  setState("connecting");
}

// heard is for every event: it proves that the stream lives.
function heard(event) {
  lastId = event.lastEventId;
  lastHeard = performance.now();
  failures = 0;
  byId("last-id").textContent = lastId || "–";
  count("events");
  setState("live");
}

function onHello(event) {
  const hello = JSON.parse(event.data);
  // EventSource hides heartbeats. Silence is certain only because this
  // server's clock ticks each second, and doubtful after two heartbeats.
  silence = hello.heartbeatMs ? 2 * hello.heartbeatMs + 1000 : 0;
  byId("conn").textContent = hello.conn;
  byId("heartbeat").textContent = hello.heartbeatMs ? hello.heartbeatMs / 1000 + " s" : "off";
  if (streams++ > 0) {
    count("reconnects");
  }
  heard(event);
  const entry = addEntry("hello", event, [
    ["text", verdicts[hello.verdict] ?? "Connected: " + hello.verdict],
    ["note", `verdict ${hello.verdict} · connection ${hello.conn.slice(0, 8)}`],
  ]);
  entry.dataset.verdict = hello.verdict;
}

function onGap(event) {
  const gap = JSON.parse(event.data);
  heard(event);
  count("gaps");
  const entry = addEntry("gap", event, [
    ["text", reasons[gap.reason] ?? "Events are missing: " + gap.reason],
    ["note", `${gap.topic ? `topic ${gap.topic} · ` : ""}from ${gap.from || "unknown"} to ${gap.to || "unknown"}`],
  ]);
  entry.dataset.reason = gap.reason;
}

function onError() {
  failures++;
  if (state === "live" || state === "silent") {
    addEntry("lost", null, [["text", "The connection was lost."]]);
  }
  // CLOSED is for ever: the answer was no event stream, as from a proxy
  // without a server behind it.
  setState(source.readyState === EventSource.CLOSED ? "closed" : streams > 0 ? "reconnecting" : "connecting");
}

function setState(next) {
  state = next;
  const pill = byId("state");
  const text = failures > 1 && next === "reconnecting" ? `${next} (${failures})` : next;
  if (byId("state-text").textContent !== text) {
    pill.dataset.state = next; // only on a change, or screen readers repeat it
    byId("state-text").textContent = text;
  }
  const trouble = {
    closed: "The browser has given up on the stream.",
    silent: "The stream is open, but nothing comes.",
  }[next];
  byId("trouble").hidden = !trouble;
  if (trouble) {
    byId("trouble-text").textContent = trouble;
  }
}

// addEntry shows parts, pairs of a class and a text. What others sent goes into
// textContent, never into HTML.
function addEntry(kind, event, parts) {
  const item = document.createElement("li");
  item.dataset.kind = kind;
  item.dataset.id = event?.lastEventId ?? "";
  const now = new Date();
  const time = addElement(item, "time", "", now.toLocaleTimeString());
  time.dateTime = now.toISOString();
  addElement(item, "span", "type", event?.type ?? "connection");
  for (const [name, text] of parts) {
    addElement(item, "p", name, text);
  }
  addElement(item, "span", "id", item.dataset.id);
  const log = byId("log");
  log.append(item);
  while (log.childElementCount > maxEntries) {
    log.firstElementChild.remove();
  }
  return item;
}

function addElement(parent, name, className, text) {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  parent.append(element);
  return element;
}

function count(name) {
  byId("count-" + name).textContent = (++counts[name]).toLocaleString();
}

async function post(event) {
  event.preventDefault();
  const input = byId("line");
  const line = input.value;
  let problem = "";
  try {
    const answer = await fetch("publish", { method: "POST", body: line, signal: AbortSignal.timeout(10_000) });
    if (!answer.ok) {
      problem = `Not posted: ${(await answer.text()).trim() || answer.status}.`;
    } else if (input.value === line) {
      input.value = ""; // it comes back as an event, like everybody's
    }
  } catch {
    problem = "Not posted: the server cannot be reached.";
  }
  byId("post-error").textContent = problem;
}

function watch() {
  if (source.readyState === EventSource.OPEN && silence && performance.now() - lastHeard > silence) {
    setState("silent");
  }
}

byId("post").addEventListener("submit", post);
byId("reconnect").addEventListener("click", () => {
  source.close();
  connect();
});
byId("curl").textContent = `curl -d hi ${new URL("publish", location)}`;
setInterval(watch, 1000);
connect();
