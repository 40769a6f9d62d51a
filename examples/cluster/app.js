// The page of the cluster example: which node it reads from, and that it misses
// nothing when that is killed.

const byId = (id) => document.getElementById(id);
const counts = { moves: 0, gaps: 0, missing: 0 };
const maxLines = 200;
let node = "";
let next; // the number that a count goes on with

function count(what, by = 1) {
  counts[what] += by;
  byId("count-" + what).textContent = counts[what];
}

const source = new EventSource("events");
source.addEventListener("ssehub.hello", () => setState("live"));
source.addEventListener("ssehub.gap", () => count("gaps"));
source.addEventListener("node", (event) => {
  if (node !== "" && node !== event.data) {
    count("moves");
  }
  node = event.data;
  byId("node").textContent = node;
  showNodes();
});
source.onmessage = (event) => {
  const number = /^count (\d+)$/.exec(event.data);
  if (number) {
    const n = Number(number[1]);
    if (next !== undefined && n !== next && n !== 1) {
      count("missing", Math.abs(n - next));
    }
    next = n + 1;
  }
  const line = document.createElement("li");
  line.textContent = event.data;
  const log = byId("log");
  log.append(line);
  while (log.children.length > maxLines) {
    log.firstChild.remove();
  }
  log.scrollTop = log.scrollHeight;
};
source.onerror = () => setState("reconnecting");

function setState(state) {
  byId("state").dataset.state = state;
  byId("state").textContent = state;
}

// post tries until it is done: the node that it went to may be the one that is killed,
// and with the key it cannot be done twice.
async function post(line) {
  const key = crypto.randomUUID();
  for (;;) {
    try {
      const res = await fetch("publish", { method: "POST", body: line, headers: { "Idempotency-Key": key } });
      if (res.ok) {
        return;
      }
    } catch {
      // it is away; there is another one
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

byId("post").onsubmit = async (event) => {
  event.preventDefault();
  const line = byId("line").value;
  byId("line").value = "";
  await post(line);
};

byId("count").onclick = async () => {
  byId("count").disabled = true;
  for (let i = 1; i <= 100; i++) {
    await post("count " + i);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  byId("count").disabled = false;
};

// showNodes asks which nodes are there. Behind another proxy nobody knows.
async function showNodes() {
  let text;
  try {
    const res = await fetch("nodes");
    text = res.ok ? await res.text() : "";
  } catch {
    return;
  }
  const list = byId("nodes");
  for (const line of text.trim().split("\n").filter(Boolean)) {
    const [name, up] = line.split(" ");
    let item = byId("node-" + name);
    if (!item) {
      item = document.createElement("li");
      item.id = "node-" + name;
      const title = document.createElement("b");
      title.textContent = name;
      item.append(title, document.createElement("span"), button("Kill", "kill/" + name), button("Drain", "drain/" + name));
      list.append(item);
    }
    item.dataset.up = up;
    item.dataset.mine = String(name === node && up === "true");
    item.querySelector("span").textContent = up === "true" ? "" : "down";
    for (const b of item.querySelectorAll("button")) {
      b.disabled = up !== "true";
    }
  }
}

function button(text, path) {
  const b = document.createElement("button");
  b.type = "button";
  b.textContent = text;
  b.onclick = async () => {
    await fetch(path, { method: "POST" });
    showNodes();
  };
  return b;
}

setInterval(showNodes, 1000);
showNodes();
