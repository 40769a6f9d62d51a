// The page of the table. It keeps the newest value of each sensor and draws when the
// screen does, so that it is never slower than what comes.

const byId = (id) => document.getElementById(id);
const cells = [];
const changed = new Map(); // value by sensor, since the last frame
let source, lastId = "";
let got = 0, first, newest = 0; // counts of readings: here, and of all sensors
let away; // while looking away and for a moment behind that: what is counted

function connect() {
  // A browser sends the last id by itself when it reconnects. A new EventSource does not
  // know it, so it goes into the URL.
  source = new EventSource(lastId ? "events?lastEventID=" + encodeURIComponent(lastId) : "events");
  source.addEventListener("ssehub.hello", (event) => {
    if (!JSON.parse(event.data).resumed) { // the server counts anew
      [got, first, newest] = [0, undefined, 0];
    }
    setState("live");
  });
  source.addEventListener("reading", (event) => {
    const { sensor, value, count } = JSON.parse(event.data);
    lastId = event.lastEventId || lastId;
    first ??= count - 1;
    newest = Math.max(newest, count);
    got++;
    if (changed.size === 0) {
      requestAnimationFrame(draw);
    }
    changed.set(sensor, value);
  });
  source.addEventListener("ssehub.mark", (event) => { lastId = event.lastEventId; });
  source.onerror = () => setState(source.readyState === EventSource.CLOSED ? "closed" : "reconnecting");
}

function draw() {
  for (const [sensor, value] of changed) {
    while (cells.length <= sensor) {
      cells.push(byId("cells").appendChild(document.createElement("span")));
    }
    const cell = cells[sensor];
    cell.textContent = value.toFixed(1);
    cell.style.setProperty("--heat", String(Math.max(0, Math.min(1, (value - 12) / 16))));
  }
  changed.clear();
  byId("published").textContent = (newest - first).toLocaleString("en");
  byId("got").textContent = got.toLocaleString("en");
  if (away !== undefined) { // this is the first frame behind it
    byId("back").textContent = `${(got - away.got).toLocaleString("en")} of ${(newest - away.newest).toLocaleString("en")}`;
    away = undefined;
  }
}

function setState(text) {
  byId("state").dataset.state = byId("state").textContent = text;
  byId("away").disabled = text !== "live";
}

byId("away").onclick = () => {
  source.close();
  setState("away");
  setTimeout(() => {
    away = { got, newest };
    connect();
  }, 10_000);
};
connect();
