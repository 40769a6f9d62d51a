import { DefaultChatTransport } from "ai";
import { url, report } from "./report.js";

// What useChat does with resume: true, but again when the answer is not finished: to node
// a connection that was cut is a stream's end like any other.
const transport = new DefaultChatTransport({ prepareReconnectToStreamRequest: () => ({ api: url }) });
for (let finished = false; !finished; ) {
  try {
    report("restart");
    for await (const chunk of await transport.reconnectToStream({ chatId: "1" })) {
      finished = chunk.type === "finish";
      report("message", chunk.delta ?? chunk.messageMetadata);
    }
    if (finished) report("end", "end");
  } catch (error) {
    finished = error.name !== "TypeError"; // the connection was cut
    if (finished) report("error", error.name);
  }
}
