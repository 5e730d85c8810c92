/** The events of a signaling client: its own state, and the messages of the server. */

import type { SignalingError } from "../errors.js";
import type { FromServer } from "../protocol/messages.js";
import type { Relayed } from "../protocol/signaling.js";

/** The server has said welcome. */
export interface Up {
  type: "up";
  /** Our id. */
  peer: string;
  /** Nothing is lost on either side. False: a new seat; rooms are being joined again, each with a `joined`. */
  resumed: boolean;
}

/** The socket has ended, or an attempt to open one has failed. */
export interface Down {
  type: "down";
  /** For a person. */
  reason: string;
  /** Seconds until the next attempt. */
  retryIn: number;
  /** Whether the server itself asked to try again later. */
  byServer: boolean;
}

/** The client has a new seat and a new peer id: the server was restarted, or the grace time is over. Then `up` fires. */
export interface SeatMoved {
  type: "seatMoved";
  /** The peer id that others may still know us by. */
  old: string;
  /** The one from now on. */
  now: string;
}

/** A message of this client that was not delivered to the peer, or may not have been. */
export interface Undelivered {
  type: "undelivered";
  /** The peer that it was for. */
  to: string;
  /** `gone` (no such peer here), `full` (a queue), `limit`, `moved` (it may have arrived), `ended`. */
  code: string;
  /** For a person. */
  text: string;
  /** Undefined when it was acknowledged so long ago that it is forgotten. */
  message: Relayed | undefined;
}

/** We are no longer in a room that we had joined, and have not left. */
export interface RoomLost {
  type: "roomLost";
  room: string;
  code: string;
  text: string;
}

/** The last event; `error` says why the client gave up, and is undefined after `quit`. */
export interface Ended {
  type: "ended";
  error: SignalingError | undefined;
}

/** The events of a signaling client. */
export type SignalingEvent = Up | Down | SeatMoved | Undelivered | RoomLost | Ended | FromServer;
