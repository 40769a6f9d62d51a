// The page of the chat. One stream brings what is said in a room, and who is there.

const byId = (id) => document.getElementById(id);
let source;
let me = "", room = "";
const people = new Map(); // name to the timer that ends it
const typists = new Map();

function enter() {
  [room, me] = [location.hash.slice(1), sessionStorage.getItem("user") ?? ""];
  const inside = room !== "" && me !== "";
  source?.close();
  byId("enter").hidden = inside;
  byId("inside").hidden = !inside;
  byId("where").textContent = inside ? "#" + room : "chat";
  setState(inside ? "connecting" : "outside");
  if (!inside) {
    byId("user").value = me;
    byId("room").value = room || "lobby";
    return;
  }
  for (const name of [...people.keys(), ...typists.keys()]) {
    forget(people, name);
    forget(typists, name);
  }
  show();
  source = new EventSource(`events?topic=room.${room}&topic=people.${room}&user=${me}`);
  source.addEventListener("ssehub.hello", () => setState("here"));
  // What was said lately comes first, and again where something was missed: then it
  // takes the place of all that there is.
  source.addEventListener("lately", (event) => {
    byId("log").replaceChildren();
    JSON.parse(event.data).forEach(append);
  });
  source.addEventListener("said", (event) => append(JSON.parse(event.data)));
  source.addEventListener("here", (event) => {
    const { user, ms } = JSON.parse(event.data);
    remember(people, user, ms);
  });
  source.addEventListener("gone", (event) => {
    forget(people, JSON.parse(event.data).user);
    show();
  });
  source.addEventListener("typing", (event) => {
    if (event.data !== me) {
      remember(typists, event.data, 3000);
    }
  });
  source.onerror = () => setState(source.readyState === EventSource.CLOSED ? "refused" : "reconnecting");
}

// remember believes a name for some time.
function remember(names, name, ms) {
  forget(names, name);
  names.set(name, setTimeout(() => { names.delete(name); show(); }, ms));
  show();
}

function forget(names, name) {
  clearTimeout(names.get(name));
  names.delete(name);
}

function show() {
  byId("people").replaceChildren(...[...people.keys()].sort().map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    item.classList.toggle("me", name === me);
    return item;
  }));
  const names = [...typists.keys()];
  byId("typing").textContent = names.length === 0 ? "" : names.join(", ") + (names.length === 1 ? " is" : " are") + " typing …";
}

function append({ user, text, at }) {
  const log = byId("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const item = document.createElement("li");
  const name = document.createElement("b");
  const time = document.createElement("time");
  const words = document.createElement("span");
  name.textContent = user;
  time.dateTime = at;
  time.textContent = new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  words.textContent = text;
  item.classList.toggle("me", user === me);
  item.append(name, time, words);
  log.append(item);
  if (atEnd || user === me) {
    log.scrollTop = log.scrollHeight;
  }
  forget(typists, user);
  show();
}

function setState(text) {
  byId("state").dataset.state = byId("state").textContent = text;
}

// post tries again for a while. A message that did arrive, while its answer did not, is
// known by its key.
async function post(path, form, key) {
  byId("trouble").textContent = "";
  const body = new URLSearchParams({ room, user: me, ...form });
  for (let attempt = 0; ; attempt++) {
    let text = "The server cannot be reached.";
    try {
      const res = await fetch(path, { method: "POST", body, headers: key ? { "Idempotency-Key": key } : {} });
      if (res.ok) {
        return true;
      }
      text = await res.text();
      if (res.status < 500) {
        attempt = Infinity;
      }
    } catch { /* it is down, or we are */ }
    if (!key || attempt >= 5) {
      byId("trouble").textContent = key ? text : "";
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 1000 * 2 ** attempt));
  }
}

byId("enter").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("user", byId("user").value);
  if (location.hash === "#" + byId("room").value) {
    enter();
  } else {
    location.hash = byId("room").value; // which enters
  }
};
byId("leave").onclick = () => {
  sessionStorage.removeItem("user");
  enter();
};
byId("say").onsubmit = async (event) => {
  event.preventDefault();
  const input = event.target.text;
  const text = input.value;
  input.value = "";
  // Not crypto.randomUUID, which is there over HTTPS and on localhost only.
  const key = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
  if (!await post("say", { text }, key) && input.value === "") {
    input.value = text;
  }
};
let told = 0;
byId("say").oninput = () => {
  if (Date.now() - told > 1500) {
    told = Date.now();
    post("typing", {});
  }
};
addEventListener("hashchange", enter);
enter();
