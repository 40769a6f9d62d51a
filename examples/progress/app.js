// The page of the jobs. Each event is the newest value of one job, and nothing else has
// to be remembered: a page that comes later gets one for each, and one that was away
// gets one for each that has changed.

const byId = (id) => document.getElementById(id);
const rows = new Map(); // by the id of the job

const source = new EventSource("events");
source.addEventListener("ssehub.hello", (event) => {
  if (!JSON.parse(event.data).resumed) { // all there is follows
    rows.clear();
    byId("jobs").replaceChildren();
    byId("none").hidden = false;
  }
  setState("live");
});
source.addEventListener("job", (event) => show(JSON.parse(event.data)));
source.onerror = () => setState(source.readyState === EventSource.CLOSED ? "closed" : "reconnecting");

function show({ id, name, done, total, state, error }) {
  const row = rows.get(id) ?? newRow(id, name);
  row.dataset.state = state;
  const bar = row.querySelector("progress");
  if (total > 0) {
    bar.max = total;
    bar.value = done;
  }
  const percent = total > 0 ? Math.floor(100 * done / total) : 0;
  row.querySelector(".how").textContent = state === "running" ? percent + " %" : state === "done" ? "done" : "failed: " + error;
  row.querySelector("button").hidden = state !== "running";
}

function newRow(id, name) {
  const row = document.createElement("li");
  const [title, how, bar, stop] = ["b", "span", "progress", "button"].map((tag) => document.createElement(tag));
  row.className = "card";
  title.textContent = name;
  how.className = "how";
  bar.setAttribute("aria-label", name);
  stop.type = "button";
  stop.textContent = "Stop";
  stop.onclick = () => post("stop", { id });
  row.append(title, how, bar, stop);
  byId("jobs").prepend(row);
  byId("none").hidden = true;
  rows.set(id, row);
  return row;
}

function setState(text) {
  byId("state").dataset.state = byId("state").textContent = text;
}

async function post(path, form) {
  byId("trouble").textContent = "";
  try {
    const res = await fetch(path, { method: "POST", body: new URLSearchParams(form) });
    if (res.ok) {
      return true;
    }
    byId("trouble").textContent = await res.text();
  } catch {
    byId("trouble").textContent = "The server cannot be reached.";
  }
  return false;
}

byId("start").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.target;
  if (await post("start", { name: form.elements.name.value })) {
    form.reset();
  }
};
