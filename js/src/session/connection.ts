/**
 * One connection of a session: the browser's peer connection, its negotiation by signaling, and its data channels.
 *
 * Negotiation is "perfect": either side may offer at any time, and the polite side gives way. It relies only on events
 * that every browser fires (closing rules 56-63): a channel's `close`, the states of DTLS and SCTP. Not every browser
 * fires an event for the page's own `pc.close()`; a wrapper of that method notices it.
 */

import * as control from "../protocol/control.js";
import type { Candidate, Candidates, Description } from "../protocol/messages.js";
import { checkBundle } from "./bundle.js";
import type { OpenStream } from "./machine/actions.js";
import type { LossKind } from "./machine/state.js";

const MAX_BATCH = 50;
/** SCTP cause code: the peer called close() (closing rule 58). Not every browser tells it. */
const USER_INITIATED_ABORT = 12;
const LEFT = "the other side closed the connection";

/** Where a connection tells what happened: the inputs of the session machine, and signaling. */
export interface Sink {
  controlOpened(epoch: number, maxMessage: number): void;
  controlReceived(epoch: number, text: unknown): void;
  dataReceived(epoch: number, id: number, data: unknown): void;
  streamOpened(epoch: number, id: number): void;
  streamClosed(epoch: number, id: number | null): void;
  drained(epoch: number, id: number, buffered: number): void;
  connectionLost(epoch: number, kind: LossKind, text: string): void;
  iceChanged(epoch: number, state: string): void;
  negotiated(epoch: number): void;
  fresh(epoch: number, age: number | null): void;
  released(epoch: number): void;
  signal(message: Description | Candidates): void;
  /** Tracks may be added now, and are part of the next description. */
  attachMedia(pc: RTCPeerConnection): void;
  trackReceived(event: RTCTrackEvent): void;
}

export interface ConnectionInit {
  offer: boolean;
  polite: boolean;
  sink: Sink;
  /** Run something after what waits, other events too. */
  later(call: () => void): void;
}

/** See the module. `release()` ends it. */
export class Connection {
  /** Whether tracks may be added: not before the first offer, which has only the needs of the session. */
  takesMedia = false;
  readonly #sink: Sink;
  readonly #polite: boolean;
  readonly #later: (call: () => void) => void;
  readonly #close: () => void;
  #released = false;
  /** The control channel was open: from then on a transport that closes was closed by the other side. */
  #stood = false;
  #lost = false;
  /** The last remote offer was ignored: its candidates are too. */
  #ignored = false;
  /** The last offer of the other side that was answered. */
  #answered: string | undefined;
  /** The `o=` line of the other side's last answer: it tells one that is said again from a new one. */
  #accepted: string | undefined;
  #makingOffer = false;
  /** The polite side's offer that is set when it is answered. */
  #offered: RTCSessionDescriptionInit | undefined;
  /** A new ICE path is to be offered, and has not been answered. */
  #restarting = false;
  #control: RTCDataChannel | undefined;
  #streams = new Map<number, RTCDataChannel>();
  /** The channels' own `close()`: the page's call is another. */
  #closeOf = new WeakMap<RTCDataChannel, () => void>();
  /** The page closed a channel of the session. */
  #closedHere = false;
  /** Streams to be made once the first offer has come (it asks for the association they need). */
  #wanted: OpenStream[] | undefined;
  /** Negotiation is done one step after the other. */
  #working: Promise<void> = Promise.resolve();
  #batch: Candidate[] = [];
  /** The last error of the control channel or of DTLS: it says how the connection ended. */
  #error: RTCError | undefined;

  constructor(
    readonly epoch: number,
    readonly pc: RTCPeerConnection,
    { offer, polite, sink, later }: ConnectionInit,
  ) {
    this.#polite = polite;
    this.#sink = sink;
    this.#later = later;
    this.#wanted = offer ? undefined : [];
    Object.assign(pc, { [Symbol.for("adieu.session")]: true }); // `goodbye()` leaves it alone
    this.#close = pc.close.bind(pc);
    pc.close = () => {
      this.#close();
      this.#lose("closed", "the connection was closed by this page");
    };
    pc.onnegotiationneeded = () => this.#do(() => this.#negotiate());
    pc.onicecandidate = ({ candidate }) => this.#candidate(candidate);
    pc.oniceconnectionstatechange = () => sink.iceChanged(epoch, pc.iceConnectionState);
    pc.onconnectionstatechange = () => this.#dtlsChanged();
    pc.ontrack = (event) => sink.trackReceived(event);
    if (offer) {
      this.#openControl();
      this.#attachMedia();
    }
  }

  // --- what the session asks ------------------------------------------------------------------------------------

  /** Make a negotiated data channel. */
  openStream(stream: OpenStream): void {
    if (this.#wanted) {
      this.#wanted.push(stream);
      return;
    }
    const { maxRetransmits, maxPacketLifeTime } = stream.reliability;
    const channel = this.#makeChannel(stream.name, {
      id: stream.id,
      ordered: stream.ordered,
      ...(maxRetransmits != null && { maxRetransmits }),
      ...(maxPacketLifeTime != null && { maxPacketLifeTime }),
    });
    if (!channel) return;
    const { epoch } = this;
    const { id } = stream;
    this.#streams.set(id, channel);
    channel.onopen = () => this.#sink.streamOpened(epoch, id);
    channel.onmessage = ({ data }) => this.#sink.dataReceived(epoch, id, data);
    channel.onclose = () => this.#streamClosed(id);
  }

  #makeChannel(label: string, init: RTCDataChannelInit): RTCDataChannel | undefined {
    try {
      const channel = this.pc.createDataChannel(label, { ...init, negotiated: true, protocol: control.PROTOCOL });
      channel.binaryType = "arraybuffer";
      const close = channel.close.bind(channel);
      this.#closeOf.set(channel, close);
      channel.close = () => {
        this.#closedHere = true;
        close();
      };
      return channel;
    } catch (error) {
      queueMicrotask(() => this.#lose("failed", `no data channel: ${error}`));
      return undefined;
    }
  }

  /** Send on the control channel; a failure is a lost connection. */
  sendControl(text: string): void {
    this.#send(this.#control, text);
  }

  /** Send on a session channel's data channel. */
  sendData(id: number, data: Uint8Array<ArrayBuffer>): void {
    this.#send(this.#streams.get(id), data);
  }

  #send(channel: RTCDataChannel | undefined, data: string | Uint8Array<ArrayBuffer>): void {
    if (channel?.readyState !== "open") return; // its close event is on the way, and says so
    try {
      channel.send(data as string);
    } catch (error) {
      queueMicrotask(() => this.#lose("failed", `cannot send: ${error}`));
    }
  }

  /** Report `drained` once the data channel buffers at most `most` bytes. */
  askDrained(id: number, most: number): void {
    const channel = this.#streams.get(id);
    if (!channel) return;
    const drained = () => {
      channel.onbufferedamountlow = null;
      if (!this.#released) this.#sink.drained(this.epoch, id, channel.bufferedAmount);
    };
    if (channel.bufferedAmount <= most) {
      queueMicrotask(drained);
    } else {
      channel.bufferedAmountLowThreshold = most;
      channel.onbufferedamountlow = drained;
    }
  }

  /** Close a data channel (null: the control channel) by the closing procedure. */
  closeStream(id: number | null): void {
    this.#wanted = this.#wanted?.filter((stream) => stream.id !== id);
    const channel = id === null ? this.#control : this.#streams.get(id);
    if (channel && channel.readyState !== "closed") this.#closeOf.get(channel)?.();
    else queueMicrotask(() => this.#sink.streamClosed(this.epoch, id));
  }

  /** Offer a new ICE path. */
  restartIce(): void {
    this.#restarting = true;
    this.pc.restartIce();
  }

  /** Tell `fresh`: seconds since the last packet of the other side, null if that is not known. */
  async askFresh(): Promise<void> {
    let age: number | null = null;
    const report = await this.pc.getStats().catch(() => undefined);
    report?.forEach((stats) => {
      if (stats.type !== "candidate-pair" || !stats.nominated || stats.lastPacketReceivedTimestamp == null) return;
      const seconds = (stats.timestamp - stats.lastPacketReceivedTimestamp) / 1000;
      age = age === null ? seconds : Math.min(age, seconds);
    });
    if (!this.#released) this.#sink.fresh(this.epoch, age);
  }

  /** Close the peer connection. `released` is reported when nothing of it is left here. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    const { pc } = this;
    pc.close = this.#close;
    pc.onnegotiationneeded = pc.onicecandidate = pc.oniceconnectionstatechange = null;
    pc.onconnectionstatechange = pc.ontrack = null;
    if (pc.sctp) pc.sctp.transport.onstatechange = pc.sctp.transport.onerror = null;
    for (const channel of [this.#control, ...this.#streams.values()]) {
      if (!channel) continue;
      channel.onopen = channel.onmessage = channel.onclose = channel.onerror = channel.onbufferedamountlow = null;
    }
    this.#streams.clear();
    this.#control = undefined;
    this.#close();
    queueMicrotask(() => this.#sink.released(this.epoch));
  }

  // --- signaling ------------------------------------------------------------------------------------------------

  /** A description or candidates of the other side, for this connection. */
  signaled(message: Description | Candidates): void {
    this.#do(() => (message.type === "description" ? this.#apply(message) : this.#add(message)));
  }

  #do(job: () => Promise<void>): void {
    this.#working = this.#working.then(async () => {
      if (this.#released) return;
      try {
        await job();
      } catch (error) {
        this.#lose("failed", `negotiation failed: ${error}`);
      }
    });
  }

  async #negotiate(): Promise<void> {
    const { pc } = this;
    if (pc.signalingState !== "stable" || this.#offered) return; // asked again when it is stable
    if (this.#polite && pc.currentRemoteDescription && !this.#restarting) {
      // What gives way is forgotten, not rolled back: Chromium remembers from an offer that was rolled back which RTP
      // header extension had which id, and refuses the other side's ids. The first offer meets none, and a new ICE path
      // is looked for at once.
      this.#offered = await pc.createOffer();
      this.#say(this.#offered);
      return;
    }
    this.#makingOffer = true;
    try {
      await pc.setLocalDescription();
    } finally {
      this.#makingOffer = false;
    }
    this.#sayDescription();
  }

  async #apply({ sdpType, sdp }: Description): Promise<void> {
    const { pc } = this;
    const offer = sdpType === "offer";
    if (pc.signalingState === "stable" && this.#knows(offer, sdp)) return;
    this.#ignored = !this.#polite && offer && (this.#makingOffer || pc.signalingState !== "stable");
    if (this.#ignored) return;
    const [origin] = (!offer && /^o=.*/m.exec(sdp)) || [];
    if (origin && origin === this.#accepted) return; // said again: it answers the offer before this one
    checkBundle(sdp);
    const offered = this.#offered;
    this.#offered = undefined;
    if (!offer && !offered) this.#restarting = false;
    if (!offer && offered) await pc.setLocalDescription(offered);
    await pc.setRemoteDescription({ type: sdpType, sdp });
    this.#accepted = origin ?? this.#accepted;
    if (offer && !this.#released) {
      this.#openWanted();
      await pc.setLocalDescription();
      this.#answered = sdp;
      this.#sayDescription();
    }
    if (pc.signalingState !== "stable" || this.#released) return;
    this.#watch();
    this.#sink.negotiated(this.epoch);
  }

  /** Whether it was said before: signaling of a page's own may say things twice, and lose the answer. */
  #knows(offer: boolean, sdp: string): boolean {
    if (!offer) return !this.#offered; // else nothing waits for an answer
    if (sdp !== this.#answered) return false;
    if (this.pc.localDescription?.type === "answer") this.#sayDescription();
    return true;
  }

  async #add({ candidates }: Candidates): Promise<void> {
    for (const candidate of candidates) {
      try {
        await this.pc.addIceCandidate(candidate);
      } catch (error) {
        // One that can not be used: others may do, and the path's own limits say when none does.
        if ((error as DOMException).name === "OperationError") continue;
        if (!this.#ignored && !this.#released) throw error;
      }
    }
  }

  #sayDescription(): void {
    const description = this.pc.localDescription;
    if (!description || this.#released) return;
    this.#say(description);
    this.#flush();
  }

  #say({ type, sdp = "" }: RTCSessionDescriptionInit): void {
    if (!this.#released) this.#sink.signal({ type: "description", epoch: this.epoch, sdpType: type, sdp });
  }

  #candidate(candidate: RTCIceCandidate | null): void {
    if (!candidate?.candidate) return;
    if (!this.#batch.length) this.#later(() => this.#flush());
    const { candidate: line, sdpMid, sdpMLineIndex, usernameFragment } = candidate;
    this.#batch.push({ candidate: line, sdpMid, sdpMLineIndex, usernameFragment });
  }

  #flush(): void {
    // Not before the description that they belong to: the other side would not know what to do with them.
    if (this.#released || this.#makingOffer || !this.pc.localDescription) return;
    for (let at = 0; at < this.#batch.length; at += MAX_BATCH) {
      this.#sink.signal({ type: "candidates", epoch: this.epoch, candidates: this.#batch.slice(at, at + MAX_BATCH) });
    }
    this.#batch = [];
  }

  // --- what happens to it ---------------------------------------------------------------------------------------

  #openWanted(): void {
    const wanted = this.#wanted;
    if (!wanted) return;
    this.#wanted = undefined;
    this.#openControl();
    for (const stream of wanted) this.openStream(stream);
    this.#attachMedia();
  }

  #attachMedia(): void {
    this.takesMedia = true;
    this.#sink.attachMedia(this.pc);
  }

  #openControl(): void {
    const channel = this.#makeChannel(control.LABEL, { id: control.CONTROL_ID });
    if (!channel) return;
    this.#control = channel;
    channel.onopen = () => {
      this.#stood = true;
      const size = this.pc.sctp?.maxMessageSize ?? control.MAX_FRAGMENT;
      this.#sink.controlOpened(this.epoch, Math.min(size, control.MAX_FRAGMENT));
    };
    channel.onmessage = ({ data }) => this.#sink.controlReceived(this.epoch, data);
    channel.onerror = ({ error }) => {
      this.#error = error;
    };
    channel.onclose = () => this.#channelClosed(() => this.#sink.streamClosed(this.epoch, null));
  }

  #streamClosed(id: number): void {
    this.#channelClosed(() => {
      if (this.#streams.delete(id)) this.#sink.streamClosed(this.epoch, id);
    });
  }

  /** A channel is closed: by its procedure, or because the association has ended (closing rules 43, 56). */
  #channelClosed(byProcedure: () => void): void {
    const { sctp, signalingState } = this.pc;
    const error = this.#error;
    if (this.#lost || this.#released) return;
    if (signalingState === "closed") this.#lose("closed", "the connection was closed by this page");
    else if (sctp?.transport.state === "failed") this.#dtlsChanged();
    else if (error && error.sctpCauseCode !== USER_INITIATED_ABORT) this.#lose("failed", error.message);
    else if (error || sctp?.state === "closed") this.#lose("left", LEFT);
    else if (this.#closedHere) this.#lose("closed", "this page closed a data channel of the session");
    else byProcedure();
  }

  /** The transport that stays is known when both descriptions are; bundling closes the others. */
  #watch(): void {
    const transport = this.pc.sctp?.transport;
    if (!transport) return;
    transport.onstatechange = () => this.#dtlsChanged();
    transport.onerror = (event) => {
      this.#error = (event as RTCErrorEvent).error;
    };
  }

  #dtlsChanged(): void {
    const state = this.pc.sctp?.transport.state;
    if (state === "closed" && this.#stood && this.pc.signalingState !== "closed") this.#lose("left", LEFT);
    if (state !== "failed") return;
    const forged = this.#error?.errorDetail === "fingerprint-failure";
    this.#lose(forged ? "security" : "failed", this.#error?.message ?? "DTLS failed");
  }

  #lose(kind: LossKind, text: string): void {
    if (this.#released || this.#lost) return;
    this.#lost = true;
    this.#sink.connectionLost(this.epoch, kind, text);
  }
}
