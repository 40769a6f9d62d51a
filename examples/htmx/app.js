// What htmx does not do by itself: a page that has missed something is rendered anew, and
// so is one whose browser has given up on the stream, as the extension then begins again
// at the place that the page was rendered for. Both are right at once.

let source;

document.body.addEventListener("htmx:sseOpen", (event) => {
  if (source && source !== event.detail.source) {
    location.reload();
    return;
  }
  source = event.detail.source;
  source.addEventListener("ssehub.gap", () => location.reload(), { once: true });
  setState("live");
});
document.body.addEventListener("htmx:sseError", () => setState("reconnecting"));
document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) {
    event.target.reset?.();
  }
});

function setState(text) {
  const state = document.querySelector("#state");
  state.dataset.state = state.textContent = text;
}
