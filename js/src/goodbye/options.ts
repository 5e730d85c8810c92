/** The options of goodbye, and its events. */

import type { Receipt } from "./receipt.js";

/** The options of `goodbye()`. */
export interface GoodbyeOptions {
  /** Data channels that exist already; later ones are noticed. */
  channels?: Iterable<RTCDataChannel>;
  /** Tracks that are stopped at the end. */
  tracks?: Iterable<MediaStreamTrack>;
  /** The constraints with which `reset()` calls `getUserMedia()`. */
  devices?: MediaStreamConstraints;
  /** Add data channels to a connection without any: it needs another offer then. */
  channel?: boolean;
  /**
   * Say a word over the application's own signaling, while there is no channel for it: above all that this side left.
   * The other side gives it to `said()`.
   */
  say?: (text: string) => void;
  /** Send what the application still holds; awaited, within the timeout, before the drain. */
  flush?: () => unknown;
}

/** Names of the events of a `Goodbye`. */
export type GoodbyeEventName = "closing" | "closed" | "reset" | "gone" | "back";

/** Fired by a `Goodbye`; which members there are depends on its type. */
export interface GoodbyeEvent extends Event {
  /** `closing`: what the other side says. */
  readonly reason?: string;
  /** `closing`: another connection is to follow. */
  readonly reset?: boolean;
  /**
   * `closing`: of `performance.now()`. Messages that a listener sends at once are delivered, if there is time. Longer
   * work is for `flush`, which is awaited.
   */
  readonly deadline?: number;
  /** `gone`: one cause, or several with " or " between them. */
  readonly cause?: string;
  /** `gone`: milliseconds since the last sign of life. */
  readonly silence?: number;
  /** `closed`, `reset`. */
  readonly receipt?: Receipt;
}

export interface GoodbyeEvents {
  closing: GoodbyeEvent;
  closed: GoodbyeEvent;
  reset: GoodbyeEvent;
  gone: GoodbyeEvent;
  back: GoodbyeEvent;
}
