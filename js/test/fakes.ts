/** Peer connections of this process: descriptions carry a number, data channels a delay; the wire can be cut. */

import type { VirtualTime } from "./time.js";

type Handler = ((event: never) => void) | null;

export class FakeChannel {
  readyState = "connecting";
  binaryType = "";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  onopen: Handler = null;
  onmessage: Handler = null;
  onclose: Handler = null;
  onerror: Handler = null;
  onbufferedamountlow: Handler = null;

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
      const late = this.pc.wire.late(this);
      if (late === 0) arrive();
      else if (late !== undefined) this.pc.wire.carry(this.pc, arrive, late);
    });
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

/** What connections meet on. */
export class Wire {
  readonly made: FakeConnection[] = [];
  cut = false;
  /** How much later than others a message of this channel comes, in seconds; undefined: never. */
  late: (channel: FakeChannel) => number | undefined = () => 0;
  #held: (() => void)[] = [];

  constructor(
    readonly time: VirtualTime,
    readonly delay = 0.01,
  ) {}

  connect(): RTCPeerConnection {
    return new FakeConnection(this) as unknown as RTCPeerConnection;
  }

  /** In order: all take the same time. */
  carry(from: FakeConnection, arrive: () => void, delay = this.delay): void {
    this.time.later(delay, () => {
      if (this.cut) this.#held.push(arrive);
      else if (from.signalingState !== "closed" || from.other) arrive();
    });
  }

  heal(): void {
    this.cut = false;
    for (const arrive of this.#held.splice(0)) arrive();
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

  constructor(readonly wire: Wire) {
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
      if (this.wire.cut || this.other?.signalingState !== "stable" || !this.other.sctp) {
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
