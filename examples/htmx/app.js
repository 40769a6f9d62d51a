// What htmx does not do by itself: a page that has missed something is rendered anew, and
// so is one whose browser has given up on the stream, as the extension then begins again
// at the place that the page was rendered for. Both are right at once.

let source;

// This runs before htmx is asked for, to see if that does not come.
let failed = false;
addEventListener("error", (event) => { failed ||= event.target.tagName === "SCRIPT"; }, true);
addEventListener("load", () => {
  if (failed) {
    tell("htmx could not be loaded, so that nothing comes by itself: reload the page to see what is new. " +
      "Without its CDN it can come from the folder of -scripts.");
  }
});

document.addEventListener("htmx:sseOpen", (event) => {
  if (source && source !== event.detail.source) {
    location.reload();
    return;
  }
  source = event.detail.source;
  source.addEventListener("ssehub.gap", () => location.reload(), { once: true });
  setState("live");
});
document.addEventListener("htmx:sseError", () => setState("reconnecting"));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) {
    event.target.reset?.();
  }
  tell(event.detail.successful ? "" : "That was not added.");
});

function tell(trouble) {
  document.querySelector("#trouble").textContent = trouble;
}

function setState(text) {
  const state = document.querySelector("#state");
  state.dataset.state = state.textContent = text;
}
