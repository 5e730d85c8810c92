/**
 * Every error of adieu.
 *
 * ```
 * Error
 * └── AdieuError
 *     ├── SessionError                 what ends or refuses something of a session
 *     │   ├── SessionClosedError       it has ended (`receipt`), or is closing (then there is no receipt yet)
 *     │   ├── UndeliveredError         a message whose delivery is not known, or known not to have happened
 *     │   ├── ChannelError             a channel wanted differently there, or closed (`receipt`); a message too large
 *     │   ├── ResetFailedError         a reset that was given up; the session goes on or ends as its state says
 *     │   ├── TransferError            a file that was refused or could not be sent
 *     │   ├── NotAdieuPeerError        the other side does not speak adieu
 *     │   └── TooManyConnectionsError  this page has used up the browser's connections: reload it
 *     └── SignalingError               the server, or the way to it
 *         ├── SignalingRefusedError    final: coming again is pointless (`code`)
 *         └── SignalingLostError       gave up for now
 * ```
 * Wrong arguments are `TypeError` and `RangeError`; a wait that its `AbortSignal` ends rejects with the signal's reason.
 */

import type { ChannelEndReceipt } from "./session/machine/receipt.js";
import type { CloseReceipt, ResetReport } from "./session/receipt.js";
import type { Recording } from "./session/recording.js";

/** The base class of adieu's own errors. */
export class AdieuError extends Error {
  override name = "AdieuError";
}

/** Something of a session did not go as asked. */
export class SessionError extends AdieuError {
  override name = "SessionError";
  /** The session's flight recorder, where the error tells of trouble. */
  recording?: (() => Promise<Recording>) | undefined;
}

/** The session has ended, or is closing and takes nothing new. */
export class SessionClosedError extends SessionError {
  override name = "SessionClosedError";
  constructor(
    message: string,
    /** How it ended; undefined while it is still closing. */
    readonly receipt?: CloseReceipt,
  ) {
    super(message);
    this.recording = receipt?.recording;
  }
}

/** A message that the other side is not known to have taken. */
export class UndeliveredError extends SessionError {
  override name = "UndeliveredError";
  constructor(
    message: string,
    /** "unsent": it never left, and can be sent again. "unknown": it may have arrived. "unreliable": not tracked. */
    readonly state: "unsent" | "unknown" | "unreliable",
  ) {
    super(message);
  }
}

/** A channel cannot be opened with these options, has ended, or cannot send this message. */
export class ChannelError extends SessionError {
  override name = "ChannelError";
  constructor(
    message: string,
    /** How the channel ended, if it has, and the session goes on. */
    readonly receipt?: ChannelEndReceipt,
  ) {
    super(message);
  }
}

/** A reset was given up. */
export class ResetFailedError extends SessionError {
  override name = "ResetFailedError";
  constructor(
    message: string,
    /** The report of the last attempt. */
    readonly report: ResetReport,
  ) {
    super(message);
  }
}

/** A file was refused, or could not be sent or kept. */
export class TransferError extends SessionError {
  override name = "TransferError";
}

/** The connection is open, but the peer sent no `hello`: it does not use adieu. */
export class NotAdieuPeerError extends SessionClosedError {
  override name = "NotAdieuPeerError";
}

/** The browser counts closed connections until it collects them, and this page is near its limit: reload the page. */
export class TooManyConnectionsError extends SessionError {
  override name = "TooManyConnectionsError";
}

/** Something with the server, or with the way to it. */
export class SignalingError extends AdieuError {
  override name = "SignalingError";
}

/** The server refused, and would again. */
export class SignalingRefusedError extends SignalingError {
  override name = "SignalingRefusedError";
  constructor(
    message: string,
    /** The WebSocket close code or the server's word for it. */
    readonly code: number | string,
  ) {
    super(message);
  }
}

/** The server could not be reached. */
export class SignalingLostError extends SignalingError {
  override name = "SignalingLostError";
}
