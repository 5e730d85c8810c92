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

import { concat } from "../../bytes.js";
import { Deque } from "../../deque.js";
import * as control from "../../protocol/control.js";
import { COST, SMALL } from "../../protocol/control.js";
import type { Acknowledged, Reliability, Turn } from "../../protocol/messages.js";
import { Growing, Line, type Numbered, type Payload, Ranges } from "./held.js";
import type { Total } from "./receipt.js";

export type { Numbered, Payload } from "./held.js";

/** Unfinished messages of an unreliable, unordered channel. */
const MAX_PARTIALS = 16;
/** Runs of numbers by which an unreliable, unordered channel knows a duplicate. */
const MAX_GAPS = 4096;
/** Messages of a channel that are under way and not taken, whatever the other side grants. */
const MAX_FLIGHT = 16384;
/** Messages that one step may count one by one. */
const AT_ONCE = 4096;
/** The window of a channel where there are so many that no larger one fits: each channel's part of the least budget. */
const TINY = 1024;
/** So much is asked for in one turn, or one larger message. */
const LOT = SMALL + COST;
/**
 * This part of the budget is not given as credit: pieces that come before those in front of them need more than their
 * payload, which is enough for pieces of 8 KiB.
 */
const SPARE = 32;
/** A window of this size is not worth asking for more. */
const ENOUGH = 1024 * 1024;

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
  /** To go out: first what a rewind put back, then what was never started; in order. */
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
    /** What may be under way and not taken, whatever the other side grants. */
    readonly most = 16 * 1024 * 1024,
  ) {}

  /** Take a message in and give its sequence number. */
  accept(payload: Payload): number {
    this.accepted.add(payload.data.length);
    this.queue.push({ seq: this.accepted.messages, payload });
    this.queuedBytes += payload.data.length;
    return this.accepted.messages;
  }

  /** What waits to go out, as it is counted. */
  get queued(): number {
    return this.queuedBytes + COST * this.queue.length;
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
   * Up to where credit is asked for, now, and for what a turn; undefined: nothing is. Asked once for each window that the
   * other side says. A turn only when no acknowledgement is to come that could bring a window: all that was sent is taken.
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

  /** What the other application has taken, if it has these too (reliable channels). */
  takenWith(also: Ranges): Total {
    const count = new Count();
    Object.assign(count, this.delivered.total());
    for (const { seq, payload } of this.unknown()) if (also.has(seq)) count.add(payload.data.length);
    return count.total();
  }

  /** The other side's last word: it has taken these too. An acknowledgement of them comes no more. */
  settle(also: Ranges): void {
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

/** What a session may hold for its application: payload, and `COST` for each message and for each piece of one.
 *
 * Every receiver keeps its reserve here: what it holds, and what may still come within the credit that it gave.
 */
export class Budget {
  /** All reserves together. */
  used = 0;
  /** How many receivers draw on it. */
  channels = 0;
  /** Never given as a window: there is always room for one turn after the other. */
  readonly lastRoom: number;
  /** Those without credit: what they hold makes way for a turn. */
  readonly yielding = new Set<Receiver>();

  constructor(
    readonly size: number,
    readonly window: number,
    readonly maxMessage: number,
  ) {
    this.lastRoom = Math.max(maxMessage, SMALL) + COST;
  }

  /** What may be given as credit, or filled by what has no credit. */
  get free(): number {
    return this.size - Math.floor(this.size / SPARE) - this.used;
  }

  /**
   * Bytes that may follow what this channel's application has taken, as things are now.
   *
   * A large window is given without being asked for as long as there is room for another one.
   */
  windowOf(receiver: Receiver): number {
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

/** What a session needs to be of use: a large window, a turn for a largest message, and little for each channel. */
export function leastBudget(window: number, maxMessage: number, maxChannels: number): number {
  const large = window + maxMessage + COST + maxMessage + COST + SMALL;
  const least = large + maxChannels * (TINY + SMALL + COST);
  return least + Math.floor(least / (SPARE - 1)) + 1;
}

/** The pieces of a message that is not whole yet: those from the first on are joined, the others wait. */
class Partial {
  again: control.Again | undefined;
  readonly joined = new Growing();
  /** The index of the piece that is joined next. */
  next = 0;
  /** Those that came before their turn. */
  readonly pieces = new Map<number, Uint8Array>();
  last: number | undefined;
  size = 0;

  constructor(
    readonly epoch: number,
    public text: boolean,
  ) {}

  /** One more piece; false if it contradicts the others. */
  add({ index, first, last, text, again, payload }: control.Fragment): boolean {
    if (index < this.next || this.pieces.has(index) || (this.last !== undefined && index > this.last)) return false;
    if (last) {
      if (this.last !== undefined) return false;
      for (const other of this.pieces.keys()) if (other > index) return false;
      this.last = index;
    }
    if (first) {
      this.text = text;
      this.again = again;
    }
    this.size += payload.length;
    this.pieces.set(index, payload);
    for (let piece = this.pieces.get(this.next); piece; piece = this.pieces.get(this.next)) {
      this.joined.push(piece);
      this.pieces.delete(this.next++);
    }
    return true;
  }

  /** Nothing is missing. */
  get whole(): boolean {
    return this.last !== undefined && this.next > this.last;
  }
}

/** The direction from there to here. */
export class Receiver {
  /** Both sides count `COST` for each message (`credit2`). */
  counted = false;
  /** The last sequence number up to which everything has arrived. */
  have = 0;
  beyond = new Ranges();
  /** Counted as taken while closing, not yet taken by the application; older than all in `line`. */
  kept = new Line();
  /** Whole, and not taken. */
  line = new Line();
  taken = new Count();
  /** Of `taken`, once `closed` is said: what counts only because the session was closing, and was not read by then. */
  leftUnread: Total = { messages: 0, bytes: 0 };
  /** The last sequence number up to which everything has been taken. */
  upTo = 0;
  takenBeyond = new Ranges();
  duplicates = 0;
  /** Unreliable: lost halves, and the oldest of a full queue. Any: what came after `closed` was said. */
  dropped = 0;
  /** `closed` was said: nothing is taken any more. */
  frozen = false;
  /** The other side asks for credit up to here: all that it has accepted. */
  wanted = 0;
  /** The turn that the other side asks for and has not got. */
  waits: Turn | undefined;
  /** Messages up to this one may come whatever the edges are. */
  turn = 0;
  /** Where the credit given ends: what starts before it may come. */
  edge = 0;
  /** The same for messages larger than `SMALL`. */
  largeEdge = 0;
  /** Whole messages and pieces, as they are counted against the edges. */
  arrived = 0;
  /** Of `arrived`: what can come within the credit given. Only more credit raises it. */
  limit = 0;
  /** What the budget counts for this channel. */
  reserve = 0;
  #turnCost = 0;
  /** The latest connection that brought something. */
  #newest = 0;
  #partials = new Map<string, Partial>();
  #partialBytes = 0;
  /** Pieces that came before their turn, in all unfinished messages. */
  #waiting = 0;
  #ackMessages = 0;
  #ackBytes = 0;

  constructor(
    readonly ordered: boolean,
    readonly reliable: boolean,
    readonly budget: Budget,
    /** The application has opened the channel, or read from it. */
    public claimed = false,
  ) {
    budget.channels++;
    if (!reliable) budget.yielding.add(this);
  }

  /** The next messages that the application has not taken; of very many only the first. */
  get queue(): Deque<Numbered> {
    return this.line.front;
  }

  /** Payload of whole messages that the application has not taken. */
  get queuedBytes(): number {
    return this.line.bytes;
  }

  /** Payload of what was counted as taken while closing and is still here. */
  get keptBytes(): number {
    return this.kept.bytes;
  }

  /** What there is of messages that are not whole yet: how many, their bytes, and pieces that wait for their turn. */
  get unfinished(): { messages: number; bytes: number; waiting: number } {
    return { messages: this.#partials.size, bytes: this.#partialBytes, waiting: this.#waiting };
  }

  /** Whole messages that are here. */
  get held(): number {
    return this.line.length + this.kept.length;
  }

  /** What has come and is not taken, as it is counted. */
  get unread(): number {
    return this.arrived - this.takenCost;
  }

  /** Of the reserve: what another window would put in its place. */
  get replaceable(): number {
    return this.reserve - this.kept.cost - COST * this.#waiting;
  }

  /** What was taken, as it is counted. */
  get takenCost(): number {
    return this.taken.bytes + this.#each * this.taken.messages;
  }

  /** What the turn that was given costs, until all of it is here. */
  get lent(): number {
    return this.have < this.turn ? this.#turnCost : 0;
  }

  /** What a message costs beside its payload. */
  get #each(): number {
    return this.counted ? COST : 0;
  }

  /**
   * One SCTP message. True if it completed a message that is now in the queue.
   *
   * @param epoch the connection that brought it.
   * @param wasTaken whether a message that is sent again was taken the first time: then it counts as taken.
   * @throws Violation a wrong header, a gap, a message too large, or more than the credit given.
   */
  receive(epoch: number, data: Uint8Array, wasTaken: (again: control.Again) => boolean = () => false): boolean {
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
    if (this.reliable && epoch !== this.#newest) {
      if (epoch < this.#newest) return false; // It comes again over the newer connection, whole.
      this.#newest = epoch;
      for (const key of [...this.#partials.keys()]) this.#forget(key);
      this.account();
    }
    if (fragment.seq <= this.have || this.beyond.has(fragment.seq)) {
      if (fragment.last) this.duplicates++;
      return false;
    }
    let payload = this.#assemble(epoch, fragment);
    if (payload) {
      this.#arrived(fragment.seq);
      const message = { seq: fragment.seq, payload };
      if (payload.again && wasTaken(payload.again)) {
        this.duplicates++;
        this.#count(message);
        payload = undefined;
      } else {
        this.line.push(message);
      }
    }
    this.#bound();
    return payload !== undefined;
  }

  // --- pieces -------------------------------------------------------------------------------------------------

  #assemble(epoch: number, fragment: control.Fragment): Payload | undefined {
    const { text, again, seq, payload, index } = fragment;
    const { maxMessage } = this.budget;
    const key = `${epoch} ${seq}`;
    let partial = this.#partials.get(key);
    const size = payload.length + (partial?.size ?? 0);
    if (size > maxMessage) throw new Violation(`message ${seq} is larger than ${maxMessage} bytes`);
    if (this.reliable) this.#check(fragment, partial !== undefined);
    if (fragment.first && fragment.last) {
      this.#forget(key);
      this.arrived += size + this.#each;
      return { data: payload, text, again };
    }
    // Without order the pieces of a message come in any order; with it one that is missing never comes.
    const fits = !this.ordered || index === (partial?.next ?? 0);
    if (fits) partial ??= this.#begin(key, epoch, fragment);
    const waiting = partial?.pieces.size ?? 0;
    if (!partial || !fits || !partial.add(fragment)) {
      if (this.reliable) throw new Violation(`fragment ${index} of message ${seq} out of order`);
      this.#forget(key); // a fragment was lost, and with it the message
      return undefined;
    }
    this.#waiting += partial.pieces.size - waiting;
    this.#partialBytes += payload.length;
    this.arrived += payload.length;
    if (!partial.whole) return undefined;
    this.#partials.delete(key);
    this.#partialBytes -= partial.size;
    return { data: partial.joined.slice(), text: partial.text, again: partial.again };
  }

  /** Only what could start with the credit given may come, and be kept. */
  #check({ seq, first, last, payload }: control.Fragment, begun: boolean): void {
    const size = payload.length;
    if (this.arrived + size + (begun ? 0 : this.#each) > this.limit) {
      throw new Violation(`more than the credit given: ${this.unread + size} bytes`);
    }
    // What credit was given for is in the budget already, but for a piece that comes before its turn.
    if (this.budget.used + COST + (this.counted ? 0 : COST + size) > this.budget.size) {
      throw new Violation(`more than the ${this.budget.size} bytes that a session holds`);
    }
    if (begun && first && last) throw new Violation(`message ${seq} whole and in pieces`);
    if (this.ordered) {
      if (seq !== this.have + 1) throw new Violation(`message ${seq} after message ${this.have} on an ordered channel`);
    } else if (this.counted) {
      const before = this.takenCost + COST * (seq - 1 - this.taken.messages);
      if (seq > Math.max(this.beyond.last, this.turn) && before >= this.edge) {
        throw new Violation(`message ${seq} cannot have started with the credit given`);
      }
    }
  }

  #begin(key: string, epoch: number, { text }: control.Fragment): Partial {
    if (!this.reliable) {
      // Unfinished ones may never be finished: on an ordered channel none will, else a few are kept.
      while (this.#partials.size && (this.ordered || this.#partials.size >= MAX_PARTIALS)) this.#forgetOldest();
    }
    const partial = new Partial(epoch, text);
    this.#partials.set(key, partial);
    this.arrived += this.#each;
    return partial;
  }

  #forgetOldest(): void {
    this.#forget(this.#partials.keys().next().value as string);
  }

  #forget(key: string): void {
    const partial = this.#partials.get(key);
    if (!partial) return;
    this.#partials.delete(key);
    this.arrived -= partial.size + this.#each;
    this.#partialBytes -= partial.size;
    this.#waiting -= partial.pieces.size;
    if (!this.reliable) this.dropped++;
  }

  #arrived(seq: number): void {
    if (this.ordered) {
      this.have = seq;
      return;
    }
    this.beyond.add(seq, seq);
    if (this.reliable) {
      this.have = this.beyond.advance(this.have);
    } else if (this.beyond.size > MAX_GAPS) {
      this.#forgetGap();
    }
  }

  /** What is missing longest is too late now. */
  #forgetGap(): void {
    this.have = this.beyond.advance(this.beyond.runs(1)[0]![0] - 1);
  }

  /** Halves of messages that came over it are forgotten: the whole comes again. */
  connectionGone(epoch: number): void {
    for (const [key, partial] of [...this.#partials]) if (partial.epoch === epoch) this.#forget(key);
    this.account();
  }

  // --- credit -------------------------------------------------------------------------------------------------

  #bound(): void {
    if (this.reliable) this.account();
    else this.#dropOldest();
  }

  /** With no gap it is known what of the credit is used up. It stays so: a gap later changes nothing. */
  #useUp(): void {
    if (this.#partials.size || this.beyond.size) return;
    let limit = this.arrived;
    if (this.arrived < this.edge) limit = this.edge - 1 + SMALL + COST;
    if (this.arrived < this.largeEdge) limit = Math.max(limit, this.largeEdge - 1 + this.budget.maxMessage + COST);
    this.limit = Math.min(this.limit, limit + this.lent);
  }

  /** Tell the budget what this channel needs, after any change. */
  account(): void {
    let reserve = this.kept.cost;
    if (this.reliable && this.counted) {
      this.#useUp();
      reserve += Math.max(this.limit - this.takenCost, 0) + COST * this.#waiting;
    } else {
      this.limit = this.edge ? this.edge + this.budget.maxMessage : 0;
      reserve += this.line.cost + this.#partialBytes;
      reserve += COST * (this.beyond.size + this.#partials.size + this.#waiting);
    }
    this.budget.used += reserve - this.reserve;
    this.reserve = reserve;
  }

  /** Without credit: a full queue drops its oldest, and so do unfinished messages that need too much room. */
  #dropOldest(): void {
    const most = this.claimed ? this.budget.window : Math.min(this.budget.window, SMALL);
    const { line } = this;
    const full = () => line.bytes > most || COST * line.length > Math.max(most, SMALL);
    while (line.length > 1 && full()) this.dropOne();
    this.account();
    while (this.budget.free < 0 && this.dropOne()) this.account();
  }

  /** Without credit: forget the oldest message, half of one, or gap. False if there is none. Then `account`. */
  dropOne(): boolean {
    if (this.line.length) {
      this.line.shift();
      this.dropped++;
    } else if (this.#partials.size) {
      this.#forgetOldest();
    } else if (this.beyond.size) {
      this.#forgetGap();
    } else {
      return false;
    }
    return true;
  }

  /** Give as much credit as there is room for: the window to tell, in bytes that may follow what is taken. */
  grant(): number {
    if (!this.reliable) return this.budget.window;
    const taken = this.takenCost;
    const window = this.budget.windowOf(this);
    if (!this.counted) {
      this.edge = Math.max(this.edge, taken + window);
      this.account();
      return window;
    }
    if (!this.frozen && window && taken + window > this.edge) {
      this.edge = taken + window;
      if (window > SMALL) this.largeEdge = this.edge;
      const largest = window > SMALL ? this.budget.maxMessage : SMALL;
      this.limit = Math.max(this.limit, this.edge - 1 + largest + COST + this.lent);
      this.account();
    }
    return Math.max(this.edge - taken, 0);
  }

  /** The other side asks for more credit than it has. */
  get hungry(): boolean {
    return (this.wanted > this.edge || this.waits !== undefined) && !this.frozen;
  }

  /** The other side asks for credit, and for a turn. */
  ask(wanted: number, turn: Turn | undefined): void {
    this.wanted = Math.max(this.wanted, wanted);
    this.waits = turn ?? this.waits;
  }

  /** The other side waits for a turn, has none that is not over, and no window that it was given helps. */
  get stuck(): boolean {
    if (!this.waits || !this.claimed || this.lent || this.waits.upTo <= this.upTo) return false;
    const window = this.edge - this.takenCost;
    return window <= 0 || (window <= SMALL && this.waits.cost > LOT);
  }

  /** Give the turn that is asked for, if there is room for what it costs. */
  giveTurn(): boolean {
    const waits = this.waits!;
    const cost = Math.min(waits.cost, this.budget.lastRoom);
    if (!this.budget.makeRoom(cost)) return false;
    this.turn = Math.min(waits.upTo, this.upTo + Math.floor(cost / COST));
    this.waits = undefined;
    this.#turnCost = cost;
    this.limit += cost;
    this.account();
    return true;
  }

  /** The channel is gone: so is what it needs. */
  leave(): void {
    this.budget.used -= this.reserve;
    this.budget.channels--;
    this.budget.yielding.delete(this);
    this.reserve = 0;
  }

  // --- taking -------------------------------------------------------------------------------------------------

  /** The next message for the application, which has taken it with this. */
  take(): Payload | undefined {
    let message = this.kept.shift();
    if (!message) {
      message = this.line.shift();
      if (!message) return undefined;
      this.#count(message);
    }
    this.account();
    return message.payload;
  }

  /** While closing: what is queued counts as taken, as far as `room` bytes reach. How many bytes that was. */
  keep(room: number): number {
    const before = this.kept.bytes;
    if (!this.kept.length && this.line.length && this.line.bytes <= room) this.#keepAll();
    else this.#keepSome(before + room);
    this.account();
    return this.kept.bytes - before;
  }

  /** All that has arrived is taken, however much it is. */
  #keepAll(): void {
    const { bytes, length } = this.line;
    this.taken.messages += length;
    this.taken.bytes += bytes;
    this.#ackMessages += length;
    this.#ackBytes += bytes;
    [this.kept, this.line] = [this.line, this.kept];
    if (!this.reliable) return;
    this.upTo = this.have;
    this.takenBeyond = this.beyond.copy();
  }

  #keepSome(most: number): void {
    const spare = this.budget.size - this.budget.used + this.line.cost + this.kept.cost;
    for (let left = AT_ONCE; left > 0; left--) {
      const next = this.line.first();
      if (!next || this.kept.bytes + next.payload.data.length > most) return;
      // What is packed in one line may not be in the other.
      if (!this.counted && this.line.cost + this.kept.cost + COST > spare) return;
      this.line.shift();
      this.kept.push(next);
      this.#count(next);
    }
  }

  /** From now on nothing is taken: what was counted can still be read, the rest is dropped. */
  freeze(): void {
    this.frozen = true;
    this.leftUnread = { messages: this.kept.length, bytes: this.kept.bytes };
    this.dropped += this.line.length;
    this.line.clear();
    this.#partials.clear();
    this.#partialBytes = this.#waiting = 0;
    this.edge = this.largeEdge = this.turn = 0;
    this.arrived = this.limit = this.takenCost;
    this.account();
  }

  #count({ seq, payload }: Numbered): void {
    const size = payload.data.length;
    this.taken.add(size);
    this.#ackMessages++;
    this.#ackBytes += size;
    if (!this.reliable) return;
    if (seq !== this.upTo + 1) this.takenBeyond.add(seq, seq);
    else this.upTo = this.takenBeyond.advance(seq);
  }

  /** Whether so much has been taken since the last acknowledgement. */
  ackDue(messages: number, size: number): boolean {
    return this.#ackMessages >= messages || this.#ackBytes >= size;
  }

  /** The highest sequence number of which all has arrived. */
  get seen(): number {
    return Math.max(this.have, this.beyond.last);
  }

  /** Whether anything has been taken since the last acknowledgement. */
  get ackWanted(): boolean {
    return this.reliable && this.#ackMessages > 0;
  }

  /** What to tell the sender now. */
  acknowledgement(): Acknowledged {
    this.#ackMessages = this.#ackBytes = 0;
    const window = this.grant();
    const turn = this.turn > this.upTo ? this.turn : 0;
    return { upTo: this.upTo, ranges: this.takenBeyond.runs(control.MAX_RANGES), window, turn };
  }
}

interface Taken {
  when: number;
  upTo: number;
  beyond: Ranges;
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

/** Neither bound is set. */
export function isReliable(reliability: Reliability): boolean {
  return (reliability.maxRetransmits ?? reliability.maxPacketLifeTime) == null;
}
