/** The interface of signaling, as a session uses it, and a pair in one page. */

import { SignalingLostError } from "../errors.js";
import { Wakeup } from "../promises.js";

/**
 * A way to hand messages to the other side of one session, before and beside its own connection.
 *
 * Messages are objects that JSON can hold. They must arrive in order; one that is lost costs time, not data. A server,
 * a pair in memory, copy and paste, or anything of your own will do.
 */
export interface Signaling {
  /** Hand a message over. Rejects with `SignalingLostError` when it has ended for good. */
  send(message: unknown): Promise<void>;
  /**
   * Return the next message of the peer. No message is lost when `signal` ends the wait. Rejects with
   * `SignalingLostError` when signaling has ended for good.
   */
  receive(options: { signal: AbortSignal }): Promise<unknown>;
}

/** One end of a pair; messages pass through JSON, as they would on a wire. */
export class MemorySignaling implements Signaling {
  other!: MemorySignaling;
  #arrived: string[] = [];
  #changed = new Wakeup();
  #ended = "";

  async send(message: unknown): Promise<void> {
    if (this.#ended) throw new SignalingLostError(this.#ended);
    this.other.#arrived.push(JSON.stringify(message));
    this.other.#changed.wake();
  }

  async receive({ signal }: { signal?: AbortSignal } = {}): Promise<unknown> {
    while (!this.#arrived.length) {
      if (this.#ended) throw new SignalingLostError(this.#ended);
      await this.#changed.wait(signal);
    }
    return JSON.parse(this.#arrived.shift()!);
  }

  /** The end for both, for good: what has arrived can still be received. */
  close(reason = "signaling was closed"): void {
    for (const end of [this, this.other]) {
      end.#ended = reason;
      end.#changed.wake();
    }
  }
}

/** Two ends of signaling in one page. */
export function memorySignaling(): [MemorySignaling, MemorySignaling] {
  const ends: [MemorySignaling, MemorySignaling] = [new MemorySignaling(), new MemorySignaling()];
  [ends[0].other, ends[1].other] = [ends[1], ends[0]];
  return ends;
}
