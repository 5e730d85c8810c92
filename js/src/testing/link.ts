/**
 * Peer connections of this process, and the link between them: it delays, loses and reorders messages, and can be cut.
 *
 * Their descriptions carry a number; there is no ICE, DTLS or SCTP in them. A message of a reliable channel that is lost
 * comes later, as SCTP sends it again; one of an unreliable channel does not come.
 */

import type { VirtualTime } from "./time.js";

type Handler = ((event: never) => void) | null;

class FakeChannel {
  readyState = "connecting";
  binaryType = "";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  onopen: Handler = null;
  onmessage: Handler = null;
  onclose: Handler = null;
  onerror: Handler = null;
  onbufferedamountlow: Handler = null;
  /** No message of an ordered channel comes before the one before it. */
  #after = 0;

  constructor(
    readonly pc: FakeConnection,
    readonly id: number,
    readonly ordered: boolean,
    readonly reliable: boolean,
  ) {}

  get other(): FakeChannel | undefined {
    return this.pc.other?.channels.get(this.id);
  }

  open(): void {
    if (this.readyState !== "connecting") return;
    this.readyState = "open";
    fire(this.onopen);
  }

  send(data: string | Uint8Array): void {
    if (this.readyState !== "open") throw new DOMException("not open", "InvalidStateError");
    const copy = typeof data === "string" ? data : data.slice().buffer;
    const size = typeof data === "string" ? data.length : data.length;
    this.bufferedAmount += size;
    this.pc.wire.carry(this.pc, () => {
      this.bufferedAmount -= size;
      if (this.bufferedAmount <= this.bufferedAmountLowThreshold) fire(this.onbufferedamountlow);
      const arrive = () => this.other?.readyState === "open" && fire(this.other.onmessage, { data: copy });
      const late = this.#lateness();
      if (late === 0) arrive();
      else if (late !== undefined) this.pc.wire.carry(this.pc, arrive, late);
    });
  }

  #lateness(): number | undefined {
    const { wire } = this.pc;
    const late = wire.lateness(this);
    if (late === undefined || !this.ordered) return late;
    this.#after = Math.max(this.#after, wire.time.now + late);
    return this.#after - wire.time.now;
  }

  close(): void {
    if (this.readyState === "closed" || this.readyState === "closing") return;
    this.readyState = "closing";
    this.pc.wire.carry(this.pc, () => {
      const { other } = this;
      other?.end();
      this.pc.wire.carry(other?.pc ?? this.pc, () => this.end());
    });
  }

  end(): void {
    if (this.readyState === "closed") return;
    this.readyState = "closed";
    fire(this.onclose);
  }
}

function fire(handler: Handler, event: object = {}): void {
  handler?.(event as never);
}

/** One of the two ends of a link. */
export type Side = "first" | "second";

/** How a link carries messages. */
export interface LinkOptions {
  /** Seconds, one way; 0.01 by default. */
  delay?: number;
  /** The part of the messages that is lost, from 0 to 1. */
  loss?: number;
  /** Seconds that a message of an unordered channel may come later than the one after it. */
  jitter?: number;
  /** The same seed loses the same messages. */
  seed?: number;
}

/** Seconds after which a lost message of a reliable channel is sent again. */
const AGAIN = 0.2;

/** The link that connections meet on. */
export class Link {
  /** The connections that were made. @internal */
  readonly made: FakeConnection[] = [];
  /** Whether nothing passes, in either direction. `heal()` ends it. */
  cut = false;
  readonly delay: number;
  loss: number;
  jitter: number;
  /** How much later than others a message of this channel comes, in seconds; undefined: never. @internal */
  late: (channel: { ordered: boolean; reliable: boolean }) => number | undefined = () => 0;
  #random: number;
  /** Sides of which nothing comes, and to which nothing comes. */
  readonly #mute = new Set<Side>();
  readonly #deaf = new Set<Side>();
  readonly #dead = new Set<Side>();
  #held: { from: FakeConnection; arrive: () => void }[] = [];

  constructor(
    readonly time: VirtualTime,
    options: LinkOptions | number = {},
  ) {
    const { delay = 0.01, loss = 0, jitter = 0, seed = 1 } = typeof options === "number" ? { delay: options } : options;
    this.delay = delay;
    this.loss = loss;
    this.jitter = jitter;
    this.#random = seed;
  }

  /** Make a connection of one side. */
  connect(side: Side = "first"): RTCPeerConnection {
    return new FakeConnection(this, side) as unknown as RTCPeerConnection;
  }

  /** Cut what comes from one side: the link is half-open. */
  mute(side: Side): void {
    this.#mute.add(side);
  }

  /** Hold back what comes to one side. @internal */
  deafen(side: Side, deaf: boolean): void {
    if (deaf) this.#deaf.add(side);
    else this.#deaf.delete(side);
    this.#release();
  }

  /** Drop all that comes from one side and to it, for good. @internal */
  kill(side: Side): void {
    this.#dead.add(side);
  }

  /** Let everything pass again, what was held back first. */
  heal(): void {
    this.cut = false;
    this.#mute.clear();
    this.#release();
  }

  #release(): void {
    for (const { from, arrive } of this.#held.splice(0)) this.#pass(from, arrive);
  }

  #pass(from: FakeConnection, arrive: () => void): void {
    if (this.#dead.size) return;
    if (this.blocks(from)) this.#held.push({ from, arrive });
    else if (from.signalingState !== "closed" || from.other) arrive();
  }

  /** Whether nothing comes from a connection to its other side. @internal */
  blocks({ side }: FakeConnection): boolean {
    return this.cut || this.#mute.has(side) || this.#deaf.has(side === "first" ? "second" : "first");
  }

  /** Carry something, in order: all take the same time. @internal */
  carry(from: FakeConnection, arrive: () => void, delay = this.delay): void {
    this.time.later(delay, () => this.#pass(from, arrive));
  }

  /** Return how much later a message comes; undefined: never. @internal */
  lateness(channel: { ordered: boolean; reliable: boolean }): number | undefined {
    let late = this.late(channel);
    if (late === undefined) return undefined;
    while (this.loss && this.#draw() < this.loss) {
      if (!channel.reliable) return undefined;
      late += AGAIN;
    }
    return channel.ordered || !this.jitter ? late : late + this.#draw() * this.jitter;
  }

  #draw(): number {
    this.#random = (Math.imul(this.#random, 48271) >>> 0) % 2147483647;
    return this.#random / 2147483647;
  }
}

class FakeConnection {
  signalingState = "stable";
  connectionState = "new";
  iceConnectionState = "new";
  localDescription: { type: string; sdp: string } | null = null;
  sctp: { state: string; maxMessageSize: number; transport: { state: string } } | null = null;
  onnegotiationneeded: Handler = null;
  channels = new Map<number, FakeChannel>();
  other: FakeConnection | undefined;
  readonly #number: number;
  #asked = false;

  constructor(
    readonly wire: Link,
    readonly side: Side,
  ) {
    this.#number = wire.made.push(this) - 1;
  }

  createDataChannel(_label: string, { id, ordered = true, ...limits }: RTCDataChannelInit): FakeChannel {
    if (this.signalingState === "closed") throw new DOMException("closed", "InvalidStateError");
    const reliable = (limits.maxRetransmits ?? limits.maxPacketLifeTime) === undefined;
    const channel = new FakeChannel(this, id!, ordered, reliable);
    this.channels.set(channel.id, channel);
    if (this.sctp?.state === "connected") this.wire.time.later(0.001, () => channel.open());
    else if (!this.#asked) {
      this.#asked = true;
      this.wire.time.later(0, () => this.signalingState === "stable" && !this.other && fire(this.onnegotiationneeded));
    }
    return channel;
  }

  async setLocalDescription(): Promise<void> {
    const type = this.signalingState === "have-remote-offer" ? "answer" : "offer";
    this.localDescription = { type, sdp: String(this.#number) };
    this.signalingState = type === "offer" ? "have-local-offer" : "stable";
    if (type === "answer") this.#stand();
  }

  async setRemoteDescription({ type, sdp }: { type: string; sdp: string }): Promise<void> {
    this.other = this.wire.made[Number(sdp)];
    this.signalingState = type === "offer" ? "have-remote-offer" : "stable";
    if (type === "answer") this.#stand();
  }

  #stand(): void {
    this.sctp ??= { state: "connecting", maxMessageSize: 262144, transport: { state: "connecting" } };
    const check = () => {
      if (this.signalingState === "closed" || this.other?.signalingState === "closed") return;
      if (
        this.wire.blocks(this) ||
        !this.other ||
        this.wire.blocks(this.other) ||
        this.other.signalingState !== "stable" ||
        !this.other.sctp
      ) {
        this.wire.time.later(0.02, check);
        return;
      }
      // Both at once: what one sends first finds the other's channels open, as on an association.
      for (const end of [this, this.other]) {
        end.sctp!.state = end.sctp!.transport.state = "connected";
        for (const channel of end.channels.values()) channel.open();
      }
    };
    this.wire.time.later(this.wire.delay * 3, check);
  }

  restartIce(): void {
    fire(this.onnegotiationneeded);
  }

  async addIceCandidate(): Promise<void> {}

  async getStats(): Promise<Map<string, unknown>> {
    return new Map();
  }

  getSenders(): never[] {
    return [];
  }

  getTransceivers(): never[] {
    return [];
  }

  close(): void {
    if (this.signalingState === "closed") return;
    this.signalingState = "closed";
    const { other } = this;
    for (const channel of this.channels.values()) this.wire.time.later(0, () => channel.end());
    if (!other) return;
    this.wire.carry(this, () => {
      if (!other.sctp || other.signalingState === "closed") return;
      other.sctp.state = other.sctp.transport.state = "closed";
      for (const channel of other.channels.values()) channel.end();
    });
  }
}
