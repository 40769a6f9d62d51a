import { EventSourceParserStream } from "eventsource-parser/stream";
import { url, report } from "./report.js";

// The parser is no more than that: coming back, with the id, is the program's part.
for (let id = "", ended = false; !ended; ) {
  try {
    const response = await fetch(url, { headers: id ? { "Last-Event-ID": id } : {} });
    ended = response.status === 204;
    if (ended) continue;
    for await (const event of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
      id = event.id ?? id;
      report(event.event ?? "message", event.data);
    }
  } catch (error) {
    if (error.name !== "TypeError") throw error; // the connection was cut
  }
}
