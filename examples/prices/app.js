// The page of the prices: it adds up changes, and has no way to fetch a price.
// That it is right all the same it checks against the total in every change.

const byId = (id) => document.getElementById(id);
const money = (cents) => (cents / 100).toFixed(2);
const counts = { changes: 0, tables: 0, gaps: 0 };
const prices = new Map(); // cents by symbol
const rows = new Map();   // table rows by symbol

let source = null;
let lastId = "";

function connect() {
  // A browser sends the last id by itself when it reconnects. A new EventSource
  // does not know it, so it goes into the URL.
  source = new EventSource(lastId ? "events?lastEventID=" + encodeURIComponent(lastId) : "events");
  source.addEventListener("ssehub.hello", onHello);
  source.addEventListener("ssehub.gap", onGap);
  source.addEventListener("prices", onPrices);
  source.addEventListener("change", onChange);
  source.onerror = () => setState(source.readyState === EventSource.CLOSED ? "closed" : "reconnecting");
}

// lookAway closes the stream, as a phone in a pocket does.
function lookAway(seconds) {
  source.close();
  setState("away");
  tell(`Away for ${seconds} s.`);
  setTimeout(connect, seconds * 1000);
}

function heard(event) {
  lastId = event.lastEventId || lastId;
  setState("live");
}

function onHello(event) {
  const { verdict } = JSON.parse(event.data);
  heard(event);
  tell({ fresh: "Connected.", resumed: "Back. Nothing is missing." }[verdict] ?? `Back, ${verdict}: some changes are missing.`);
}

// onGap has nothing to do: the table follows.
function onGap(event) {
  const { reason } = JSON.parse(event.data);
  heard(event);
  count("gaps");
  tell(`Told of a gap (${reason}).`);
}

function onPrices(event) {
  prices.clear();
  for (const [symbol, cents] of Object.entries(JSON.parse(event.data))) {
    prices.set(symbol, cents);
  }
  for (const symbol of [...prices.keys()].sort()) {
    show(symbol, 0);
  }
  heard(event);
  count("tables");
  tell(`The whole table, as of ${event.lastEventId}.`);
}

function onChange(event) {
  const { symbol, by, total } = JSON.parse(event.data);
  prices.set(symbol, prices.get(symbol) + by);
  show(symbol, by);
  heard(event);
  count("changes");
  let sum = 0;
  for (const cents of prices.values()) {
    sum += cents;
  }
  const check = byId("check");
  check.dataset.ok = String(sum === total);
  check.textContent = sum === total
    ? `In step: all prices add up to ${money(sum)}, as the server says.`
    : `Out of step: all prices add up to ${money(sum)}, and the server says ${money(total)}.`;
}

function show(symbol, by) {
  let row = rows.get(symbol);
  if (!row) {
    row = byId("rows").insertRow();
    row.append(document.createElement("th"));
    row.cells[0].scope = "row";
    row.cells[0].textContent = symbol;
    row.insertCell();
    row.insertCell();
    rows.set(symbol, row);
  }
  row.cells[1].textContent = money(prices.get(symbol));
  row.cells[2].textContent = by === 0 ? "" : (by > 0 ? "+" : "−") + money(Math.abs(by));
  row.dataset.by = Math.sign(by);
}

function count(what) {
  byId("count-" + what).textContent = String(++counts[what]);
}

function tell(text) {
  const item = document.createElement("li");
  item.textContent = text;
  byId("story").prepend(item);
  while (byId("story").children.length > 50) {
    byId("story").lastChild.remove();
  }
}

function setState(next) {
  const pill = byId("state");
  if (pill.dataset.state !== next) {
    pill.dataset.state = next;
    pill.textContent = next;
    for (const button of document.querySelectorAll("button")) {
      button.disabled = next !== "live";
    }
  }
}

for (const button of document.querySelectorAll("button")) {
  button.disabled = true;
  button.addEventListener("click", () => lookAway(Number(button.dataset.seconds)));
}
connect();
