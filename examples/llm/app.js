// The page of the llm example. The address names the answer that it shows, so that a
// reload or a second tab shows the same.

const byId = (id) => document.getElementById(id);
const encoder = new TextEncoder();
let source;
let length = 0; // of the answer, in bytes, as the server counts

// show reads the answer of the address, from its beginning.
function show() {
  source?.close();
  const topic = location.hash.slice(1);
  byId("dialogue").hidden = topic === "";
  if (topic === "") {
    setState("ready");
    return;
  }
  byId("tab").href = location.href;
  setState("connecting");
  source = new EventSource("events?topic=" + encodeURIComponent(topic));
  source.addEventListener("answer", (event) => render(JSON.parse(event.data)));
  source.addEventListener("token", (event) => append(JSON.parse(event.data)));
  source.addEventListener("done", (event) => render(JSON.parse(event.data)));
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) {
      setState("reconnecting"); // by itself
      return;
    }
    setState("over");
    byId("stop").hidden = true;
    byId("end").textContent = "This answer is no longer there.";
  };
}

// render shows the whole answer so far.
function render({ prompt, text, done, error }) {
  byId("prompt").textContent = prompt;
  byId("answer").textContent = text;
  byId("answer").dataset.writing = String(!done);
  byId("stop").hidden = done;
  byId("end").textContent = error ? "Ended early: " + error + "." : done ? "That was all." : "";
  length = encoder.encode(text).length;
  setState(done ? "done" : "writing");
  if (done) {
    source.close(); // else the browser would come back for more
  }
}

// append adds a word. One that was missed, as words are kept for nobody, shows in the
// next one's place: then the page begins with the answer so far, as a new one does.
function append({ at, text }) {
  if (at > length) {
    show();
    return;
  }
  if (at < length) {
    return; // it was in the answer so far
  }
  byId("answer").append(text);
  length += encoder.encode(text).length;
  setState("writing");
}

function setState(text) {
  const state = byId("state");
  if (state.dataset.state !== text) {
    state.dataset.state = state.textContent = text;
  }
}

// post returns the answer's text, or undefined.
async function post(path, body) {
  byId("trouble").textContent = "";
  try {
    const res = await fetch(path, { method: "POST", body });
    const text = await res.text();
    if (res.ok) {
      return text;
    }
    byId("trouble").textContent = text;
  } catch {
    byId("trouble").textContent = "The server cannot be reached.";
  }
}

byId("ask").onsubmit = async (event) => {
  event.preventDefault();
  const topic = await post("ask", byId("text").value);
  if (topic !== undefined) {
    event.target.reset();
    location.hash = topic; // which shows it
  }
};
byId("text").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    byId("ask").requestSubmit();
  }
};
byId("stop").onclick = () => post("stop", new URLSearchParams({ topic: location.hash.slice(1) }));
addEventListener("hashchange", show);
show();
