/** One side of a session for the walks of `hostile.ts`: its shell and its application, on a clock of its own. */

import * as control from "../src/protocol/control.js";
import { COST, SMALL } from "../src/protocol/control.js";
import type { ControlMessage } from "../src/protocol/messages.js";
import type { Action, Event } from "../src/session/machine/actions.js";
import { leastBudget } from "../src/session/machine/budget.js";
import type { SessionMachine } from "../src/session/machine/machine.js";
import type { Channel } from "../src/session/machine/state.js";

export const WINDOW = 100_000;
export const MESSAGE = 150_000;
export const CHANNELS = 12;
export const BUFFER = 400_000;
export const PACKED = 32;
export const NARROW = {
  window: WINDOW,
  maxMessage: MESSAGE,
  maxChannels: CHANNELS,
  budget: leastBudget(WINDOW, MESSAGE, CHANNELS),
  sendBuffer: BUFFER,
  closingBound: 500_000,
};
export const WIDE = { ...NARROW, budget: 8 * 1024 * 1024 };
/** Seconds of processor time that one input may take. */
export const STEP = 0.05;
/** Seconds that a close may take beyond its time. */
export const TOO_LATE = 0.5;
export const HOUR = 3600;

/** What must hold does not. */
export class BrokenPromise extends Error {}

export function promise(holds: boolean, what: () => string): void {
  if (!holds) throw new BrokenPromise(what());
}

/** Numbers that are the same in every run. */
export class Draw {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 2654435761 + 12345;
  }

  number(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  below(most: number): number {
    return Math.floor(this.number() * most);
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  shuffle<T>(items: T[]): void {
    for (let at = items.length - 1; at > 0; at--) {
      const other = this.below(at + 1);
      [items[at], items[other]] = [items[other]!, items[at]!];
    }
  }
}

/** A step took too long. On a shared machine only one that does so each time is to blame. */
export class TooSlow extends Error {}

/** How often something was seen. */
export class Seen extends Map<string, number> {
  add(what: string, really = true): void {
    this.set(what, (this.get(what) ?? 0) + Number(really));
  }
}

/** One side, on a clock of its own. */
export class Victim {
  now = 0;
  #due: { when: number; number: number; call: () => void }[] = [];
  /** A close of this side's was asked for. */
  endsBy: number | undefined;
  /** The other side hears a control message. */
  hears: (message: ControlMessage) => void = () => undefined;
  ended = false;
  /** Its `on_wait` says yes now and then. */
  grants = true;
  steps = 0;
  #count = 0;

  constructor(
    readonly machine: SessionMachine,
    readonly draw: Draw,
    readonly seen: Seen,
  ) {}

  /** One input: it throws nothing, takes little, and leaves all bounds kept. */
  feed<T>(name: string, call: (machine: SessionMachine, now: number) => T, quietly = false): T {
    this.steps++;
    const began = process.cpuUsage();
    const result = call(this.machine, this.now);
    const { user, system } = process.cpuUsage(began);
    const took = (user + system) / 1e6;
    if (took > STEP) throw new TooSlow(`${name} took ${Math.round(1000 * took)} ms`);
    this.settle();
    if (!quietly || this.steps % 64 === 0) this.look();
    return result;
  }

  settle(): void {
    for (let action = this.machine.pollAction(); action; action = this.machine.pollAction()) this.do(action);
    for (let event = this.machine.pollEvent(); event; event = this.machine.pollEvent()) this.hear(event);
  }

  later(seconds: number, call: () => void): void {
    const when = this.now + seconds;
    let at = this.#due.length;
    while (at > 0 && this.#due[at - 1]!.when > when) at--;
    this.#due.splice(at, 0, { when, number: this.#count++, call });
  }

  do(action: Action): void {
    const { draw } = this;
    switch (action.type) {
      case "Connect": {
        const size = draw.number() < 0.97 ? 262144 : draw.one([0, 1, 17, 1023, 1024]);
        const { epoch } = action;
        if (draw.number() < 0.9) {
          this.later(0.05, () => this.feed("controlOpened", (m, now) => m.controlOpened(epoch, size, now)));
        }
        break;
      }
      case "OpenStream": {
        const { epoch, id } = action;
        promise(id >= 0 && id <= 1021, () => `stream ${id}`);
        this.later(0.01, () => this.feed("streamOpened", (m, now) => m.streamOpened(epoch, id, now)));
        break;
      }
      case "CloseStream": {
        const { epoch, id } = action;
        if (draw.number() < 0.8) {
          this.later(0.02, () => this.feed("streamClosed", (m, now) => m.streamClosed(epoch, id, now)));
        }
        break;
      }
      case "Release": {
        const { epoch } = action;
        if (draw.number() < 0.8) this.later(0.02, () => this.feed("released", (m, now) => m.released(epoch, now)));
        break;
      }
      case "AskDrained": {
        const { epoch, id } = action;
        this.later(0.01, () => this.feed("drained", (m, now) => m.drained(epoch, id, 0, now)));
        break;
      }
      case "AskFresh": {
        const { epoch } = action;
        const age = draw.one([null, 0.1, 9]);
        this.later(0.001, () => this.feed("fresh", (m, now) => m.fresh(epoch, age, now)));
        break;
      }
      case "RestartIce": {
        const { epoch } = action;
        this.later(0.05, () => this.feed("negotiated", (m, now) => m.negotiated(epoch, now)));
        break;
      }
      case "SendControl": {
        const { text } = action;
        promise(text.length <= control.MAX_CONTROL, () => `a control message of ${text.length} characters`);
        const message = control.decode(text); // what this side says keeps the bounds too
        promise(message !== undefined, () => "an unknown message");
        this.later(0.005, () => this.hears(message!));
        break;
      }
      case "Probe":
        this.later(0.02, () => this.feed("probed", (m, now) => m.probed(true, true, now)));
        break;
      case "SendData":
        control.decodeFragment(action.data);
        break;
      default:
    }
  }

  hear(event: Event): void {
    const { draw } = this;
    switch (event.type) {
      case "StateChanged":
        this.seen.add(`state ${event.state}`);
        break;
      case "ChannelClosing": {
        const { name } = event;
        if (draw.number() < 0.7) {
          this.later(draw.one([0, 0.2]), () =>
            this.feed("channelLastWordsOver", (m, now) => m.channelLastWordsOver(name, now)),
          );
        }
        break;
      }
      case "ClosingAsked":
        if (draw.number() < 0.7) {
          this.later(draw.one([0, 0.2]), () => this.feed("lastWordsOver", (m, now) => m.lastWordsOver(now)));
        }
        break;
      case "WaitAsked": {
        const { eta } = event;
        promise(eta >= 0 && eta <= HOUR, () => `asked to wait ${eta} s`);
        if (this.grants && draw.number() < 0.1) this.later(0, () => this.grant(eta));
        break;
      }
      case "Ended":
        this.ended = true;
        break;
      default:
    }
  }

  grant(eta: number): void {
    this.feed("grantWait", (m, now) => m.grantWait(eta, now));
    const { closing } = this.machine;
    if (closing && this.endsBy !== undefined) this.endsBy = Math.max(this.endsBy, closing.deadline);
  }

  close(timeout: number): void {
    this.endsBy = Math.min(this.endsBy ?? Number.POSITIVE_INFINITY, this.now + timeout);
    this.feed("askClose", (m, now) => m.askClose({ code: "left", text: "bye" }, timeout, now));
  }

  /** Let time pass. */
  run(seconds: number): void {
    const end = this.now + seconds;
    for (let calls = 0; ; calls++) {
      const timeout = this.machine.pollTimeout();
      const first = Math.min(this.#due[0]?.when ?? end + 1, timeout ?? end + 1);
      if (first > end) break;
      promise(calls < 100_000, () => "the clock stands still");
      this.now = Math.max(this.now, first);
      if (timeout !== undefined && timeout <= this.now) this.feed("handleTimeout", (m, now) => m.handleTimeout(now));
      else this.#due.shift()!.call();
    }
    this.now = end;
    this.look();
  }

  // --- what must hold

  look(): void {
    const m = this.machine;
    if (this.endsBy !== undefined && m.state !== "closed") {
      const late = this.now - this.endsBy;
      promise(late <= TOO_LATE, () => `a close is ${late.toFixed(1)} s late, in ${m.state}`);
    }
    promise(m.channels.size <= CHANNELS, () => `${m.channels.size} channels`);
    promise(m.connections.size <= 4, () => `${m.connections.size} connections`);
    for (const { maxMessage } of m.connections.values())
      promise(maxMessage >= 1024, () => "an engine that carries nothing");
    promise(m.timers.size <= 32, () => `${m.timers.size} timers`);
    promise(m.lastEpoch <= 1024 * (this.steps + 2), () => `connection ${m.lastEpoch} after ${this.steps} steps`);
    let held = 0;
    for (const channel of m.channels.values()) held += this.lookAt(channel);
    promise(held <= m.options.budget, () => `${held} bytes are held`);
    promise(held <= m.budget.used, () => `${held} bytes are held, the budget knows of ${m.budget.used}`);
    if (!this.ended) return;
    for (const [name, { sent, received }] of m.outcome!.channels) {
      for (const account of [sent, received]) {
        for (const what of ["accepted", "delivered", "unknown", "unsent"] as const) {
          const total = account[what];
          if (total && Math.min(total.messages, total.bytes) < 0) {
            throw new BrokenPromise(`${name}: ${what} ${total.messages} messages, ${total.bytes} bytes`);
          }
        }
      }
    }
  }

  lookAt({ sender, receiver, reliable, ordered }: Channel): number {
    const { line, kept, unfinished } = receiver;
    const halves = unfinished.bytes + COST * (unfinished.messages + unfinished.waiting);
    const unread = line.bytes + COST * line.length + halves;
    const packed = (COST - PACKED) * (line.length - line.front.length);
    const least = Math.min(
      ...[sender.accepted, sender.delivered, receiver.taken].flatMap(({ messages, bytes }) => [messages, bytes]),
      ...[sender.queuedBytes, sender.flightBytes, line.bytes, kept.bytes, receiver.unread],
    );
    promise(least >= 0, () => `a count of ${least}`);
    const flight = sender.flightBytes + COST * sender.flight.length;
    promise(sender.acked <= sender.started, () => "more is acknowledged than was sent");
    promise(flight <= BUFFER + MESSAGE + COST, () => "too much is under way");
    const gaps = Math.max(receiver.beyond.size, receiver.takenBeyond.size);
    const mostGaps = receiver.counted ? Math.floor(Math.max(WINDOW, SMALL + 1) / COST) + 2 : 40_000;
    promise(gaps <= (reliable ? mostGaps : 4097), () => `${gaps} gaps`);
    const largest = line.front.last()?.payload.data.length ?? 0;
    promise(largest <= MESSAGE, () => `a message of ${largest} bytes`);
    if (reliable && receiver.counted) {
      const most = receiver.claimed ? Math.max(WINDOW, SMALL + 1) + MESSAGE : 2 * SMALL;
      const beyond = unread - COST * unfinished.waiting;
      promise(beyond <= most + COST, () => `${beyond} bytes unread beyond the credit given`);
    }
    if (!reliable) {
      promise(unfinished.messages <= 16, () => "too many halves");
      promise(line.length <= 1 || line.bytes <= WINDOW, () => `${line.bytes} bytes of an unreliable channel unread`);
      promise(line.length <= 1 + WINDOW / COST, () => `${line.length} messages of an unreliable channel unread`);
    } else if (ordered) promise(unfinished.messages <= 1, () => "two halves in order");
    this.seen.add("packed", packed > 0);
    this.seen.add("gaps", receiver.beyond.size > 0);
    this.seen.add("halves", unfinished.messages > 0);
    this.seen.add("pieces before their turn", unfinished.waiting > 0);
    return unread - packed + kept.bytes + COST * kept.front.length + PACKED * (kept.length - kept.front.length);
  }
}
