/** Messages that were taken in ended sessions. */

import type { Ranges } from "./held.js";
import type { Receiver } from "./receiver.js";

interface Taken {
  when: number;
  upTo: number;
  beyond: Ranges;
}

/** Messages that were taken in ended sessions, so that a repeated message is recognized for a while. */
export class Remembered {
  #taken = new Map<string, Taken>();

  constructor(
    private readonly seconds = 600,
    private readonly size = 1000,
  ) {}

  /** A session has ended: keep what was taken of one of its channels. */
  add(receipt: string, channel: string, receiver: Receiver, now: number): void {
    if (receiver.reliable && receiver.taken.messages) {
      this.#taken.set(`${receipt} ${channel}`, {
        when: now,
        upTo: receiver.upTo,
        beyond: receiver.takenBeyond.copy(),
      });
    }
    for (const [key, { when }] of this.#taken) {
      if (this.#taken.size <= this.size && when >= now - this.seconds) break;
      this.#taken.delete(key);
    }
  }

  /** Whether that message was taken, not too long ago. */
  has(receipt: string, channel: string, seq: number, now: number): boolean {
    const taken = this.#taken.get(`${receipt} ${channel}`);
    return taken !== undefined && now - taken.when <= this.seconds && (seq <= taken.upTo || taken.beyond.has(seq));
  }
}
