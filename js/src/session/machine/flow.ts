/**
 * The two directions of a named channel: sequence numbers, credit, acknowledgement, replay.
 *
 * A `Sender` keeps every message of a reliable channel until the other application has taken it, so that a new
 * connection can go on where the other side's `have` says. A `Receiver` yields each message once, whatever connection
 * brought it.
 */

import { concat } from "../../bytes.js";
import { Deque } from "../../deque.js";
import * as control from "../../protocol/control.js";
import type { Acknowledged, Reliability } from "../../protocol/messages.js";
import type { Total } from "./receipt.js";

/** In one acknowledgement; the rest waits for the next. */
const MAX_RANGES = 256;
/** Unfinished messages of an unreliable, unordered channel. */
const MAX_PARTIALS = 16;
/** Sequence numbers by which an unreliable, unordered channel knows a duplicate. */
const MAX_REMEMBERED = 4096;

/** The other side broke the protocol; the message says how. */
export class Violation extends Error {}

/** A running `Total`. */
class Count implements Total {
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

/** A message as the application sees it: text is UTF-8 here. */
export interface Payload {
  data: Uint8Array;
  text: boolean;
  /** Sent again: (receipt id, sequence number) of the first time. */
  again?: control.Again | undefined;
}

/** A message that `send()` has accepted, or a whole one that arrived. */
export interface Numbered {
  seq: number;
  payload: Payload;
}

/** The direction from here to there. */
export class Sender {
  /** Bytes that may be under way and not taken: the other side's grant. */
  window = 0;
  accepted = new Count();
  /** The last sequence number whose first fragment was ever handed to a data channel. */
  started = 0;
  /** Acknowledged: taken by the other application. */
  delivered = new Count();
  /** To go out: first what a rewind put back, then what was never started; in order. */
  queue = new Deque<Numbered>();
  queuedBytes = 0;
  /** Reliable: started on this connection, or had by the other side, and not acknowledged; in order. */
  flight = new Deque<Numbered>();
  flightBytes = 0;
  acked = 0;
  #ackedBeyond = new Set<number>();
  #current: Numbered | undefined;
  #offset = 0;
  #index = 0;

  constructor(readonly reliable: boolean) {}

  /** Take a message in and give its sequence number. */
  accept(payload: Payload): number {
    this.accepted.add(payload.data.length);
    this.queue.push({ seq: this.accepted.messages, payload });
    this.queuedBytes += payload.data.length;
    return this.accepted.messages;
  }

  /**
   * What may go out now: whole messages or fragments, until `room` bytes or the credit are used up.
   *
   * @param room bytes that the data channel should still buffer.
   * @param fragment the largest SCTP message in bytes, header included.
   */
  *frames(room: number, fragment: number): IterableIterator<Uint8Array<ArrayBuffer>> {
    let left = room;
    while (left > 0) {
      if (!this.#current) {
        // A message may start while any credit is left and is then sent whole.
        if (!this.queue.length || (this.reliable && this.flightBytes >= this.window)) return;
        this.#start();
      }
      const frame = this.#nextFrame(this.#current!, fragment);
      left -= frame.length;
      yield frame;
    }
  }

  #start(): void {
    const message = this.queue.shift()!;
    const size = message.payload.data.length;
    this.queuedBytes -= size;
    this.started = Math.max(this.started, message.seq);
    if (this.reliable) {
      this.flight.push(message);
      this.flightBytes += size;
    }
    this.#current = message;
    this.#offset = this.#index = 0;
  }

  #nextFrame({ seq, payload }: Numbered, fragment: number): Uint8Array<ArrayBuffer> {
    const first = this.#offset === 0;
    const again = first ? payload.again : undefined;
    const size = fragment - control.MAX_HEADER - (again ? control.RECEIPT_BYTES + 8 : 0);
    const end = Math.min(this.#offset + size, payload.data.length);
    const last = end === payload.data.length;
    const header = control.encodeHeader({ seq, text: payload.text, first, last, index: this.#index, again });
    const frame = concat([header, payload.data.subarray(this.#offset, end)]);
    this.#offset = end;
    this.#index++;
    if (last) this.#current = undefined;
    return frame;
  }

  /**
   * The other application has taken messages. True if that was news.
   *
   * @throws Violation it acknowledges what was never sent.
   */
  acknowledge(ack: Acknowledged): boolean {
    const ranges = ack.ranges ?? [];
    const last = Math.max(ack.upTo, ...ranges.map(([, end]) => end));
    if (last > this.started) throw new Violation(`acknowledged message ${last}, but only ${this.started} were sent`);
    if (ack.upTo < this.acked) return false; // An older acknowledgement than the last is ignored.
    const before = this.delivered.messages;
    while ((this.flight.first()?.seq ?? Number.POSITIVE_INFINITY) <= ack.upTo) {
      this.flightBytes -= this.#taken(this.flight.shift()!);
    }
    // Put back by a rewind, but it had arrived.
    while ((this.queue.first()?.seq ?? Number.POSITIVE_INFINITY) <= ack.upTo) {
      this.queuedBytes -= this.#taken(this.queue.shift()!);
    }
    if (ranges.length) this.#acknowledgeRanges(ranges);
    const news = this.delivered.messages > before || ack.window !== this.window;
    this.acked = ack.upTo;
    this.window = ack.window;
    for (const seq of this.#ackedBeyond) if (seq <= ack.upTo) this.#ackedBeyond.delete(seq);
    return news;
  }

  #acknowledgeRanges(ranges: [number, number][]): void {
    const kept = new Deque<Numbered>();
    for (const message of this.flight) {
      if (ranges.some(([start, end]) => start <= message.seq && message.seq <= end)) {
        this.flightBytes -= this.#taken(message);
        this.#ackedBeyond.add(message.seq);
      } else {
        kept.push(message);
      }
    }
    this.flight = kept;
  }

  #taken(message: Numbered): number {
    this.delivered.add(message.payload.data.length);
    return message.payload.data.length;
  }

  /**
   * Go on after `have` on another connection: what is beyond goes out again. How many that are.
   *
   * @throws Violation the other side has what was never sent.
   */
  rewind(have: number): number {
    if (have > this.started) throw new Violation(`has message ${have}, but only ${this.started} were sent`);
    this.#current = undefined;
    const back: Numbered[] = [];
    while ((this.flight.last()?.seq ?? 0) > have) {
      const message = this.flight.pop()!;
      this.flightBytes -= message.payload.data.length;
      this.queuedBytes += message.payload.data.length;
      back.push(message);
    }
    this.queue.prepend(back.reverse());
    return back.length;
  }

  /** Whether the other application is known to have taken it (reliable channels). */
  isAcknowledged(seq: number): boolean {
    return seq <= this.acked || this.#ackedBeyond.has(seq);
  }

  /** Accepted, and no byte of it ever left. */
  unsent(): Numbered[] {
    return [...this.queue].filter((message) => message.seq > this.started);
  }

  /** The same as a number. */
  unsentTotal(): Total {
    const count = new Count();
    for (const message of this.unsent()) count.add(message.payload.data.length);
    return count.total();
  }

  /** Left, and not known to have been taken (reliable channels); in order. */
  unknown(): Numbered[] {
    return [...this.flight, ...[...this.queue].filter((message) => message.seq <= this.started)];
  }

  /** Nothing waits to go out. */
  get idle(): boolean {
    return !this.queue.length && !this.#current;
  }
}

interface Partial {
  text: boolean;
  again: control.Again | undefined;
  epoch: number;
  pieces: Uint8Array[];
  size: number;
}

/** The direction from there to here. */
export class Receiver {
  /** The last sequence number up to which everything has arrived. */
  have = 0;
  beyond = new Set<number>();
  /** Counted as taken while closing, not yet taken by the application; older than all in `queue`. */
  kept = new Deque<Numbered>();
  keptBytes = 0;
  queue = new Deque<Numbered>();
  queuedBytes = 0;
  taken = new Count();
  /** The last sequence number up to which everything has been taken. */
  upTo = 0;
  takenBeyond = new Set<number>();
  duplicates = 0;
  /** Unreliable: lost halves, and the oldest of a full queue. Any: what came after `closed` was said. */
  dropped = 0;
  /** `closed` was said: nothing is taken any more. */
  frozen = false;
  #partials = new Map<string, Partial>();
  #partialBytes = 0;
  #ackMessages = 0;
  #ackBytes = 0;

  constructor(
    readonly ordered: boolean,
    readonly reliable: boolean,
    readonly window: number,
    readonly maxMessage: number,
  ) {}

  /**
   * One SCTP message. True if it completed a message that is now in the queue.
   *
   * @throws Violation a wrong header, a gap, a message too large, or more than the credit given.
   */
  receive(epoch: number, data: Uint8Array): boolean {
    if (this.frozen) {
      this.dropped++;
      return false;
    }
    let fragment: control.Fragment;
    try {
      fragment = control.decodeFragment(data);
    } catch (error) {
      throw new Violation((error as Error).message);
    }
    if (fragment.seq <= this.have || this.beyond.has(fragment.seq)) {
      if (fragment.last) this.duplicates++;
      return false;
    }
    const payload = this.#assemble(epoch, fragment);
    if (!payload) return false;
    this.#arrived(fragment.seq);
    this.queue.push({ seq: fragment.seq, payload });
    this.queuedBytes += payload.data.length;
    this.#bound();
    return true;
  }

  #assemble(epoch: number, fragment: control.Fragment): Payload | undefined {
    const { text, again, seq, payload } = fragment;
    if (fragment.first && fragment.last) return { data: payload, text, again };
    const key = `${epoch} ${seq}`;
    const partial = fragment.first ? this.#begin(key, epoch, fragment) : this.#partials.get(key);
    if (!partial || partial.pieces.length !== fragment.index) {
      if (this.reliable) throw new Violation(`fragment ${fragment.index} of message ${seq} out of order`);
      this.#forget(key); // a fragment was lost, and with it the message
      return undefined;
    }
    partial.pieces.push(payload);
    partial.size += payload.length;
    this.#partialBytes += payload.length;
    if (partial.size > this.maxMessage) throw new Violation(`message ${seq} is larger than ${this.maxMessage} bytes`);
    // Halves of one message may come over two connections at once, hence twice.
    if (this.#partialBytes + this.queuedBytes > this.window + 2 * this.maxMessage) this.#tooMuch();
    if (!fragment.last) return undefined;
    this.#partials.delete(key);
    this.#partialBytes -= partial.size;
    return { data: concat(partial.pieces), text: partial.text, again: partial.again };
  }

  #tooMuch(): never {
    throw new Violation(`more than the ${this.window} bytes of credit given`);
  }

  #begin(key: string, epoch: number, { text, again }: control.Fragment): Partial {
    this.#forget(key);
    if (!this.reliable) {
      // Unfinished ones may never be finished: on an ordered channel none will, else a few are kept.
      while (this.#partials.size && (this.ordered || this.#partials.size >= MAX_PARTIALS)) {
        this.#forget(this.#partials.keys().next().value as string);
      }
    }
    const partial = { text, again, epoch, pieces: [], size: 0 };
    this.#partials.set(key, partial);
    return partial;
  }

  #forget(key: string): void {
    const partial = this.#partials.get(key);
    if (!partial) return;
    this.#partials.delete(key);
    this.#partialBytes -= partial.size;
    if (!this.reliable) this.dropped++;
  }

  #arrived(seq: number): void {
    if (this.reliable) {
      if (this.ordered && seq !== this.have + 1) {
        throw new Violation(`message ${seq} after message ${this.have} on an ordered channel`);
      }
      this.beyond.add(seq);
      this.have = advance(this.have, this.beyond);
    } else if (this.ordered) {
      this.have = seq;
    } else {
      this.beyond.add(seq);
      if (this.beyond.size > MAX_REMEMBERED) this.beyond.delete(Math.min(...this.beyond));
    }
  }

  #bound(): void {
    if (this.reliable) {
      if (this.queuedBytes > this.window + this.maxMessage) this.#tooMuch();
      return;
    }
    while (this.queuedBytes > this.window && this.queue.length > 1) {
      this.queuedBytes -= this.queue.shift()!.payload.data.length;
      this.dropped++;
    }
  }

  /** Halves of messages that came over it are forgotten: the whole comes again. */
  connectionGone(epoch: number): void {
    for (const [key, partial] of this.#partials) if (partial.epoch === epoch) this.#forget(key);
  }

  /** The next message for the application, which has taken it with this. */
  take(): Payload | undefined {
    const counted = this.kept.shift();
    if (counted) {
      this.keptBytes -= counted.payload.data.length;
      return counted.payload;
    }
    const message = this.queue.shift();
    if (!message) return undefined;
    this.queuedBytes -= message.payload.data.length;
    this.#count(message);
    return message.payload;
  }

  /** While closing: what is queued counts as taken, as far as `room` bytes reach. How many bytes that was. */
  keep(room: number): number {
    const before = this.keptBytes;
    for (let next = this.queue.first(); next; next = this.queue.first()) {
      const size = next.payload.data.length;
      if (this.keptBytes - before + size > room) break;
      this.queue.shift();
      this.queuedBytes -= size;
      this.kept.push(next);
      this.keptBytes += size;
      this.#count(next);
    }
    return this.keptBytes - before;
  }

  /** The message that has just come was taken in an earlier session: it counts as taken, and is not yielded. */
  skipLast(): void {
    const message = this.queue.pop()!;
    this.queuedBytes -= message.payload.data.length;
    this.duplicates++;
    this.#count(message);
  }

  /** From now on nothing is taken: what was counted can still be read, the rest is dropped. */
  freeze(): void {
    this.frozen = true;
    this.dropped += this.queue.length;
    this.queue.clear();
    this.queuedBytes = 0;
    this.#partials.clear();
  }

  #count(message: Numbered): void {
    const size = message.payload.data.length;
    this.taken.add(size);
    this.#ackMessages++;
    this.#ackBytes += size;
    if (this.reliable) {
      this.takenBeyond.add(message.seq);
      this.upTo = advance(this.upTo, this.takenBeyond);
    }
  }

  /** Whether so much has been taken since the last acknowledgement. */
  ackDue(messages: number, size: number): boolean {
    return this.#ackMessages >= messages || this.#ackBytes >= size;
  }

  /** Whether anything has been taken since the last acknowledgement. */
  get ackWanted(): boolean {
    return this.reliable && this.#ackMessages > 0;
  }

  /** What to tell the sender now. */
  acknowledgement(): Acknowledged {
    this.#ackMessages = this.#ackBytes = 0;
    return { upTo: this.upTo, ranges: ranges(this.takenBeyond).slice(0, MAX_RANGES), window: this.window };
  }
}

interface Taken {
  when: number;
  upTo: number;
  beyond: Set<number>;
}

/** What was taken in sessions that have ended, so that a message sent again is known again for a while. */
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
        beyond: new Set(receiver.takenBeyond),
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

function advance(last: number, beyond: Set<number>): number {
  let next = last;
  while (beyond.delete(next + 1)) next++;
  return next;
}

function ranges(numbers: Set<number>): [number, number][] {
  const result: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = result.at(-1);
    if (last && last[1] === number - 1) last[1] = number;
    else result.push([number, number]);
  }
  return result;
}

/** Neither bound is set. */
export function isReliable(reliability: Reliability): boolean {
  return (reliability.maxRetransmits ?? reliability.maxPacketLifeTime) == null;
}
