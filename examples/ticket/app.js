// The page of the ticket example: a ticket for each connect.

const byId = (id) => document.getElementById(id);
const token = location.hash.slice(1); // the part of a URL that is never sent
const mostWait = 30_000;

let source;
let lastId = "";
let failures = 0;
let tickets = 0;

async function connect() {
  let ticket;
  try {
    const res = await fetch("ticket", { method: "POST", headers: { Authorization: "Bearer " + token } });
    if (res.status === 401) {
      setState("wrong token");
      byId("trouble").textContent = "Open the URL that the program has printed: the token is in it.";
      return;
    }
    if (!res.ok) {
      throw new Error(res.statusText);
    }
    ticket = await res.text();
  } catch {
    again();
    return;
  }
  byId("tickets").textContent = ++tickets;
  // A new EventSource does not know the last id, so it goes into the URL too.
  source = new EventSource("events?" + new URLSearchParams({ ticket, lastEventID: lastId }));
  source.addEventListener("ssehub.hello", heard);
  source.addEventListener("message", (event) => {
    heard(event);
    byId("clock").textContent = event.data;
  });
  // By itself the browser would come back with the old ticket, and be refused.
  source.onerror = () => {
    source.close();
    again();
  };
}

function heard(event) {
  lastId = event.lastEventId;
  failures = 0;
  setState("live");
}

function setState(state) {
  byId("state").dataset.state = byId("state").textContent = state;
}

// again connects at a random time, which the next failure doubles.
function again() {
  setState("reconnecting");
  setTimeout(connect, Math.random() * Math.min(mostWait, 1000 * 2 ** ++failures));
}

connect();
