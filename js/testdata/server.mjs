import { createServer } from "node:http";

// serve answers request number n with answers[n], and all further ones with the last: a
// text is the whole of an event stream.
export async function serve(t, ...answers) {
  const requests = [];
  const server = createServer((request, response) => {
    const answer = answers[Math.min(requests.length, answers.length - 1)];
    requests.push({ headers: request.headers, at: performance.now() });
    if (typeof answer === "function") {
      answer(response);
    } else {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.end(answer);
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}/`, requests };
}

export const status = (code, headers) => (response) => response.writeHead(code, headers).end();
export const stays = (text) => (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write(text);
};
export const event = (id, data = "x") => `id: ${id}\ndata: ${data}\n\n`;
export const hub = (type, data, id) => `event: ssehub.${type}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(data)}\n\n`;
