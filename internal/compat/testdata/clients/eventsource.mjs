import { EventSource } from "eventsource";
import { url, report } from "./report.js";

const source = new EventSource(url);
source.onmessage = (event) => report("message", event.data);
setInterval(() => {}, 1000); // or the process ends when the source has stopped
