/** The direction of a channel from there to here; `flow.ts` has the theory. */

import * as control from "../../protocol/control.js";
import { COST, SMALL } from "../../protocol/control.js";
import type { Acknowledged, Turn } from "../../protocol/messages.js";
import type { Budget } from "./budget.js";
import { Count, LOT, Violation } from "./flow.js";
import { Growing, Line, type Numbered, type Payload, Ranges } from "./held.js";
import type { Total } from "./receipt.js";

/** Unfinished messages of an unreliable, unordered channel. */
const MAX_PARTIALS = 16;
/** Runs of numbers by which an unreliable, unordered channel knows a duplicate. */
const MAX_GAPS = 4096;
/** Messages that a close may count one by one at a time. */
const AT_ONCE = 4096;

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
  /** The part of `taken` that counts only because the session was closing, and was not read when `closed` was sent. */
  leftUnread: Total = { messages: 0, bytes: 0 };
  /** The last sequence number up to which everything has been taken. */
  upTo = 0;
  takenBeyond = new Ranges();
  duplicates = 0;
  /** Unreliable: lost halves, and the oldest of a full queue. Any: what came after `closed` was said. */
  dropped = 0;
  /** Whether `closed` was sent: nothing is taken after it. */
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
  /** The most that `arrived` can become within the given credit. Only further credit raises it. */
  limit = 0;
  /** The bytes that the budget counts for this channel. */
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
    public budget: Budget,
    /** The application has opened the channel, or read from it. */
    public claimed = false,
  ) {
    budget.channels++;
    if (!reliable) budget.yielding.add(this);
  }

  /** The unfinished messages: their number, their bytes, and the fragments that arrived early. */
  get unfinished(): { messages: number; bytes: number; waiting: number } {
    return { messages: this.#partials.size, bytes: this.#partialBytes, waiting: this.#waiting };
  }

  /** Whole messages that are here. */
  get held(): number {
    return this.line.length + this.kept.length;
  }

  /** The cost of the messages that have arrived and are not taken. */
  get unread(): number {
    return this.arrived - this.takenCost;
  }

  /** The part of the reserve that another window would replace. */
  get replaceable(): number {
    return this.reserve - this.kept.cost - COST * this.#waiting;
  }

  /** The cost of the messages that were taken. */
  get takenCost(): number {
    return this.taken.bytes + this.#each * this.taken.messages;
  }

  /** The cost of the given turn, until all of it has arrived. */
  get lent(): number {
    return this.have < this.turn ? this.#turnCost : 0;
  }

  /** The cost of a message in addition to its payload. */
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

  /** Give up the message that has been missing longest. */
  #forgetGap(): void {
    this.have = this.beyond.advance(this.beyond.runs(1)[0]![0] - 1);
  }

  /** Forget unfinished messages of a lost connection: they will be sent again whole. */
  connectionGone(epoch: number): void {
    for (const [key, partial] of [...this.#partials]) if (partial.epoch === epoch) this.#forget(key);
    this.account();
  }

  // --- credit -------------------------------------------------------------------------------------------------

  #bound(): void {
    if (this.reliable) this.account();
    else this.#dropOldest();
  }

  /** Note the used credit, which is known while there is no gap. A later gap does not change it. */
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

  /** Forget the oldest message or gap of a channel without credit. False if it is empty. Then call `account`. */
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

  /** Whether the other side waits for a turn: it has no open turn, and its window does not help. */
  get stuck(): boolean {
    if (!this.waits || !this.claimed || this.lent || this.waits.upTo <= this.upTo) return false;
    const window = this.edge - this.takenCost;
    return window <= 0 || (window <= SMALL && this.waits.cost > LOT);
  }

  /** Give the requested turn, if there is space for its cost. */
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
    // What is here stays readable, and belongs to the application with its channel.
    this.budget = this.budget.apart();
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

  /** Stop taking messages. Counted messages can still be read; the rest is dropped. */
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

  /** Return the report for the sender. */
  acknowledgement(): Acknowledged {
    this.#ackMessages = this.#ackBytes = 0;
    const window = this.grant();
    const turn = this.turn > this.upTo ? this.turn : 0;
    return { upTo: this.upTo, ranges: this.takenBeyond.runs(control.MAX_RANGES), window, turn };
  }
}
