// conform feeds each case's stream to the parser, whole, byte by byte, and cut in two
// at every byte, and returns what differs from what sse.Decoder made of it.
export function conform(Parser, cases) {
  const wrong = [];
  for (const { name, stream, want } of cases) {
    const bytes = Uint8Array.from(atob(stream), (c) => c.charCodeAt(0));
    const check = (how, chunks) => {
      const got = JSON.stringify(read(Parser, chunks));
      if (got !== want) {
        wrong.push(`${name}, ${how}:\n got ${got}\nwant ${want}`);
      }
    };
    check("whole", [bytes]);
    check("by bytes", Array.from(bytes, (byte) => Uint8Array.of(byte)));
    for (let i = 1; i < bytes.length; i++) {
      check(`cut at ${i}`, [bytes.subarray(0, i), bytes.subarray(i)]);
    }
  }
  return wrong;
}

// read is in the form of golden in parser_test.go.
function read(Parser, chunks) {
  const events = [];
  const parser = new Parser(({ topic, id, type, data, hasId }) => events.push({ topic, id, type, data, hasId }));
  for (const chunk of chunks) {
    parser.push(chunk);
  }
  return { events, lastEventID: parser.lastEventId, retryMs: Math.min(parser.retry ?? -1, 9223372036854) };
}
