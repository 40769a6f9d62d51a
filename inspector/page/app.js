// The inspector's page: one stream of looks at the hub, and one of a topic's events
// while it is tailed. What the hub's clients wrote goes into textContent alone.

const byId = (id) => document.getElementById(id);
const kept = 60; // looks that rates, lines and quantiles are made of
const maxEvents = 200; // of the tail

// show writes only what differs, so that nothing is read out or drawn twice.
function show(target, text, tone = "") {
  const element = typeof target === "string" ? byId(target) : target;
  if (element.textContent !== text) element.textContent = text;
  if ((element.dataset.tone ?? "") !== tone) {
    if (tone) element.dataset.tone = tone;
    else delete element.dataset.tone;
  }
}

function add(parent, name, className, text = "") {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  parent.append(element);
  return element;
}

// Numbers

const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const number = (n) => (n < 100_000 ? n.toLocaleString("en") : short.format(n));
const rate = (n) => (n == null ? "–" : n > 0 && n < 10 ? n.toFixed(1) : number(Math.round(n)));
const plural = (n, one) => `${number(n)} ${one}${n === 1 ? "" : "s"}`;

function bytes(n) {
  let unit = 0;
  for (; n >= 1000 && unit < 4; unit++) n /= 1024;
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

function duration(ms) {
  if (ms === 0) return "0";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

// quantile of the durations between two counts of up to 1 µs, 2 µs, 4 µs and so on, in
// milliseconds; null if there are none.
function quantile(q, now, before) {
  const counts = now.map((n, i) => n - (before?.[i] ?? 0));
  const all = counts.at(-1);
  if (!all) return null;
  const i = counts.findIndex((n) => n > 0 && n >= Math.ceil(q * all));
  return 2 ** Math.min(i, counts.length - 2) / 1000;
}

const upTo = (ms) => (ms == null ? "–" : `≤ ${duration(ms)}`);

const reasons = (counts) =>
  Object.entries(counts).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).map(([name, n]) => `${name} ${number(n)}`).join(" · ") || "none";

const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

// Looks

const looks = []; // the newest last
let source; // of looks
let view = "topics";
let sort = { topics: ["name", false], subscribers: ["conn", false] };
let page = 0;

function watch() {
  source?.close();
  const [by, desc] = sort[view];
  source = new EventSource("look?" + new URLSearchParams({ view, q: byId("search").value, page, sort: by, desc }));
  source.addEventListener("look", (event) => onLook(JSON.parse(event.data)));
  source.onerror = () => {
    // CLOSED is for ever: the answer was no event stream, as from a login.
    if (source.readyState !== EventSource.CLOSED) return setState("reconnecting");
    setState("closed");
    again = setTimeout(watch, 5000);
  };
  clearTimeout(again);
}
let again;

function setState(state) {
  byId("state").dataset.state = state;
  show("state-text", state);
}

function onLook(look) {
  const before = looks.at(-1);
  if (before && (look.hub.published < before.hub.published || look.hub.joined < before.hub.joined)) {
    looks.length = 0; // another life of the server
  }
  looks.push(look);
  if (looks.length > kept) looks.shift();
  setState(look.hub.draining ? "draining" : "live");
  showHub(look);
  showRows(look);
  byId("publish").hidden = !look.publish;
}

// perSecond is how a figure rose between two looks; null if one is missing.
function perSecond(of, now, before) {
  const seconds = before ? (now.at - before.at) / 1000 : 0;
  return seconds > 0 ? Math.max(0, of(now) - of(before)) / seconds : null;
}

function showHub(look) {
  const h = look.hub;
  const minute = looks[0] === look ? null : looks[0].hub;
  show("position", h.position || "no event yet");
  show("subscribers", number(h.subscribers));
  show("streams", `${plural(h.streams, "stream")}${h.maxStreams ? ` of ${number(h.maxStreams)}` : ""}`,
    h.maxStreams && h.streams >= h.maxStreams ? "warn" : "");
  for (const [id, of, bytesOf] of [
    ["published", (l) => l.hub.published, h.publishedBytes],
    ["delivered", (l) => l.hub.delivered, h.deliveredBytes],
  ]) {
    const rates = looks.map((l, i) => perSecond(of, l, looks[i - 1])).slice(1);
    show(id + "-rate", rate(rates.at(-1)));
    show(id, `${number(of(look))} ever`);
    byId(id).title = `${bytes(bytesOf)} ever`;
    drawLine(id + "-line", rates);
  }
  const p99 = quantile(0.99, h.latency, minute?.latency);
  show("p99", upTo(p99));
  show("p50", `p50 ${upTo(quantile(0.5, h.latency, minute?.latency))}`);
  drawLine("p99-line", looks.map((l, i) => (i ? quantile(0.99, l.hub.latency, looks[i - 1].hub.latency) : null) ?? 0).slice(1));
  show("lag", h.lagMs ? duration(h.lagMs) : "0", h.lagMs > 10_000 ? "warn" : "");
  show("lag-note", h.lagMs ? "behind" : "all are up to date");
  show("bytes", bytes(h.bytes), h.maxBytes && h.bytes > 0.9 * h.maxBytes ? "warn" : "");
  show("kept", h.evicted ? `${bytes(h.evicted)} evicted` : plural(h.events, "event"), h.evicted ? "warn" : "");
  byId("kept").title = `${plural(h.events, "event")}, at most ${h.maxBytes ? bytes(h.maxBytes) : "as each topic keeps"}, ${bytes(h.evicted)} evicted ever`;
  const gaps = sum(h.gaps);
  show("gaps", number(gaps), gaps ? "warn" : "");
  show("gap-reasons", reasons(h.gaps));
  byId("gap-reasons").title = reasons(h.gaps);
  const refused = sum(h.refused);
  show("refused", number(refused), refused ? "warn" : "");
  show("refuse-reasons", reasons(h.refused));
  byId("refuse-reasons").title = reasons(h.refused);
  showBroker(h.broker, minute?.broker);
  show("count-topics", number(h.topics + h.patterns));
  show("count-subscribers", number(h.subscribers));
}

function showBroker(b, before) {
  if (!b) {
    show("broker", "–");
    show("broker-note", "none, or nothing was appended yet");
    return;
  }
  show("broker", b.err ? "down" : "reads well", b.err ? "bad" : "good");
  const note = b.err || [
    `${number(b.appended)} appended`, `${number(b.refused)} refused`, `${number(b.unread)} unread`, plural(b.failures, "failure"),
    `p50 ${upTo(quantile(0.5, b.latency, before?.latency))}, p99 ${upTo(quantile(0.99, b.latency, before?.latency))}`,
  ].join(" · ");
  show("broker-note", note, b.err ? "bad" : "");
  byId("broker-note").title = note;
}

function drawLine(id, values) {
  const svg = byId(id);
  if (!svg.firstChild) {
    svg.setAttribute("viewBox", `0 0 ${kept - 2} 20`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
  }
  const top = Math.max(...values, 1e-9);
  const from = kept - 1 - values.length;
  svg.firstChild.setAttribute("points", values.map((v, i) => `${from + i},${(19 - (18 * (v ?? 0)) / top).toFixed(1)}`).join(" "));
}

// Rows

// A column has a key to sort by, or null, a title, a class, and what a row shows there.
const columns = {
  topics: [
    ["name", "Topic", "text grow", null],
    ["subscribers", "Readers", "", (t) => number(t.subscribers)],
    [null, "Rate/s", "", (t, look) => rate(perSecond((l) => published(l, t), look, lookWith(look, t)))],
    ["published", "Published", "", (t) => number(t.published)],
    ["events", "Kept", "", (t) => number(t.events)],
    ["bytes", "Bytes", "", (t) => bytes(t.bytes)],
    ["lag", "Lag", "", (t) => number(t.lag)],
    ["lagMs", "Behind", "", (t) => duration(t.lagMs)],
    ["gaps", "Gaps", "", (t) => number(t.gaps)],
    ["position", "Position", "", (t) => t.position.split("-").at(-1) || "–"],
  ],
  subscribers: [
    ["conn", "Connection", "text mono name", (s) => (s.conn ? s.conn.slice(0, 8) : "in process")],
    ["subject", "Subject", "text some", (s) => s.subject || "–"],
    [null, "Topics", "text grow", (s) => s.topics.join(", ") + (s.more ? `, and ${number(s.more)} more` : "")],
    [null, "Verdict", "", (s) => s.verdict],
    [null, "Position", "", (s) => s.position.split("-").at(-1) || "–"],
    ["lag", "Lag", "", (s) => number(s.lag)],
    ["lagMs", "Behind", "", (s) => duration(s.lagMs)],
    ["ageMs", "Age", "", (s) => duration(s.ageMs)],
    [null, "", "act", null],
  ],
};

const published = (look, topic) => look.topics.find((t) => t.name === topic.name).published;
const lookWith = (look, topic) => {
  const before = looks[looks.indexOf(look) - 1];
  return before?.topics?.some((t) => t.name === topic.name) ? before : null;
};

function showHead() {
  const [by, desc] = sort[view];
  byId("head").replaceChildren(...columns[view].map(([key, title, className]) => {
    const th = document.createElement("th");
    th.scope = "col";
    th.className = className;
    if (key === by) th.setAttribute("aria-sort", desc ? "descending" : "ascending");
    if (!key) {
      add(th, "span", "", title);
      return th;
    }
    const button = add(th, "button", "", title);
    button.type = "button";
    button.addEventListener("click", () => {
      // Of numbers the largest are of interest.
      const [was, down] = sort[view];
      sort[view] = [key, was === key ? !down : !className.includes("text")];
      showHead();
      byId("head").children[columns[view].findIndex((c) => c[0] === key)].firstChild.focus();
      turn(0);
    });
    return th;
  }));
}

const rowsOf = new Map(); // by what they are about: they stay, and so does the focus

function showRows(look) {
  const items = look[view];
  if (!items && look.total > 0) return; // of the view before
  const body = byId("rows");
  const seen = new Set();
  let at = body.firstElementChild;
  (items ?? []).forEach((item, i) => {
    const key = view + " " + (item.name ?? (item.conn || `in process ${i}`));
    seen.add(key);
    const row = rowsOf.get(key) ?? makeRow(key, item);
    if (row !== at) body.insertBefore(row, at);
    at = row.nextElementSibling;
    fillRow(row, item, look);
  });
  for (const [key, row] of rowsOf) {
    if (!seen.has(key)) {
      row.remove();
      rowsOf.delete(key);
    }
  }
  const first = look.page * 50;
  byId("none").hidden = look.total > 0;
  show("none", byId("search").value ? "Nothing has this in its name." : view === "topics" ? "No topics yet." : "Nobody is here.");
  show("range", look.total ? `${number(first + 1)} – ${number(Math.min(first + 50, look.total))} of ${look.total.toLocaleString("en")}` : "0");
  byId("previous").disabled = look.page === 0;
  byId("next").disabled = look.page + 1 >= look.pages;
  page = look.page;
}

function makeRow(key, item) {
  const row = document.createElement("tr");
  for (const [, title, className] of columns[view]) add(row, "td", className).dataset.label = title;
  rowsOf.set(key, row);
  if (view === "topics") {
    const name = add(row.firstChild, "button", "link", item.name);
    name.type = "button";
    name.title = "Tail " + item.name;
    name.addEventListener("click", () => tailTopic(item.name));
    for (const tag of [item.pattern ? "pattern" : "", item.policy === "skip" ? "" : item.policy]) {
      if (tag) add(row.firstChild, "span", "tag", tag);
    }
  } else if (item.conn) {
    row.firstChild.title = item.conn;
    const button = add(row.lastChild, "button", "small", "Close");
    button.type = "button";
    button.setAttribute("aria-label", "Close connection " + item.conn.slice(0, 8));
    button.addEventListener("click", () => askToClose(item));
  }
  return row;
}

function fillRow(row, item, look) {
  columns[view].forEach(([, , className, text], i) => {
    if (!text) return;
    const cell = row.children[i];
    const value = text(item, look);
    show(cell, value);
    cell.classList.toggle("zero", value === "0" || value === "–");
    if (className.includes("grow")) cell.title = value;
  });
}

function turn(to) {
  page = to;
  looks.at(-1) && delete looks.at(-1)[view];
  watch();
}

function choose(next) {
  view = next;
  for (const name of ["topics", "subscribers"]) {
    const tab = byId("tab-" + name);
    tab.setAttribute("aria-selected", name === view);
    tab.tabIndex = name === view ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", "tab-" + view);
  byId("search").placeholder = view === "topics" ? "Search topics" : "Search ids, subjects, topics";
  byId("search").value = "";
  showHead();
  turn(0);
}

for (const [name, other] of [["topics", "subscribers"], ["subscribers", "topics"]]) {
  byId("tab-" + name).addEventListener("click", () => choose(name));
  byId("tab-" + name).addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    choose(other);
    byId("tab-" + other).focus();
  });
}

let typing;
byId("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => turn(0), 200);
});
byId("previous").addEventListener("click", () => turn(page - 1));
byId("next").addEventListener("click", () => turn(page + 1));

// Actions

// post returns the answer of an action, or throws what the server says.
async function post(path, values) {
  let answer;
  try {
    answer = await fetch(path, { method: "POST", body: new URLSearchParams(values) });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer.json();
}

let toClose;

function askToClose(item) {
  toClose = item.conn;
  show("closing-conn", item.conn);
  show("closing-subject", item.subject || "–");
  show("closing-topics", item.topics.join(", "));
  show("closing-note", "");
  document.querySelector('[name="again"][value="true"]').checked = true;
  byId("closing").showModal();
}

byId("closing-yes").addEventListener("click", async () => {
  const again = document.querySelector('[name="again"]:checked').value;
  try {
    await post("close", { conn: toClose, again });
    byId("closing").close();
  } catch (err) {
    show("closing-note", err.message);
  }
});

byId("publish-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { id } = await post("publish", {
      topic: byId("publish-topic").value, type: byId("publish-type").value, data: byId("publish-data").value,
    });
    show("publish-note", "Published as " + id, "good");
  } catch (err) {
    show("publish-note", err.message, "bad");
  }
});

// Tail

let tail; // the EventSource
let tailed = 0; // events that have come

function tailTopic(topic) {
  byId("tail-topic").value = topic;
  stopTail();
  byId("events").replaceChildren();
  tailed = 0;
  show("tail-button", "Stop");
  show("tail-note", "connecting …");
  const mine = (tail = new EventSource("tail?" + new URLSearchParams({ topic })));
  tail.onopen = () => show("tail-note", tailed ? tailNote() : "Nothing has come yet.");
  tail.addEventListener("tail", (event) => {
    const { items, skipped } = JSON.parse(event.data);
    if (skipped) addNote(`${plural(skipped, "event")} came too fast to be shown`);
    items.forEach(addEvent);
    tailed += items.length + skipped;
    show("tail-note", tailNote());
    const log = byId("events");
    while (log.childElementCount > maxEvents) log.firstElementChild.remove();
  });
  tail.onerror = () => {
    if (tail.readyState !== EventSource.CLOSED) {
      show("tail-note", "reconnecting …", "warn");
      return;
    }
    stopTail();
    // An EventSource does not tell why: ask.
    explain(topic).then((why) => tail === undefined && mine && show("tail-note", why, "warn"));
  };
}

const tailNote = () => `${plural(tailed, "event")}, the newest ${maxEvents} are here`;

async function explain(topic) {
  const stop = new AbortController();
  try {
    const answer = await fetch("tail?" + new URLSearchParams({ topic }), { signal: stop.signal });
    return answer.ok ? "The stream has ended." : (await answer.text()).trim();
  } catch {
    return "The server cannot be reached.";
  } finally {
    stop.abort();
  }
}

function stopTail() {
  tail?.close();
  tail = undefined;
  show("tail-button", "Tail");
  show("tail-note", tailed ? `Stopped after ${plural(tailed, "event")}.` : "Nothing is read.");
}

function addEvent(item) {
  if (item.type === "ssehub.gap") return addNote("a gap: " + item.data);
  const li = add(byId("events"), "li", item.old ? "old" : "");
  const meta = add(li, "div", "meta");
  add(meta, "span", "type", item.type || "message");
  add(meta, "span", "topic", item.topic);
  add(meta, "span", "id", item.id);
  add(li, "pre", "", item.data + (item.cut ? ` … and ${bytes(item.cut)} more` : ""));
}

function addNote(text) {
  add(byId("events"), "li", "note", text);
}

byId("tail-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (tail) stopTail();
  else tailTopic(byId("tail-topic").value.trim());
});
byId("tail-topic").addEventListener("input", () => tail && stopTail());

// Nobody looks at a page that is hidden.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    clearTimeout(again);
    setState("paused");
  } else {
    setState("connecting");
    watch();
  }
});

showHead();
watch();
