/** The contents of a channel: messages in order, and ranges of their numbers. Both need little memory. */

import { fromHex, hex } from "../../bytes.js";
import { Deque } from "../../deque.js";
import { type Again, COST } from "../../protocol/control.js";

/** Messages that a line keeps as objects; those behind them are packed. */
const UNPACKED = 4096;
/** Bytes, at most, that a packed message takes beside its payload (one that is sent again takes 24 more). */
const PACKED = 32;
const BLOCK = 64 * 1024;
const HEAD = 13;
const AGAIN = 24;
const TEXT = 1;
const SENT_AGAIN = 2;

/** A message as the application sees it: text is UTF-8 here. */
export interface Payload {
  data: Uint8Array;
  text: boolean;
  /** Sent again: (receipt id, sequence number) of the first time. */
  again?: Again | undefined;
}

/** A message that `send()` has accepted, or a whole one that arrived. */
export interface Numbered {
  seq: number;
  payload: Payload;
}

/** Whole numbers, kept as runs: (first, last), rising, with a gap between any two. */
export class Ranges {
  #firsts: number[] = [];
  #lasts: number[] = [];

  /** How many runs. */
  get size(): number {
    return this.#firsts.length;
  }

  has(number: number): boolean {
    const at = after(this.#firsts, number) - 1;
    return at >= 0 && number <= this.#lasts[at]!;
  }

  /** All from `first` to `last`; some may be there. */
  add(first: number, last: number): void {
    const begin = after(this.#lasts, first - 2); // the first run that touches or follows
    const end = after(this.#firsts, last + 1);
    const from = begin < end ? Math.min(first, this.#firsts[begin]!) : first;
    const to = begin < end ? Math.max(last, this.#lasts[end - 1]!) : last;
    const gone = Math.max(end - begin, 0);
    this.#firsts.splice(begin, gone, from);
    this.#lasts.splice(begin, gone, to);
  }

  /** Forget all that follow `last` without a gap, and all before: the last of them, or `last`. */
  advance(last: number): number {
    let reached = last;
    let gone = 0;
    while (gone < this.#firsts.length && this.#firsts[gone]! <= reached + 1) {
      reached = Math.max(reached, this.#lasts[gone++]!);
    }
    this.#firsts.splice(0, gone);
    this.#lasts.splice(0, gone);
    return reached;
  }

  /** The first runs. */
  runs(most: number): [number, number][] {
    return this.#firsts.slice(0, most).map((first, at) => [first, this.#lasts[at]!]);
  }

  /** Return the greatest number; 0 if it is empty. */
  get last(): number {
    return this.#lasts.at(-1) ?? 0;
  }

  /** The same numbers. */
  copy(): Ranges {
    const other = new Ranges();
    other.#firsts = this.#firsts.slice();
    other.#lasts = this.#lasts.slice();
    return other;
  }
}

/** How many of these rising numbers are not above `number`. */
function after(numbers: number[], number: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= number) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Bytes that grow at their end. */
export class Growing {
  #bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  constructor(size = 1024) {
    this.#bytes = new Uint8Array(size);
  }

  push(data: Uint8Array): void {
    const length = this.length + data.length;
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.length));
      this.#bytes = larger;
    }
    this.#bytes.set(data, this.length);
    this.length = length;
  }

  /** A copy of a part. */
  slice(from = 0, to = this.length): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(from, to);
  }

  view(from: number, length: number): DataView {
    return new DataView(this.#bytes.buffer, from, length);
  }
}

/**
 * Whole messages, first in, first out.
 *
 * Behind the first few thousand they are packed into blocks of bytes: many small ones take little more than they are.
 */
export class Line {
  /** The next ones, as objects. */
  readonly front = new Deque<Numbered>();
  /** Payload. */
  bytes = 0;
  #blocks = new Deque<Growing>();
  /** Up to where the first block has been unpacked. */
  #read = 0;
  #packed = 0;

  get length(): number {
    return this.front.length + this.#packed;
  }

  /** Bytes that it takes, counted generously: what is packed now may be among the next ones later. */
  get cost(): number {
    const { length } = this;
    return this.bytes + COST * Math.min(length, UNPACKED) + PACKED * Math.max(length - UNPACKED, 0);
  }

  /** Behind all others. */
  push(message: Numbered): void {
    this.bytes += message.payload.data.length;
    if (this.#packed || this.front.length >= UNPACKED) this.#pack(message);
    else this.front.push(message);
  }

  /** The next, which stays. */
  first(): Numbered | undefined {
    if (this.#packed && !this.front.length) this.#unpack();
    return this.front.first();
  }

  /** The next, which leaves. */
  shift(): Numbered | undefined {
    const message = this.first();
    if (message) {
      this.front.shift();
      this.bytes -= message.payload.data.length;
    }
    return message;
  }

  /** None is left. */
  clear(): void {
    this.front.clear();
    this.#blocks.clear();
    this.bytes = this.#packed = this.#read = 0;
  }

  #pack({ seq, payload: { data, text, again } }: Numbered): void {
    let block = this.#blocks.last();
    if (!block || block.length >= BLOCK) {
      block = new Growing(BLOCK);
      this.#blocks.push(block);
    }
    const head = new DataView(new ArrayBuffer(HEAD + (again ? AGAIN : 0)));
    head.setFloat64(0, seq);
    head.setUint32(8, data.length);
    head.setUint8(12, (text ? TEXT : 0) | (again ? SENT_AGAIN : 0));
    const bytes = new Uint8Array(head.buffer);
    if (again) {
      bytes.set(fromHex(again[0]), HEAD);
      head.setFloat64(HEAD + 16, again[1]);
    }
    block.push(bytes);
    block.push(data);
    this.#packed++;
  }

  /** Unpack the first block; at most as many messages as are kept unpacked. */
  #unpack(): void {
    const block = this.#blocks.first()!;
    let at = this.#read;
    while (at < block.length && this.front.length < UNPACKED) {
      const head = block.view(at, HEAD);
      const size = head.getUint32(8);
      const flags = head.getUint8(12);
      const seq = head.getFloat64(0);
      at += HEAD;
      let again: Again | undefined;
      if (flags & SENT_AGAIN) {
        again = [hex(block.slice(at, at + 16)), block.view(at + 16, 8).getFloat64(0)];
        at += AGAIN;
      }
      this.front.push({ seq, payload: { data: block.slice(at, at + size), text: (flags & TEXT) !== 0, again } });
      at += size;
      this.#packed--;
    }
    this.#read = at;
    if (at >= block.length) {
      this.#blocks.shift();
      this.#read = 0;
    }
  }
}
