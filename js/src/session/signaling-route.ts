/** The route that a session's signaling messages take: over a room's server, or over signaling of the page's own. */

import type { Relayed } from "../protocol/signaling.js";

/** Carries the signaling messages of one session. Incoming messages go to the shell of the session. */
export interface SignalingRoute {
  /** The other side's peer id at the server. */
  peer: string;
  /** Begin to receive. */
  start?(): void;
  /** Stop receiving. */
  stop?(): void;
  /** Queue a message; never throws for the state of the network. */
  send(message: Relayed): void;
  /** Ask whether the other side is there; the answer is given to `Shell.probed`. */
  probe?(): void;
  /** Note that the other side says in-band that it has a new peer id. */
  moved?(peer: string): void;
  /** Note that the session is in another state. */
  stateChanged?(): void;
}
