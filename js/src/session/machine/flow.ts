/**
 * The two directions of a named channel: sequence numbers, credit, acknowledgement, replay.
 *
 * A `Sender` keeps every message of a reliable channel until the other application has taken it, so that a new
 * connection can go on where the other side's `have` says. A `Receiver` yields each message once, whatever connection
 * brought it.
 *
 * Credit is counted in bytes, where each message costs `COST` beside its payload, from the first message on: the credit
 * that was given ends at an `edge`, which never goes back. A message may start before the edge and is then sent whole.
 * So what can still come is known, and `Budget` gives no more credit than a session can hold: windows while there is
 * room, and always room for one largest message beside them. A sender that no window helps (what waits is too large for
 * it, and nothing that it sent is still to be taken) asks for a turn and says what the next messages cost; turns are
 * given in the order in which they were asked for. So these hold, whatever is sent on whatever channels:
 *
 * - A peer that keeps within the credit it was given never meets the budget: only giving credit, or a turn, raises what
 *   is kept for a channel, and both look for room first.
 * - Nothing waits for ever, if the application reads all channels: what a turn was given for comes, is taken, and gives
 *   its room back to the next turn. Windows cannot take that room, however long they stay unused; unreliable channels,
 *   which may, give it back at once.
 * - What is held never exceeds the budget.
 *
 * A peer that does not know this (no capability `credit2`) counts payload alone; from it, too, no more is held than the
 * budget, but one that begins more largest messages at once than fit in there is ended for it.
 */

import { COST, SMALL } from "../../protocol/control.js";
import type { Reliability } from "../../protocol/messages.js";
import type { Total } from "./receipt.js";

/** So much is asked for in one turn, or one larger message. */
export const LOT = SMALL + COST;

/** The other side broke the protocol; the message says how. */
export class Violation extends Error {}

/** A running `Total`. */
export class Count implements Total {
  messages = 0;
  bytes = 0;

  /** One more message of `size` bytes. */
  add(size: number): void {
    this.messages++;
    this.bytes += size;
  }

  /** The number as it stands. */
  total(): Total {
    return { messages: this.messages, bytes: this.bytes };
  }
}

/** Neither bound is set. */
export function isReliable(reliability: Reliability): boolean {
  return (reliability.maxRetransmits ?? reliability.maxPacketLifeTime) == null;
}
