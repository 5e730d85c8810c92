/**
 * A peer that says whatever its protocol can say, at a machine whose clock runs; what must hold is looked at each time.
 *
 * Whole messages are drawn from the schema of the protocol, mostly with values that fit the moment (so that every state
 * is reached), often with extremes, sometimes beyond a bound. `Walk` draws; `Victim` is in `victim.ts`. The twin of tests/property/session/hostile.py.
 */

import { readFileSync } from "node:fs";
import * as control from "../src/protocol/control.js";
import { SMALL } from "../src/protocol/control.js";
import { type ControlMessage, controlMessageType } from "../src/protocol/messages.js";
import { SessionMachine } from "../src/session/machine/machine.js";
import { Draw, HOUR, MESSAGE, NARROW, promise, Seen, TOO_LATE, TooSlow, Victim, WIDE } from "./victim.js";

// biome-ignore lint/suspicious/noExplicitAny: the schema is data
type Data = any;

const schema: Data = JSON.parse(
  readFileSync(new URL("../../../docs/reference/protocol.schema.json", import.meta.url), "utf8"),
);
const MOST = Number.MAX_SAFE_INTEGER;
const WORDS = new Set(["closing", "wait", "done", "closed", "reset", "resetOk", "switch", "switched", "cancel"]);
const KINDS = new Map<string, Data>(
  schema.protocols.control.anyOf.map(({ $ref }: Data) => {
    const kind = schema.$defs[$ref.split("/").at(-1)];
    return [kind.properties.type.enum[0], kind];
  }),
);
const DEEP = `${"[".repeat(16)}${"]".repeat(16)}`;
export const NONSENSE = [
  "",
  "{",
  "null",
  "[]",
  '{"type":1}',
  '{"type":"ping"}',
  "\0",
  "[".repeat(250_000),
  `{"type":"ping","n":1,"x":${DEEP}}`,
  `{"type":"later","x":${DEEP}}`,
  `{"type":"ping","n":1,"x":"${"x".repeat(control.MAX_CONTROL)}"}`,
  `{"type":"ack","channels":{"c":{"upTo":0,"window":0,"ranges":[${Array(40_000).fill("[9,1]").join()}]}}}`,
];

const MOODS = ["talks", "floods", "halves", "gaps", "resets", "closes", "acknowledges"] as const;
const SAID: Record<(typeof MOODS)[number], string[]> = {
  talks: ["open", "ack", "ping", "pong", "file", "media", "want", "endChannel"],
  floods: ["open", "ack", "want"],
  halves: ["open"],
  gaps: ["open"],
  acknowledges: ["ack"],
  closes: ["closing", "wait", "done", "closed"],
  resets: ["reset", "resetOk", "switch", "switched", "cancel", "hello"],
};

function frame(seq: number, size: number, { first = true, last = true, index = 0, text = false } = {}): Uint8Array {
  const header = control.encodeHeader({ seq, text, first, last, index, again: undefined });
  const data = new Uint8Array(header.length + size);
  data.set(header);
  return data;
}

/** What the other side says and does, and what befalls, from one seed. */
export class Walk {
  readonly draw: Draw;
  readonly victim: Victim;
  readonly mood: (typeof MOODS)[number];
  /** How often something is said that ends the session at once. */
  readonly rude: number;
  /** It is of this version. */
  readonly can: boolean;
  silent = false;

  constructor(
    seed: number,
    readonly seen: Seen,
    readonly beyond: (kind: Data, at: string) => [string, unknown][],
  ) {
    this.draw = new Draw(seed);
    this.mood = this.draw.one(MOODS);
    this.rude = this.draw.one([0, 0, 0.01, 0.2]);
    this.can = this.draw.number() < 0.6;
    const options = this.draw.one([NARROW, WIDE]);
    const [me, peer] = this.draw.one([
      ["a", "b"],
      ["b", "a"],
    ]) as [string, string];
    this.victim = new Victim(new SessionMachine({ me, peer, room: "room", options }), this.draw, seen);
    this.victim.hears = (message) => this.heard(message);
    this.victim.feed("start", (m, now) => m.start(now));
    if (me === "b") this.victim.feed("wantsDescription", (m, now) => m.wantsDescription(1, now));
    this.victim.run(0.1);
    if (this.draw.number() < 0.95 && this.m.connections.size) this.sayData(1, this.hello(1));
    const opens = this.draw.one([0, 0, 2, 20]);
    for (let number = 0; number < opens && this.m.connections.size; number++) {
      const first = this.m.smaller ? control.FIRST_ID_LARGER : control.FIRST_ID_SMALLER;
      const reliability = this.draw.one([{}, {}, { maxRetransmits: 0 }]);
      const kind = { ordered: this.draw.number() < 0.5, reliability, window: 1 << 22 };
      this.sayData(1, { type: "open", name: `n${number}`, id: first - 2 * number, ...kind });
    }
  }

  get m(): SessionMachine {
    return this.victim.machine;
  }

  get isRude(): boolean {
    return this.draw.number() < this.rude;
  }

  // --- drawing a message

  hello(epoch: number): Data {
    const { peer, session } = this.m;
    const capabilities = this.can ? ["channels1", "credit2", "unread1"] : [];
    return { type: "hello", version: 1, peer, session, epoch, have: this.counts(), capabilities };
  }

  name(): string {
    const names = [...this.m.channels.keys()];
    return this.draw.one([...names, ...names, "new", `n${this.draw.below(30)}`, "x".repeat(128)]);
  }

  counts(): Record<string, number> {
    return Object.fromEntries(
      [...this.m.channels].map(([name, { sender }]) => [
        name,
        this.draw.one([sender.started, sender.acked, sender.accepted.messages, 0]),
      ]),
    );
  }

  /** What the other side may say of each channel in the end. */
  accounts(): Data {
    return Object.fromEntries(
      [...this.m.channels].map(([name, { sender, receiver }]) => [
        name,
        { accepted: receiver.taken.total(), taken: sender.delivered.total() },
      ]),
    );
  }

  epoch(): number {
    const { active = 1, lastEpoch } = this.m;
    if (this.isRude) return MOST;
    return this.draw.one([active, active, lastEpoch, lastEpoch + 1, lastEpoch + 1, 0]);
  }

  /** A number for a member: what fits the moment, or an extreme. */
  fitting(member: string, kind: Data): number {
    const { draw, m } = this;
    const first = m.smaller ? control.FIRST_ID_LARGER : control.FIRST_ID_SMALLER;
    switch (member) {
      case "epoch":
        return this.epoch();
      case "version":
        return this.isRude ? 2 : 1;
      case "id":
        return this.isRude ? draw.one([0, 1, 65534]) : first - 2 * draw.below(200);
      case "n":
        return draw.one([m.resets.asked, m.pings, draw.below(50), 0, MOST]);
      case "window":
        return draw.one([0, 1, SMALL, SMALL + 1, 1 << 22, 1 << 22, MOST]);
      case "deadlineMs":
      case "etaMs":
        return draw.one([1, 300, 5000, 5000, 3_600_001, MOST, draw.one([0, 1000])]);
      default: {
        const { minimum: low, maximum: high } = kind;
        return draw.one([low, Math.min(low + 1, high), high, Math.max(high - 1, low), Math.min(7, high)]);
      }
    }
  }

  /** A value of this type, within its bounds. */
  value(kind: Data, member: string): unknown {
    const { draw, m } = this;
    if (kind.anyOf) return this.value(draw.one(kind.anyOf), member);
    if (kind.$ref) return this.struct(schema.$defs[kind.$ref.split("/").at(-1)]);
    if (kind.enum) return draw.one(kind.enum);
    if (kind.prefixItems) return kind.prefixItems.map((item: Data) => this.value(item, member));
    switch (kind.type) {
      case "integer":
        return this.fitting(member, kind);
      case "string": {
        const fits: Record<string, string[]> = {
          receipt: Array(9).fill(m.receipt),
          session: [m.session, m.session, ""],
          peer: [m.peer],
          to: [m.me, ""],
          from: [m.peer],
          asker: [m.peer, m.peer, m.me],
          name: Array(4).fill(this.name()),
          closer: [m.peer, m.me, "both", "network"],
          error: Array(4).fill(""),
          code: ["left", "kicked", "protocol-error"],
        };
        const letter = draw.one(kind.pattern ? ["0", "f"] : ["x", "é", "\u{1f600}", "\x1b", "\n"]);
        const least = kind.minLength ?? 0;
        const drawn = letter.repeat(draw.one([least, Math.min(least + 1, kind.maxLength), kind.maxLength]));
        return draw.one([...(fits[member] ?? []), drawn]);
      }
      case "boolean":
        return draw.number() < 0.5;
      case "array": {
        const size = draw.one([0, 1, 2, draw.below(9), kind.maxItems]);
        return Array.from({ length: size }, () => this.value(kind.items, member));
      }
      case "object": {
        if ((member === "have" || member === "final") && draw.number() < 0.8) return this.counts();
        const size = draw.number() < 0.1 ? draw.one([0, 1, 3, kind.maxProperties]) : 1;
        return Object.fromEntries(
          Array.from({ length: size }, (_, number) => [
            (size < 9 ? this.name() : `c${number}`).slice(0, kind.propertyNames.maxLength),
            this.value(kind.additionalProperties, member),
          ]),
        );
      }
      default:
        return null;
    }
  }

  struct({ properties, required }: Data): Data {
    return Object.fromEntries(
      Object.entries(properties)
        .filter(([member]) => required.includes(member) || this.draw.number() < 0.5)
        .map(([member, kind]) => [member, this.value(kind, member)]),
    );
  }

  /** An acknowledgement that fits, or has ranges of every kind. */
  ack(): [made: Data, wrong: boolean] {
    const { draw } = this;
    let isWrong = false;
    const channels: Data = {};
    for (const [name, { sender, reliable }] of this.m.channels) {
      const { acked, started } = sender;
      let upTo = draw.one([acked, acked, started, acked + draw.below(Math.max(started - acked, 0) + 1)]);
      if (this.isRude) upTo = draw.one([started + 1, MOST, 0]);
      const ranges: [number, number][] = [];
      if (draw.number() < 0.4) {
        const most = draw.one([1, 3, 256]);
        for (let at = upTo + 1; at < started && ranges.length < most; ) {
          const first = at + draw.one([0, 1, 1, 5]);
          const last = Math.min(first + draw.one([0, 0, 3, 1000]), started);
          if (first > last) break;
          ranges.push([first, last]);
          at = last + 2;
        }
        if (this.isRude && ranges.length) {
          // None that is right anywhere.
          const wrong: [number, number][] = [[9, 1], ranges[0]!, [MOST, MOST], [0, 1]];
          ranges.splice(draw.below(ranges.length + 1), 0, draw.one(wrong));
          isWrong ||= reliable;
        }
      }
      channels[name] = { upTo, window: this.fitting("window", undefined), ranges };
    }
    return [{ type: "ack", channels }, isWrong];
  }

  /** A message, and whether one of its values breaks a bound. */
  message(): [made: Data, broken: boolean] {
    const { draw, m } = this;
    const tag = draw.one(draw.number() < 0.85 ? SAID[this.mood] : [...KINDS.keys()]);
    const kind = KINDS.get(tag);
    if (tag === "ack" && draw.number() < 0.9) return this.ack();
    if (tag === "hello") {
      const fresh = [...m.connections.values()].filter(({ heardHello }) => !heardHello).map(({ epoch }) => epoch);
      if (!fresh.length && !this.isRude) return [{ type: "ping", n: 1 }, false];
      return [this.hello(draw.one(fresh.length ? fresh : [this.epoch()])), false];
    }
    const made = this.struct(kind);
    const known = m.channels.get(made.name);
    if ((tag === "opened" || tag === "endChannel") && known && !this.isRude) made.id = known.id;
    if (draw.number() > 0.01 + this.rude / 2) return [made, false];
    const members = Object.keys(kind.properties).filter((member) => member !== "type");
    if (!members.length) return [made, false];
    const member = draw.one(members);
    // What JSON has no word for would be said as null, which may stand for nothing.
    const wrong = this.beyond(kind.properties[member], member).filter(
      ([, bad]) => !JSON.stringify(bad).includes("null"),
    );
    return [{ ...made, [member]: draw.one(wrong)[1] }, true];
  }

  // --- saying it

  heard(message: ControlMessage): void {
    if (this.silent) return;
    const { draw, m } = this;
    const over = m.active ?? 1;
    switch (message.type) {
      case "ping":
        if (draw.number() < 0.9) this.sayData(over, { type: "pong", n: message.n });
        break;
      case "hello":
        if (message.epoch > 1 && draw.number() < 0.8) this.sayData(message.epoch, this.hello(message.epoch));
        break;
      case "open": {
        const { name, id } = message;
        const window = draw.one([0, SMALL, 1 << 22, MOST]);
        if (draw.number() < 0.9) this.sayData(over, { type: "opened", name, id, window });
        break;
      }
      case "closing":
        if (draw.number() < 0.5) {
          const closing = { receipt: m.receipt, reason: { code: "left" }, deadlineMs: 3000, final: this.counts() };
          this.sayData(over, { type: draw.one(["done", "done", "closing"]), ...closing });
        }
        break;
      case "done":
        if (draw.number() < 0.7) this.sayData(over, { type: "done", final: this.counts() });
        break;
      case "closed":
        if (draw.number() < 0.7) {
          const { receipt } = message;
          const said = { receipt, closer: m.me, reason: { code: "left" }, channels: this.accounts() };
          this.sayData(over, { type: "closed", ...said });
        }
        break;
      case "switch":
        if (draw.number() < 0.7) {
          this.sayData(message.epoch, { type: "switched", epoch: message.epoch, have: this.counts() });
        }
        break;
      case "reset":
        if (draw.number() < 0.6) this.sayData(over, { ...message, type: "resetOk" });
        break;
      default:
    }
  }

  sayData(epoch: number, made: Data): void {
    this.sayText(epoch, JSON.stringify(made));
  }

  sayText(epoch: number, text: string): void {
    this.victim.feed("controlReceived", (m, now) => m.controlReceived(epoch, text, now));
  }

  say(): void {
    const { m, draw, victim } = this;
    const [made, broken] = this.message();
    let epoch = made.type === "hello" ? made.epoch : (m.active ?? 1);
    if (made.type !== "hello" && this.isRude) epoch = m.lastEpoch;
    const known = m.connections.has(epoch) && m.state !== "closed";
    if (draw.number() < 0.15 && WORDS.has(made.type) && !broken) {
      const word = controlMessageType.get(made.type)!.read(made, "word");
      victim.feed("signalReceived", (machine, now) => machine.signalReceived(word as never, now));
      return;
    }
    const text = JSON.stringify(made);
    if (text.length > control.MAX_CONTROL) return;
    this.sayText(epoch, text);
    if (broken && known) {
      this.seen.add("beyond a bound");
      promise(m.closing?.isAbrupt === true, () => `taken: ${text.slice(0, 300)}`);
    }
  }

  sayNonsense(): void {
    const { m } = this;
    const text = this.draw.one(NONSENSE);
    const epoch = m.active ?? 1;
    const known = m.connections.has(epoch) && m.state !== "closed";
    this.sayText(epoch, text);
    if (known) promise(m.closing?.isAbrupt === true, () => `taken: ${text.slice(0, 100)}`);
  }

  /** Bytes on a session channel. */
  send(): void {
    const { draw, m } = this;
    if (!m.channels.size) return;
    let mood = draw.number() < 0.7 ? this.mood : "talks";
    const all = [...m.channels.values()];
    const unordered = all.filter(({ ordered }) => !ordered);
    const channel = draw.one(mood === "gaps" && unordered.length ? unordered : all);
    if (mood === "gaps" && channel.ordered) mood = "talks";
    const { receiver, ordered, id } = channel;
    const epoch = draw.one([m.active ?? 1, m.active ?? 1, m.active ?? 1, m.lastEpoch]);
    const following = receiver.have + 1;
    const last = Math.max(receiver.beyond.last, receiver.have);
    const frames: Uint8Array[] = [];
    if (mood === "floods") {
      const size = draw.one([0, 0, 1, 100, SMALL]);
      let count = draw.one([10, 100, 100, this.isRude || !this.can ? 6000 : 200]);
      if (size === SMALL) count = 2;
      for (let at = 1; at <= count; at++) frames.push(frame(last + at, size));
    } else if (mood === "halves") {
      const seq = ordered ? following : draw.one([following, last + 1 + draw.below(29)]);
      const size = draw.one([1, 100, 30_000, ...(this.isRude ? [0] : [])]);
      const count = draw.one([1, 3, 30, this.isRude ? 3000 : 5]);
      const start = ordered ? 0 : draw.one([0, 0, 1, 2, 9]);
      for (let index = start; index < start + count; index++) {
        frames.push(frame(seq, size, { first: index === 0, last: draw.number() < 0.02, index }));
      }
      if (!ordered || this.isRude) draw.shuffle(frames);
      if ((!ordered || this.isRude) && draw.number() < 0.3) {
        frames.length = 0; // many of which none goes on
        for (let at = 0; at < 400; at++) frames.push(frame(following + at, 1, { last: false }));
      }
    } else if (mood === "gaps") {
      const jump = draw.one(this.isRude ? [20_000, (MOST - 1) / 2] : [2, 2, 3]);
      const count = draw.one([1, 9, 50, this.isRude || !channel.reliable ? 6000 : 300]);
      for (let at = 1; at <= count && last + jump * at <= MOST; at++) frames.push(frame(last + jump * at, 1));
    } else {
      const seq = this.isRude
        ? draw.one([following + 1, MOST])
        : draw.one([following, following, following, following, 1]);
      const size = draw.one(this.isRude ? [SMALL + 1, MESSAGE, MESSAGE + 1, MESSAGE + 1] : [0, 1, 100, SMALL]);
      frames.push(frame(seq, size, { text: draw.number() < 0.5 }));
    }
    if (this.isRude && draw.number() < 0.2) {
      frames.push(draw.one([[], [0xff], [6], [6, 0], [0x0e, 1, 2]].map((bytes) => Uint8Array.from(bytes))));
    }
    for (const data of frames) {
      if (m.state === "closed" || m.byId.get(id) !== channel) break;
      this.victim.feed("dataReceived", (machine, now) => machine.dataReceived(epoch, id, data, now), true);
    }
    this.victim.look();
  }

  // --- what the application does, and what befalls

  /** The application of the side that is looked at. */
  act(): void {
    const { draw, m, victim } = this;
    const names = [...m.channels.keys()];
    try {
      switch (draw.below(8)) {
        case 0: {
          const reliability = draw.number() < 0.3 ? { maxRetransmits: 0 } : {};
          const kind = { ordered: draw.number() < 0.5, reliability };
          const name = `n${draw.below(30)}`;
          victim.feed("openChannel", (machine, now) => machine.openChannel(name, kind, now));
          break;
        }
        case 1:
        case 2: {
          if (!names.length) break;
          const name = draw.one(names);
          const data = new Uint8Array(draw.one([0, 0, 1, 100, SMALL, SMALL + 1, MESSAGE]));
          for (let left = draw.one([1, 5, data.length < 1000 ? 1500 : 3]); left > 0 && m.hasRoom(name); left--) {
            victim.feed("send", (machine, now) => machine.send(name, { data, text: false }, now), true);
          }
          break;
        }
        case 3:
        case 4:
        case 5: {
          if (!names.length) break;
          const name = draw.one(names);
          for (let left = draw.one([1, 3, 9000]); left > 0; left--) {
            if (!victim.feed("take", (machine, now) => machine.take(name, now), true)) break;
          }
          break;
        }
        case 6: {
          const level = draw.one(["ice", "transport", "full"] as const);
          victim.feed("askReset", (machine, now) => machine.askReset(level, now));
          break;
        }
        default: {
          const eta = draw.one([0.1, 1e6]);
          victim.feed("askWait", (machine, now) => machine.askWait("please", eta, now));
        }
      }
      victim.look();
    } catch (error) {
      // The caller's own fault, and told to it.
      if (!["ChannelError", "SessionClosedError"].includes((error as Error).name)) throw error;
    }
  }

  befall(): void {
    const { draw, victim } = this;
    const epoch = this.epoch();
    switch (draw.below(7)) {
      case 0: {
        const kind = draw.one(["left", "failed", "failed", "security"] as const);
        victim.feed("connectionLost", (m, now) => m.connectionLost(epoch, kind, "it broke", now));
        break;
      }
      case 1:
      case 2:
        victim.feed("wantsDescription", (m, now) => m.wantsDescription(draw.one([epoch, MOST]), now));
        break;
      case 3: {
        const presence = draw.one(["away", "here", "here", "left", "timeout"] as const);
        victim.feed("presenceChanged", (m, now) => m.presenceChanged(presence, now));
        break;
      }
      case 4: {
        const up = draw.number() < 0.7;
        victim.feed("signalingChanged", (m, now) => m.signalingChanged(up, now));
        break;
      }
      case 5: {
        const state = draw.one(["disconnected", "failed", "connected"]);
        victim.feed("iceChanged", (m, now) => m.iceChanged(epoch, state, now));
        break;
      }
      default:
        this.silent = true;
        victim.run(draw.one([4, 9, 25, 70]));
        this.silent = false;
    }
  }

  step(): void {
    const { draw } = this;
    const busy = this.mood === "floods" || this.mood === "halves" || this.mood === "gaps";
    const ways: [weight: number, call: () => void][] = [
      [3, () => this.say()],
      [busy ? 6 : 2, () => this.send()],
      [3, () => this.act()],
      [3, () => this.victim.run(draw.one([0, 0.01, 0.1, 0.1, 1]))],
      [0.2, () => this.befall()],
      [0.05, () => this.victim.close(draw.one([0, 0.3, 2, 5, 30]))],
      [0.01 + 0.5 * this.rude, () => this.sayNonsense()],
    ];
    let at = draw.number() * ways.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, call] of ways) {
      at -= weight;
      if (at >= 0) continue;
      call();
      break;
    }
    this.note();
  }

  note(): void {
    const { m, seen } = this;
    seen.add(m.state);
    seen.add("hungry", m.hungry.size > 0);
    if (m.closing) {
      seen.add(`closing by ${m.closing.by}`);
      seen.add(`step ${m.closing.step.name}`);
      seen.add("last words", m.closing.maySend);
    }
    if (m.reset) seen.add(`reset ${m.reset.level} ${m.reset.phase}`);
    if (m.outcome) {
      seen.add(`path ${m.outcome.path}`);
      seen.add(`by ${m.outcome.by}`);
    }
  }

  // --- to the end

  run(steps: number): void {
    for (let left = this.draw.one([steps, steps, 12]); left > 0; left--) {
      this.step();
      if (this.victim.ended && this.draw.number() < 0.3) return;
    }
    this.finish();
  }

  /** One way or the other the session ends in its time, whatever is said meanwhile. */
  finish(): void {
    const { victim, m, draw } = this;
    const far = { type: "closing", receipt: m.receipt, reason: { code: "left" }, deadlineMs: MOST, final: { c: 9 } };
    const alone = victim.endsBy === undefined && m.state === "open";
    const way = draw.below(4);
    victim.grants = false;
    if (alone && way === 0) {
      // Only the other side closes, and says nothing more: its deadline is not waited for.
      this.sayData(m.active ?? 1, far);
      this.pass(m.options.closingPatience + 2, 1, () => undefined);
      this.seen.add("ended in silence", victim.ended);
    } else if (alone && way === 1) {
      // Only the other side closes, and something new comes now and then: an hour is enough.
      this.sayData(m.active ?? 1, far);
      const began = victim.now;
      const channel = [...m.channels.values()].find(({ reliable }) => reliable);
      this.pass(HOUR + 2, 20, () => {
        if (!channel) return;
        const data = frame(channel.receiver.have + 1, 1);
        const epoch = m.active ?? 1;
        victim.feed("dataReceived", (machine, now) => machine.dataReceived(epoch, channel.id, data, now));
      });
      this.seen.add("ended after an hour", victim.ended && victim.now > began + 600);
    } else {
      if (draw.number() < 0.5) this.sayData(m.active ?? 1, far);
      victim.close(2);
      for (const until = victim.now + 2 + TOO_LATE; victim.now < until; ) {
        if (draw.number() < 0.5) this.sayData(m.active ?? 1, far);
        this.say();
        this.send();
        victim.run(0.25);
      }
    }
    this.note();
    promise(m.state === "closed", () => `${m.state} in the end, by ${m.closing?.by}, ${m.closing?.step.name}`);
  }

  pass(seconds: number, every: number, call: () => void): void {
    for (const until = this.victim.now + seconds; this.victim.now < until && !this.victim.ended; ) {
      call();
      this.victim.run(every);
    }
  }
}

export const WALKS = Number(process.env["ADIEU_WALKS"] ?? 720);

/** What one walk has seen. A step that is too slow has to be so three times: the walk is the same in each. */
export function walked(seed: number, beyond: Walk["beyond"], steps: number): Seen {
  for (let left = 2; ; left--) {
    const seen = new Seen();
    try {
      new Walk(seed, seen, beyond).run(steps);
      return seen;
    } catch (error) {
      if (!(error instanceof TooSlow && left)) throw error;
    }
  }
}
