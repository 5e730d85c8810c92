/** Two that keep the protocol, on a link that is rough: drawn at random, the same for the same seed. */

import type { Channel, ChannelEndReceipt, Session } from "../src/index.js";
import { COST, SMALL } from "../src/protocol/control.js";
import { leastBudget } from "../src/session/machine/budget.js";
import type { SessionMachine } from "../src/session/machine/machine.js";
import { DEFAULTS, type Options } from "../src/session/machine/options.js";
import type { Account } from "../src/session/machine/receipt.js";
import { shellOf } from "../src/session/session.js";
import { type Pair, pair } from "./pair.js";
import { Draw, Seen } from "./victim.js";

/** Seconds: how long messages are given to the session, and after how many all has to be there. */
const BUSY = 10;
const LONGEST = 600;
const STEP = 0.05;
/** Bytes of a walk; beyond them messages are small. */
const MUCH = 3_000_000;

interface Kind {
  ordered: boolean;
  maxRetransmits?: number;
}

/** One direction of a channel. */
interface Way {
  name: string;
  from: Session;
  to: Session;
  kind: Kind;
  backlog: Uint8Array<ArrayBuffer>[];
  reads: "at once" | "now and then" | "at the end";
  sent: string[];
  got: string[];
}

/** A session: its options, its channels, what is sent, who reads when, what befalls the connection. */
export class Walk {
  readonly #draw: Draw;
  readonly seen = new Seen();
  #much = MUCH;
  #pair!: Pair;
  #ways: Way[] = [];
  #failed: unknown;
  /** The receipts of both sides of each channel that is closed. */
  readonly #closed = new Map<string, [Session, ChannelEndReceipt][]>();

  constructor(
    private readonly seed: number,
    readonly before = false,
    private readonly given?: Partial<Options>,
    much = MUCH,
  ) {
    this.#draw = new Draw(seed);
    this.#much = much;
  }

  /**
   * Until all is there.
   *
   * @throws Error it is not, in time; the session ended; or more is held than the budget.
   */
  async run(): Promise<void> {
    const draw = this.#draw;
    const options = this.given ?? this.#anyOptions();
    const delay = draw.one([0.001, 0.05, 0.3]);
    this.#pair = await pair(options, this.before ? { ...options, capabilities: [] } : options, delay);
    const { time, wire } = this.#pair;
    wire.late = ({ ordered, reliable }) => {
      if (!reliable && draw.number() < 0.1) return undefined;
      return ordered ? 0 : draw.number() * draw.one([0, 0.03, 0.3]);
    };
    this.#makeChannels({ ...DEFAULTS, ...options });
    this.#makeTrouble();
    if (!this.before) this.#makeCloses(new Draw(this.seed));
    while (time.now < BUSY || !this.#done()) {
      await time.pass(STEP);
      this.#look();
      if (time.now > LONGEST) throw new Error(`after ${LONGEST} s not all is there: ${this.#missing()}`);
    }
    this.#checkDelivery();
    await time.until(Promise.all([this.#pair.a.close(), this.#pair.b.waitClosed()]));
  }

  #anyOptions(): Partial<Options> {
    const draw = this.#draw;
    const maxMessage = draw.one([20_000, 100_000, 1 << 20]);
    const window = draw.one([1, 1000, SMALL, SMALL + 1, 3 * SMALL, 1 << 20]);
    const maxChannels = draw.one([3, 20, 200]);
    const least = leastBudget(window, maxMessage, maxChannels);
    return {
      maxMessage,
      window,
      maxChannels,
      budget: draw.one([least, least, least + 5000, 2 * least]),
      sendBuffer: draw.one([1, 5000, 1 << 20, 16 << 20]),
      ackMessages: draw.one([1, 64]),
      streamHigh: draw.one([20_000, 1 << 20]),
      streamLow: 10_000,
      linkHigh: draw.one([20_000, 8 << 20]),
    };
  }

  #makeChannels({ maxChannels, maxMessage }: Options): void {
    const draw = this.#draw;
    const { a, b, time } = this.#pair;
    const count = Math.min(maxChannels, draw.one(this.before ? [1, 3] : [1, 3, 40, 100]));
    for (let number = 0; number < count; number++) {
      const name = `c${number}`;
      const kind: Kind = { ordered: draw.number() < 0.5, ...draw.one([{}, {}, {}, { maxRetransmits: 0 }]) };
      for (const side of draw.one([[a, b], [a], [b]])) {
        time.later(draw.number() * 3, () => void side.open(name, kind).catch((error) => this.#fail(error)));
      }
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const many = draw.one(count < 10 ? [0, 1, 5, 50, 400] : [0, 0, 1, 5, 20]);
        const backlog = Array.from({ length: many }, (_, at) => this.#anyMessage(at, maxMessage));
        const reads = draw.one(["at once", "at once", "now and then", "at the end"] as const);
        const way: Way = { name, from, to, kind, backlog, reads, sent: [], got: [] };
        this.#ways.push(way);
        this.#whenOpen(from, name, (channel) => this.#send(way, channel));
        this.#whenOpen(to, name, (channel) => this.#receive(way, channel));
      }
    }
  }

  #anyMessage(number: number, largest: number): Uint8Array<ArrayBuffer> {
    let size = Math.min(this.#draw.one([0, 0, 1, 100, 2000, SMALL, SMALL + 1, largest >> 1, largest]), largest);
    if (size > this.#much) size = this.#draw.one([0, 5]);
    this.#much -= size;
    const data = new Uint8Array(size);
    if (size >= 4) new DataView(data.buffer).setUint32(0, number);
    return data;
  }

  #makeTrouble(): void {
    const draw = this.#draw;
    const { a, b, time, wire } = this.#pair;
    for (let left = draw.one([0, 0, 1, 3]); left > 0; left--) {
      const when = draw.number() * BUSY;
      const side = draw.one([a, b]);
      const level = draw.one(["transport", "ice", "full", undefined] as const);
      if (level) {
        // That it was given up is no fault: the session goes on.
        time.later(when, () => void side.reset(level).catch(() => this.seen.add("resets given up")));
      } else {
        time.later(when, () => {
          wire.cut = true;
        });
        time.later(when + draw.number() * 4, () => wire.heal());
      }
    }
  }

  /** Some channels are closed by a side, or by both, whatever is still under way on them. */
  #makeCloses(draw: Draw): void {
    const { a, b, time } = this.#pair;
    for (const name of new Set(this.#ways.map((way) => way.name))) {
      for (const side of draw.one([[], [], [], [], [], [a], [b], [a, b]])) {
        time.later(BUSY * (0.5 + draw.number() / 2), () => {
          const both = [a, b].map((each) => each.channels.get(name));
          if (!shellOf(side).machine.channels.get(name)?.open || !both[0] || !both[1]) return;
          if (!this.#closed.has(name)) this.#watch(name, both as Channel[]);
          const channel = side.channels.get(name);
          channel?.close({ timeout: LONGEST * 1000 }).catch((error) => this.#fail(error));
        });
      }
    }
  }

  #watch(name: string, channels: Channel[]): void {
    const receipts: [Session, ChannelEndReceipt][] = [];
    this.#closed.set(name, receipts);
    for (const channel of channels) {
      const side = channel.session as Session;
      channel.waitClosed().then(
        (receipt) => void receipts.push([side, receipt]),
        (error) => this.#fail(error),
      );
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error;
  }

  #whenOpen(side: Session, name: string, use: (channel: Channel) => Promise<void>): void {
    const look = () => {
      const channel = side.channels.get(name);
      if (!channel || !shellOf(side).machine.channels.get(name)?.open) this.#pair.time.later(STEP, look);
      else use(channel).catch((error) => this.#fail(error));
    };
    look();
  }

  async #send(way: Way, channel: Channel): Promise<void> {
    for (const message of way.backlog) {
      try {
        await channel.send(message);
      } catch (error) {
        if (!this.#closed.has(way.name)) throw error;
        return; // it is closing: what was not accepted before is not sent
      }
      way.sent.push(marked(message));
    }
  }

  async #receive(way: Way, channel: Channel): Promise<void> {
    const { time } = this.#pair;
    for (;;) {
      const wait = { "at once": 0, "now and then": this.#draw.number(), "at the end": BUSY - time.now }[way.reads];
      if (wait > 0 && time.now < BUSY) await new Promise<void>((resolve) => void time.later(wait, resolve));
      const message = await channel.receive().catch(() => undefined);
      if (message === undefined) return; // The session has ended: `#look` says whether it may.
      way.got.push(marked(message as Uint8Array));
    }
  }

  #look(): void {
    const { a, b } = this.#pair;
    if (this.#failed) throw this.#failed;
    for (const { machine } of [a, b].map(shellOf)) {
      if (machine.state === "closed" || machine.closing) {
        throw new Error(`a side ended: ${JSON.stringify(machine.outcome?.reason ?? machine.closing?.reason)}`);
      }
      const { used, size } = machine.budget;
      const held = heldBy(machine);
      if (held > used || used > size) throw new Error(`${held} are held, ${used} used of ${size}`);
      this.seen.add("hungry", machine.hungry.size > 0);
      this.seen.add("new connections", machine.lastEpoch > 1);
      for (const { reliable, receiver } of machine.channels.values()) {
        this.seen.add("turns", receiver.lent > 0);
        this.seen.add("gaps", reliable && receiver.beyond.size > 0);
      }
    }
  }

  #done(): boolean {
    return this.#ways.every((way) => this.#isDone(way));
  }

  #isDone({ name, from, kind, backlog, sent, got }: Way): boolean {
    const closed = this.#closed.get(name);
    if (closed) return closed.length === 2 && (kind.maxRetransmits !== undefined || got.length >= sent.length);
    const sender = shellOf(from).machine.channels.get(name)?.sender;
    if (!sender?.idle || sent.length < backlog.length || sender.flight.length) return false;
    return kind.maxRetransmits !== undefined || got.length >= sent.length;
  }

  #missing(): string {
    const missing = this.#ways.filter((way) => !this.#isDone(way));
    const words = missing.slice(0, 5).map(({ name, from, to, kind, sent, got, backlog }) => {
      const here = shellOf(from).machine.channels.get(name);
      const there = shellOf(to).machine.channels.get(name)?.receiver;
      if (!here || !there) return `${name}: not open`;
      const { queue, flight, window } = here.sender;
      return (
        `${name} ${JSON.stringify(kind)}: ${got.length} of ${sent.length} of ${backlog.length}, queue ${queue.length}, ` +
        `flight ${flight.length}, window ${window}, open ${here.open}; there ${there.edge - there.takenCost}, waits ` +
        JSON.stringify(there.waits)
      );
    });
    return words.join("; ");
  }

  #checkDelivery(): void {
    for (const [name, receipts] of this.#closed) this.#checkClosed(name, receipts);
    for (const { name, kind, sent, got } of this.#ways) {
      if (kind.maxRetransmits !== undefined) continue;
      const [came, went] = kind.ordered ? [got, sent] : [got.toSorted(), sent.toSorted()];
      if (came.join() !== went.join()) throw new Error(`${name}: ${got.length} of ${sent.length} came, or not as sent`);
    }
  }

  /** Both sides have the same account, and nothing of a reliable channel is lost. */
  #checkClosed(name: string, receipts: [Session, ChannelEndReceipt][]): void {
    this.seen.add("closed");
    for (const way of this.#ways.filter((each) => each.name === name)) {
      const here = receipts.find(([side]) => side === way.from)![1];
      const there = receipts.find(([side]) => side === way.to)![1];
      const same = accountOf(here.sent) === accountOf(there.received) && here.confirmed && there.confirmed;
      const all = !here.reliable || here.sent.delivered.messages === way.sent.length;
      if (!same || !all || here.sent.accepted?.messages !== way.sent.length) {
        throw new Error(`${name} is closed: ${way.sent.length} sent; ${JSON.stringify([here, there])}`);
      }
    }
  }
}

/** What both sides say of one direction. */
function accountOf({ accepted, delivered, unsent, unknown }: Account): string {
  return JSON.stringify([accepted, delivered, unsent, unknown]);
}

/** What tells a message from others. */
function marked(message: Uint8Array): string {
  return `${message.length} ${message.subarray(0, 4).join(".")}`;
}

/** Bytes that a machine holds for its application, counted one by one. */
function heldBy({ channels }: SessionMachine): number {
  let total = 0;
  for (const { receiver } of channels.values()) {
    for (const line of [receiver.line, receiver.kept]) {
      total += line.bytes + COST * line.front.length + 32 * (line.length - line.front.length);
    }
    const { messages, bytes, waiting } = receiver.unfinished;
    total += bytes + COST * (messages + waiting);
  }
  return total;
}
