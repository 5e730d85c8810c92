/**
 * Both ends of a numbered stream that survives a lost socket: what was sent is kept until it is acknowledged. A seat's
 * numbers start at 1 and live as long as the seat, across all its sockets.
 */

import { Deque } from "../deque.js";

/** The sending half. */
export class Outgoing<T> {
  /** The number of the last item added; 0 before the first. */
  last = 0;
  /** Up to this number the other side has everything. */
  acknowledged = 0;
  /** Bytes that are kept. */
  size = 0;
  #kept = new Deque<[item: T, size: number]>();

  get length(): number {
    return this.#kept.length;
  }

  /** Keep an item of so many bytes, and number it. */
  add(item: T, size: number): number {
    this.#kept.push([item, size]);
    this.size += size;
    return ++this.last;
  }

  /**
   * Forget what the other side has, and return it; an older word than the last is ignored.
   *
   * @throws RangeError the other side has what was never sent.
   */
  acknowledge(upTo: number): T[] {
    if (upTo > this.last) throw new RangeError(`acknowledged ${upTo}, but ${this.last} is the last that was sent`);
    const forgotten: T[] = [];
    for (; this.acknowledged < upTo; this.acknowledged++) {
      const [item, size] = this.#kept.shift()!;
      this.size -= size;
      forgotten.push(item);
    }
    return forgotten;
  }

  /** Return the items that are not acknowledged, in order. */
  kept(): [number: number, item: T][] {
    return Array.from(this.#kept, ([item], index) => [this.acknowledged + 1 + index, item]);
  }
}

/** The receiving half. */
export class Incoming {
  /** Up to this number everything has come. */
  last = 0;
  /** How many messages have come since `last` was last said to the other side. */
  unsaid = 0;

  /**
   * Whether message `seq` is new; false: it came before, and was sent again.
   *
   * @throws RangeError one is missing. A socket keeps the order, so the other side has miscounted.
   */
  accept(seq: number): boolean {
    if (seq > this.last + 1) throw new RangeError(`message ${seq} came after ${this.last}`);
    this.unsaid++;
    if (seq <= this.last) return false;
    this.last = seq;
    return true;
  }

  /** The `ack` for a frame that leaves now; undefined before the first message. */
  say(): number | undefined {
    this.unsaid = 0;
    return this.last || undefined;
  }
}
