/** The direction of a channel from here to there; `flow.ts` has the theory. */

import { concat } from "../../bytes.js";
import { Deque } from "../../deque.js";
import * as control from "../../protocol/control.js";
import { COST, SMALL } from "../../protocol/control.js";
import type { Acknowledged, Turn } from "../../protocol/messages.js";
import { Count, LOT, Violation } from "./flow.js";
import { type Numbered, type Payload, Ranges } from "./held.js";
import type { Total } from "./receipt.js";

/** Messages of a channel that are under way and not taken, whatever the other side grants. */
const MAX_FLIGHT = 16384;
/** A window of this size is not worth asking for more. */
const ENOUGH = 1024 * 1024;

/** The direction from here to there. */
export class Sender {
  /** Both sides count `COST` for each message (`credit2`). */
  counted = false;
  /** Bytes that may be under way and not taken: the other side's grant. */
  window = 0;
  accepted = new Count();
  /** The last sequence number whose first fragment was ever handed to a data channel. */
  started = 0;
  /** Acknowledged: taken by the other application. */
  delivered = new Count();
  /** Messages to send, in order: first those that a rewind put back, then new ones. */
  queue = new Deque<Numbered>();
  queuedBytes = 0;
  /** Reliable: started on this connection, or had by the other side, and not acknowledged; in order. */
  flight = new Deque<Numbered>();
  flightBytes = 0;
  acked = 0;
  /** Messages up to this one may start whatever the window is. */
  turn = 0;
  /** The other side has been asked for more credit, and has not said another window since. */
  #asked = false;
  /** The greatest number for which a turn was asked: no other is believed. */
  #askedTurn = 0;
  #ackedBeyond = new Ranges();
  #current: Numbered | undefined;
  #offset = 0;
  #index = 0;

  constructor(
    readonly reliable: boolean,
    /** The most messages on their way and not taken, whatever the other side grants. */
    readonly most = 16 * 1024 * 1024,
  ) {}

  /** Take a message in and give its sequence number. */
  accept(payload: Payload): number {
    this.accepted.add(payload.data.length);
    this.queue.push({ seq: this.accepted.messages, payload });
    this.queuedBytes += payload.data.length;
    return this.accepted.messages;
  }

  /** The cost of the messages that wait to be sent. */
  get queued(): number {
    return this.queuedBytes + COST * this.queue.length;
  }

  /**
   * Return the messages and fragments to send now, until `room` bytes or the credit are used up.
   *
   * @param room bytes that the data channel should still buffer.
   * @param fragment the largest SCTP message in bytes, header included.
   */
  *frames(room: number, fragment: number): IterableIterator<Uint8Array<ArrayBuffer>> {
    let left = room;
    while (left > 0) {
      if (!this.#current) {
        const next = this.queue.first();
        if (!next || !this.#mayStart(next)) return;
        this.#start();
      }
      const frame = this.#nextFrame(this.#current!, fragment);
      left -= frame.length;
      yield frame;
    }
  }

  /**
   * A message may start while any credit is left and is then sent whole; a large one only with a large window. In a turn
   * all that the turn was asked for may start.
   */
  #mayStart({ seq, payload }: Numbered): boolean {
    if (!this.reliable) return true;
    if (this.flight.length >= MAX_FLIGHT) return false;
    if (seq <= this.turn) return true;
    const cost = this.flightBytes + COST * this.flight.length;
    if (!this.counted) return this.flightBytes < this.window && cost < this.most;
    return cost < Math.min(this.window, this.most) && (this.window > SMALL || payload.data.length <= SMALL);
  }

  /**
   * Return the credit to ask for now, and the turn; undefined: no request. It asks once for each window of the other
   * side. It asks for a turn only when no acknowledgement can bring a window, because all sent messages are taken.
   */
  wanted(): { wanted: number; turn: Turn | undefined } | undefined {
    const next = this.queue.first();
    if (this.#asked || !this.counted || !this.reliable || !next) return undefined;
    const starts = this.#mayStart(next);
    if (this.window >= ENOUGH || (this.queued <= this.window && starts)) return undefined;
    this.#asked = true;
    const turn = starts || this.flight.length ? undefined : this.#nextTurn();
    return { wanted: this.accepted.bytes + COST * this.accepted.messages, turn };
  }

  #nextTurn(): Turn {
    let upTo = 0;
    let cost = 0;
    for (const { seq, payload } of this.queue) {
      const more = payload.data.length + COST;
      if (upTo && cost + more > LOT) break;
      upTo = seq;
      cost += more;
    }
    this.#askedTurn = Math.max(this.#askedTurn, upTo);
    return { upTo, cost };
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

  /** The other side says how much may be under way, and gives a turn up to a message. */
  granted(window: number, turn = 0): void {
    this.window = window;
    this.#asked = false;
    this.turn = Math.max(this.turn, Math.min(turn, this.#askedTurn));
  }

  /**
   * The other application has taken messages. True if that was news.
   *
   * @throws Violation it acknowledges what was never sent, or its ranges are not rising.
   */
  acknowledge(ack: Acknowledged): boolean {
    const ranges = ack.ranges ?? [];
    let last = ack.upTo;
    for (const [start, end] of ranges) {
      if (start <= last || end < start) throw new Violation(`acknowledged messages ${start} to ${end} after ${last}`);
      last = end;
    }
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
    this.acked = this.#ackedBeyond.advance(ack.upTo);
    if (ranges.length) this.#acknowledgeRanges(ranges);
    const news = this.delivered.messages > before || ack.window !== this.window;
    this.granted(ack.window, ack.turn);
    return news;
  }

  /** Both the ranges and what is under way are in order: one pass over both. */
  #acknowledgeRanges(ranges: [number, number][]): void {
    const kept: Numbered[] = [];
    let at = 0;
    for (let next = this.flight.first(); next && at < ranges.length; next = this.flight.first()) {
      const [start, end] = ranges[at]!;
      if (next.seq > end) {
        at++;
        continue;
      }
      this.flight.shift();
      if (next.seq >= start) this.flightBytes -= this.#taken(next);
      else kept.push(next);
    }
    this.flight.prepend(kept);
    for (const [start, end] of ranges) this.#ackedBeyond.add(start, end);
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
    this.#asked = false;
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

  /** Return the messages that the other application has taken, including these (reliable channels). */
  takenWith(also: Ranges): Total {
    const count = new Count();
    Object.assign(count, this.delivered.total());
    for (const { seq, payload } of this.unknown()) if (also.has(seq)) count.add(payload.data.length);
    return count.total();
  }

  /** Count these as delivered too, by the other side's last word: no acknowledgement of them will come. */
  countDelivered(also: Ranges): void {
    for (const message of this.unknown()) if (also.has(message.seq)) this.#taken(message);
    this.flightBytes = keepBut(this.flight, also);
    this.queuedBytes = keepBut(this.queue, also);
  }

  /** Nothing waits to go out. */
  get idle(): boolean {
    return !this.queue.length && !this.#current;
  }
}

/** Takes these messages out; the bytes of the others. */
function keepBut(messages: Deque<Numbered>, gone: Ranges): number {
  const kept = [...messages].filter(({ seq }) => !gone.has(seq));
  messages.clear();
  messages.prepend(kept);
  return kept.reduce((bytes, { payload }) => bytes + payload.data.length, 0);
}
