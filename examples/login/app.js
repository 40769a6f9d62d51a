// The page of the login example. What matters is in connect.

const byId = (id) => document.getElementById(id);
let source;

// connect reads what is said to the user. When the permission is withdrawn the
// stream's last event says so, and the browser would stop by itself at the next
// connect, as that gets status 204: nothing here must remember it.
function connect(user) {
  source = new EventSource("events?topic=to." + user);
  source.addEventListener("ssehub.hello", () => show(user, "connected"));
  source.onmessage = (event) => {
    const line = document.createElement("li");
    line.textContent = event.data;
    byId("log").append(line);
  };
  source.addEventListener("ssehub.revoked", () => {
    source.close();
    show("", "signed out");
  });
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) { // refused: the session is over
      show("", "signed out");
    } else {
      show(user, "reconnecting");
    }
  };
}

function show(user, state) {
  byId("login").hidden = user !== "";
  byId("inside").hidden = user === "";
  byId("state").textContent = user === "" ? state : user + ", " + state;
  byId("state").dataset.state = state;
}

// post sends a form, or nothing, and returns the answer's text, or undefined.
async function post(path, form) {
  byId("trouble").textContent = "";
  try {
    const res = await fetch(path, { method: "POST", body: form && new URLSearchParams(new FormData(form)) });
    const text = await res.text();
    if (res.ok) {
      return text;
    }
    byId("trouble").textContent = text;
  } catch {
    byId("trouble").textContent = "The server cannot be reached.";
  }
}

byId("login").onsubmit = async (event) => {
  event.preventDefault();
  const user = await post("login", event.target);
  if (user !== undefined) {
    event.target.reset();
    connect(user);
  }
};
byId("say").onsubmit = async (event) => {
  event.preventDefault();
  if (await post("say", event.target) !== undefined) {
    event.target.text.value = "";
  }
};
byId("logout").onclick = () => post("logout");

const me = await fetch("me");
if (me.ok) {
  connect(await me.text());
} else {
  show("", "signed out");
}
