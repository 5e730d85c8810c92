/** The budget of a session: the most that it holds for its application, of all channels. `flow.ts` has the theory. */

import { COST, SMALL } from "../../protocol/control.js";

/** The window of a channel where there are so many that no larger one fits: each channel's part of the least budget. */
const TINY = 1024;
/**
 * The part of the budget that is not given as credit. Fragments that arrive early need more than their payload; this
 * part is enough for fragments of 8 KiB.
 */
const SPARE = 32;

/** The members of a receiver that the budget uses; `Receiver` explains each one. */
interface Holder {
  readonly counted: boolean;
  readonly claimed: boolean;
  readonly wanted: number;
  readonly held: number;
  readonly replaceable: number;
  readonly lent: number;
  readonly takenCost: number;
  dropOne(): boolean;
  account(): void;
}

/** The most that a session holds for its application: payload, and `COST` for each message and each fragment of one.
 *
 * Every receiver keeps its reserve here: the bytes that it holds, and those that may still come within its credit.
 */
export class Budget {
  /** All reserves together. */
  used = 0;
  /** How many receivers draw on it. */
  channels = 0;
  /** Never given as a window: there is always room for one turn after the other. */
  readonly lastRoom: number;
  /** Those without credit: what they hold makes way for a turn. */
  readonly yielding = new Set<Holder>();

  constructor(
    readonly size: number,
    readonly window: number,
    readonly maxMessage: number,
  ) {
    this.lastRoom = Math.max(maxMessage, SMALL) + COST;
  }

  /** Return a budget of the same size for a channel that has ended. */
  apart(): Budget {
    return new Budget(this.size, this.window, this.maxMessage);
  }

  /** Return the bytes that may be given as credit, or used by messages without credit. */
  get free(): number {
    return this.size - Math.floor(this.size / SPARE) - this.used;
  }

  /**
   * Bytes that may follow what this channel's application has taken, as things are now.
   *
   * A large window is given without being asked for as long as there is room for another one.
   */
  windowOf(receiver: Holder): number {
    if (!receiver.counted) {
      // The other side may start its largest message with any credit: it gets its share of a quarter.
      const share = Math.max(Math.floor(Math.floor(this.size / 4) / Math.max(this.channels, 1)), TINY);
      const most = Math.min(this.window, share, receiver.claimed ? share : SMALL);
      return Math.max(most - COST * receiver.held, 0);
    }
    const room = Math.max(this.free - this.lastRoom, 0) + receiver.replaceable - receiver.lent - COST;
    const large = room - this.maxMessage;
    if (receiver.claimed && Math.min(large, this.maxMessage) > SMALL) {
      const another = this.window + this.maxMessage + COST;
      if (this.window > SMALL && this.window <= large - another) return this.window;
      const wanted = receiver.wanted - receiver.takenCost;
      if (wanted > SMALL) return Math.min(large, Math.max(this.window, SMALL + 1), wanted);
    }
    return Math.max(Math.min(this.window, SMALL, room - SMALL), 0);
  }

  /** Whether `size` bytes are free, for a turn: what unreliable channels hold is dropped for it. */
  makeRoom(size: number): boolean {
    for (const receiver of this.yielding) {
      while (this.free < size && receiver.dropOne()) receiver.account();
    }
    return this.free >= size;
  }
}

/** Return the least useful budget: a large window, a turn for a largest message, and a little for each channel. */
export function leastBudget(window: number, maxMessage: number, maxChannels: number): number {
  const large = window + maxMessage + COST + maxMessage + COST + SMALL;
  const least = large + maxChannels * (TINY + SMALL + COST);
  return least + Math.floor(least / (SPARE - 1)) + 1;
}
