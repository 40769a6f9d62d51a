// Types of ssehub.js.

/** Reads url, in the background, until it is closed or the server ends it. */
export function connect(url: string | URL, options?: Options): Stream;

export interface Options {
  /** Headers of the request, or a function that is called anew for each attempt. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  /** For cookies of another origin: "include". The default is "same-origin". */
  credentials?: RequestCredentials;
  /** The place to start from, as of a page that was rendered with a state. */
  lastEventId?: string;

  /**
   * Called with the first event of each connection. What comes behind it waits
   * until the promise is resolved; if that is rejected, it is called again.
   */
  onHello?(this: Stream, hello: Hello): unknown;
  /**
   * Called when events are missing: fetch the state anew. What comes behind the gap
   * waits until the promise is resolved; if that is rejected, it is called again.
   */
  onGap?(this: Stream, gap: Gap): unknown;
  /**
   * Called with each event of the application, whatever its type; the next one waits
   * for its promise.
   */
  onEvent?(this: Stream, event: StreamEvent): unknown;
  /** Called when the state changes; error is why, where there is a reason. */
  onState?(this: Stream, state: State, error?: StreamError): void;
  /**
   * Called on status 401 or 403. The request is made once more when the promise is
   * resolved, unless with false; a second refusal ends the Stream. Without it that is
   * so where headers is set, and else the first one does.
   */
  onAuth?(status: number): boolean | void | Promise<boolean | void>;
  /** Gets what the functions above throw. The default is reportError. */
  onError?(error: unknown): void;

  /**
   * Read with all tabs of the browser over one connection. Tabs that share must be of one
   * user: give a name that says whose stream it is, such as the user's id, unless all
   * users get the same. With headers or onAuth it must be a name. Where the browser has no
   * SharedWorker, or the page may not have one, the tab has a connection of its own.
   */
  shared?: boolean | string;
  /** Where ssehub.js is, for a SharedWorker: needed where a bundler has put it into another file. */
  worker?: string | URL;

  /** Milliseconds after which a hidden page gives its connection up. The default is 60,000; negative: never. */
  hiddenAfter?: number;
  /** Events that wait before the connection is given up until they are done. The default is 1000. */
  maxHeld?: number;
  /** Milliseconds without a byte that mean a dead line. The default is twice the hub's heartbeat. */
  silence?: number;
}

export type State = "connecting" | "open" | "waiting" | "paused" | "closed";

export class Stream extends EventTarget {
  constructor(url: string | URL, options?: Options);
  readonly url: string;
  readonly state: State;
  /** Why the last connection failed, or why the Stream has ended. */
  readonly error: StreamError | undefined;
  /** Of the last event that was dispatched. */
  readonly lastEventId: string;
  /** Ends the Stream for good. What was held back is dropped. */
  close(): void;
  /** Connects anew at once, but at most once a second. */
  reconnect(): void;

  /** type is that of an event, "message" where it has none, or one of the hub's own, such as "ssehub.gap". */
  addEventListener(
    type: string,
    listener: ((this: Stream, event: StreamEvent) => unknown) | EventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** An event, with its topic where the stream has several. */
export interface StreamEvent extends MessageEvent<string> {
  readonly topic: string;
}

export interface Hello {
  conn: string;
  epoch: string;
  resumed: boolean;
  verdict: "fresh" | "resumed" | "gap" | "epoch" | "invalid" | "ahead";
  heartbeatMs?: number;
}

export interface Gap {
  reason: "window" | "overflow" | "epoch" | "invalid" | "ahead";
  from: string;
  to: string;
  topic: string;
}

export class StreamError extends Error {
  /** Of the answer, or 0. */
  status: number;
  /** The next attempt would fare no better: the Stream has ended. */
  final: boolean;
  /** Milliseconds that the server asked for. */
  retryAfter: number;
}

export interface ParsedEvent {
  id: string;
  hasId: boolean;
  type: string;
  topic: string;
  data: string;
}

/** Takes a stream apart, for other ways to get one. */
export class Parser {
  constructor(dispatch: (event: ParsedEvent) => void, lastEventId?: string);
  lastEventId: string;
  retry: number | undefined;
  push(bytes: Uint8Array): void;
}

/** The milliseconds before the next attempt, after failures of a row. */
export function backoff(failures: number, base?: number, random?: () => number): number;
