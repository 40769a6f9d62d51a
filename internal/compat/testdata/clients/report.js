// report tells the test what a client made of an event: its kind, and its data. Calls
// arrive in their order.
const args = globalThis.process?.argv.slice(2) ?? [location.origin + "/", new URLSearchParams(location.search).get("report")];
export const [url, to] = args;

let before = Promise.resolve();

export function report(kind, data = "") {
  before = before.then(() => fetch(to, { method: "POST", mode: "no-cors", body: JSON.stringify([kind, data]) }));
  return before;
}

// watch reports what is added to an element as messages.
export function watch(element) {
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) report("message", node.textContent.trim());
  }).observe(element, { childList: true });
}
