/**
 * A session: the browser's shell around the session machine.
 *
 * Everything the machine is told and everything it asks for passes through `step`: what happened goes in, what is to be
 * done is done at once and in order, what is to be told is told to handlers and to those who wait.
 */

import { checked, hex, sendable } from "../bytes.js";
import {
  ChannelError,
  NotAdieuPeerError,
  ResetFailedError,
  SessionClosedError,
  SignalingLostError,
} from "../errors.js";
import { browser, type Platform } from "../platform.js";
import { abortable, Deferred } from "../promises.js";
import { decode } from "../protocol/codec.js";
import type { Level } from "../protocol/control.js";
import {
  type Candidates,
  type Description,
  type FromClient,
  fromClientType,
  type Reliability,
} from "../protocol/messages.js";
import { encodeBody, type Relayed } from "../protocol/signaling.js";
import type { Signaling } from "../signaling/memory.js";
import { Channel, type WaitOptions } from "./channel.js";
import { Connection, type Sink } from "./connection.js";
import { Emitter, type Handler, type ListenerOptions, settleCurrent } from "./emitter.js";
import type { SessionEvents } from "./events.js";
import { type Held, Ledger, whereMade } from "./ledger.js";
import type { Action, Event, ResetEnded, StateName } from "./machine/actions.js";
import type { Presence } from "./machine/cause.js";
import { Remembered } from "./machine/flow.js";
import { NOT_ADIEU, SessionMachine } from "./machine/machine.js";
import { DEFAULTS, type Options, type RecoveryPolicy } from "./machine/options.js";
import { type Kind, Media } from "./media.js";
import { sentence } from "./notice.js";
import { watchPage } from "./page.js";
import { CloseReceipt, type ResetReport } from "./receipt.js";
import { type Direction, Recorder } from "./recorder.js";
import { slots } from "./slots.js";
import { type SendFileOptions, type Transfer, Transfers } from "./transfer.js";

/** Milliseconds: after the end, handlers that still run may finish. */
const HANDLERS_FINISH = 1000;
/** Seconds: an offer over signaling of the page's own, to which nothing has come back, is said again. */
const SAY_AGAIN = 1;
const EVENTS: Record<keyof SessionEvents, true> = {
  state: true,
  closing: true,
  closed: true,
  channel: true,
  file: true,
  signaling: true,
  reset: true,
  track: true,
  media: true,
  devices: true,
};
/** Of this page: messages sent again after a session ended are known again by the next one. */
export const REMEMBERED = new Remembered();

/** Asked while this side closes and the other wants more time; `milliseconds` more are granted by true. */
export type OnWait = (reason: string, milliseconds: number) => boolean;

export interface OpenOptions extends WaitOptions {
  /** Messages come in the order they were sent; true by default. */
  ordered?: boolean;
  /** Unreliable: how often a lost piece is sent again. */
  maxRetransmits?: number;
  /** Unreliable: milliseconds after which a lost piece is given up. */
  maxPacketLifeTime?: number;
}

export interface CloseOptions {
  /** A few words for the people on the other side. */
  reason?: string;
  /** Milliseconds for everything, 5000 by default. What has not arrived by then is in the receipt. 0: at once. */
  timeout?: number;
  /** When it is aborted for the last one who waits, the close goes on abruptly, with its receipt kept. */
  signal?: AbortSignal;
}

export interface ResetOptions {
  /** A new network path; a new connection beside the old one (the default); the old one closed first, devices asked
   * again. */
  level?: Level;
  /** Ends the wait; the reset goes on, the session owns it. */
  signal?: AbortSignal;
}

export interface SessionInit {
  /**
   * Makes a new RTCPeerConnection, each time one is needed: the first time, and for each reset. One that is in use
   * already can not become a session's: the session ends at once and says so.
   */
  connect: () => RTCPeerConnection;
  /** Carries messages to the other side's session, in order. */
  signaling: Signaling;
  /** `first` on one side, `second` on the other. */
  role: "first" | "second";
  /** What people call the other side. */
  name?: string;
  /** Numbers, see `DEFAULTS`; times there are seconds. */
  options?: Partial<Options>;
  onWait?: OnWait;
  platform?: Platform;
}

/** How a session's signaling messages travel. @internal */
export interface Post {
  /** The other side's peer id at the server. */
  peer: string;
  start(): void;
  stop(): void;
  /** Queue a message; never throws for the state of the network. */
  send(message: Relayed): void;
  /** Ask whether the other side is there; `Session.probed` is called with what is learnt. */
  probe(): void;
  /** The other side says in-band that it has a new peer id. */
  moved(peer: string): void;
  /** The session is in another state. */
  stateChanged(): void;
}

/** What a room makes its sessions of. @internal */
export interface SessionParts {
  machine: SessionMachine;
  connect: () => RTCPeerConnection;
  post: Post;
  name: string;
  onWait: OnWait | undefined;
  platform: Platform;
}

/**
 * The link of two peers, which outlives its connections, ends with a receipt, and can be reset any number of times.
 *
 * `room.session()` gives those of a room. By itself, over any signaling of your own:
 * `new Session({ connect: () => new RTCPeerConnection(), signaling: mine, role: "first" })`, then `start()`.
 */
export class Session extends Emitter<SessionEvents> {
  /** For those who need more of it. */
  readonly machine: SessionMachine;
  /** What people call the other side. */
  readonly name: string;
  /** How it ended; undefined before. */
  receipt: CloseReceipt | undefined;
  signalingUp = true;
  readonly #platform: Platform;
  readonly #connect: () => RTCPeerConnection;
  readonly #post: Post;
  readonly #onWait: OnWait | undefined;
  readonly #where = whereMade();
  readonly #connections = new Map<number, Connection>();
  readonly #channels = new Map<string, Channel>();
  readonly #recorder = new Recorder();
  readonly #transfers = new Transfers(this);
  readonly #media: Media;
  readonly #open = new Deferred<void>();
  readonly #ended = new Deferred<CloseReceipt>();
  #resetWaiters: Deferred<ResetReport>[] = [];
  #cancelTimer: (() => void) | undefined;
  #timerAt: number | undefined;
  #unwatch: (() => void) | undefined;
  #settling = false;
  #started = false;
  #closers = 0;
  /** The page goes away: what is to be closed when all is said. */
  #releases: (() => void)[] | undefined;
  #lastWords = false;
  /** The devices were asked again for the reset that is under way. */
  #renewed = false;

  constructor(init: SessionInit | SessionParts) {
    super("a session", EVENTS);
    const parts = "machine" in init ? init : partsOf(init);
    this.machine = parts.machine;
    this.name = parts.name;
    this.#connect = parts.connect;
    this.#post = parts.post;
    this.#onWait = parts.onWait;
    this.#platform = parts.platform;
    this.#media = new Media({
      getUserMedia: (constraints) => this.#platform.getUserMedia(constraints),
      connections: () => [...this.#connections.values()].filter(({ takesMedia }) => takesMedia).map(({ pc }) => pc),
      active: () => this.#connections.get(this.epoch)?.pc,
      sayMedia: (media) => this.step((now) => this.machine.sayMedia(media, now)),
    });
    this.machine.options.recovery = frugal(this.machine.options.recovery);
    if (this.#post instanceof DirectPost) {
      this.#post.session = this;
      this.#unwatch = watchPage({
        connected: () => !!this.pc,
        leave: (cause) => this.leavePage(cause)(),
        resume: (restored) => this.resumePage(restored),
      });
    }
  }

  // --- life -----------------------------------------------------------------------------------------------------

  /** Begin to connect. A room does it by itself. */
  start(): this {
    if (!this.#started) {
      this.#started = true;
      this.#post.start();
      this.step((now) => this.machine.start(now));
    }
    return this;
  }

  /**
   * The page goes away: the other side is told in-band and by signaling.
   *
   * @returns closes the connection: to be called last, as a close drops what has not left yet (closing rule 70).
   * @internal
   */
  leavePage(cause: string): () => void {
    const releases: (() => void)[] = [];
    this.#releases = releases;
    this.step((now) => this.machine.abort(now, { code: cause }));
    this.#releases = undefined;
    return () => {
      for (const release of releases) release();
      this.#media.close();
    };
  }

  /** The page is back. Connections do not survive it when it was put aside. @internal */
  resumePage(restored: boolean): void {
    this.#arm();
    if (!restored || this.receipt) return;
    // How it went is told by the events `reset` and `state`.
    this.reset({ level: this.#media.broken ? "full" : "transport" }).catch(() => undefined);
  }

  // --- what it is -----------------------------------------------------------------------------------------------

  /** The session's id: the same on both sides, and for its whole life. */
  get id(): string {
    return this.machine.session;
  }

  /** This side's peer id. */
  get me(): string {
    return this.machine.me;
  }

  /** The other side's peer id. */
  get peer(): string {
    return this.machine.peer;
  }

  /** The other side's peer id at the server, if that was restarted; else `peer`. @internal */
  get peerNow(): string {
    return this.#post.peer || this.machine.peer;
  }

  get state(): StateName {
    return this.machine.state;
  }

  /** The number of the connection that carries the session; 0 if there is none at the moment. */
  get epoch(): number {
    return this.machine.active ?? 0;
  }

  /** The W3C connection of the moment: plain channels are added there. Undefined before and after. */
  get pc(): RTCPeerConnection | undefined {
    const active = this.#connections.get(this.epoch) ?? [...this.#connections.values()].at(-1);
    return active?.pc;
  }

  /** The channels that stand or are being opened, by name. */
  get channels(): ReadonlyMap<string, Channel> {
    return this.#channels;
  }

  // --- what people do with it -----------------------------------------------------------------------------------

  /**
   * Wait until it is connected.
   *
   * @throws SessionClosedError it ended before.
   * @throws NotAdieuPeerError the other side does not speak adieu.
   */
  waitOpen({ signal }: WaitOptions = {}): Promise<void> {
    return abortable(this.#open.promise, signal);
  }

  /**
   * A named channel; the same name on both sides is the same channel.
   *
   * @param name 1 to 128 characters.
   * @throws ChannelError the other side wants it differently.
   * @throws SessionClosedError the session has ended, or is closing.
   * @throws TypeError a wrong name. RangeError: a wrong number.
   */
  async open(name: string, { ordered = true, signal, ...reliability }: OpenOptions = {}): Promise<Channel> {
    const said = checked("a channel's name", name, 1, 128);
    checkReliability(reliability);
    signal?.throwIfAborted();
    this.step((now) => this.machine.openChannel(said, { ordered, reliability }, now));
    const channel = this.#channel(said);
    await channel.waitOpened(signal);
    return channel;
  }

  #channel(name: string): Channel {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = new Channel(this, name);
      this.#channels.set(name, channel);
      if (this.machine.channels.get(name)?.open) channel.opened.resolve();
    }
    return channel;
  }

  /**
   * Close gracefully: announce, drain, close the channels, close the connection, clean up.
   *
   * Inside a `closing` handler it also says that this side has no more last words.
   *
   * @param options or the reason alone: `close("done")`.
   * @returns the receipt; the same again if it has ended already.
   * @throws RangeError a negative timeout. TypeError: a reason that is no text.
   */
  async close(options: CloseOptions | string = {}): Promise<CloseReceipt> {
    const { reason = "", timeout, signal } = optionsOf("close", "reason", options);
    settleCurrent();
    if (this.receipt) return this.receipt;
    const seconds = timeout === undefined ? this.machine.options.closeTimeout : timeout / 1000;
    if (!(seconds >= 0 && seconds < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`timeout=${timeout}: 0 or more milliseconds`);
    }
    if (typeof reason !== "string") throw new TypeError(`a reason must be text, not ${typeof reason}`);
    this.start();
    this.step((now) => this.machine.askClose({ code: "left", text: sendable(reason, 1024) }, seconds, now));
    if (this.#lastWords) this.#lastWordsOver();
    this.#closers++;
    try {
      return await abortable(this.#ended.promise, signal);
    } catch (error) {
      if (this.#closers === 1) this.step((now) => this.machine.abort(now));
      throw error;
    } finally {
      this.#closers--;
    }
  }

  /** Wait for the end, whoever brings it: the receipt. */
  waitClosed({ signal }: WaitOptions = {}): Promise<CloseReceipt> {
    settleCurrent();
    return abortable(this.#ended.promise, signal);
  }

  /**
   * Renew what is under the session; channels and messages stay, nothing is lost or doubled.
   *
   * @param options or the level alone: `reset("full")`.
   * @returns how it went. A second call joins a running reset; a higher level raises it.
   * @throws ResetFailedError it was given up; the session goes on, or recovers, as its state says.
   * @throws SessionClosedError the session is closing or has ended.
   * @throws TypeError no such level.
   */
  async reset(options: ResetOptions | Level = {}): Promise<ResetReport> {
    const { level = "transport", signal } = optionsOf<ResetOptions>("reset", "level", options);
    if (!["ice", "transport", "full"].includes(level)) {
      throw new TypeError(`level=${level}: "ice", "transport" or "full"`);
    }
    await this.waitOpen({ signal });
    const done = new Deferred<ResetReport>();
    this.#resetWaiters.push(done);
    try {
      this.step((now) => this.machine.askReset(level, now));
    } catch (error) {
      this.#resetWaiters = this.#resetWaiters.filter((waiter) => waiter !== done);
      throw error;
    }
    return abortable(done.promise, signal);
  }

  /**
   * Send a camera, a microphone, or any stream, now and after each reset.
   *
   * Given constraints, the devices are asked, and belong to the session: a close stops them, their clones, and an answer
   * that comes too late; a `full` reset asks for them again. A stream stays the page's.
   *
   * @throws DOMException what `getUserMedia` says: `NotAllowedError`, `NotFoundError`, …; `AbortError`: the session was
   * closed or reset while the devices were asked.
   */
  addStream(what: MediaStream | MediaStreamConstraints = { audio: true, video: true }): Promise<MediaStream> {
    if (this.machine.state === "closed") return Promise.reject(this.#endingError());
    return this.#media.add(what);
  }

  /**
   * Send another track in the place of one; the old one is stopped if it was the session's.
   *
   * @throws TypeError the old track is not sent, or they are of different kinds.
   */
  replace(old: MediaStreamTrack, now: MediaStreamTrack): Promise<void> {
    return this.#media.replace(old, now);
  }

  /** Send silence or black, and say so to the other side; the device stays on. Until `mute(what, false)`. */
  mute(what: Kind | MediaStreamTrack, muted = true): void {
    this.#media.mute(what, muted);
  }

  /**
   * Offer a file to the other side; see `Transfer`.
   *
   * @throws SessionClosedError the session has ended.
   * @throws TypeError a name of none or more than 255 characters.
   */
  sendFile(file: Blob, options: SendFileOptions = {}): Promise<Transfer> {
    return this.#transfers.send(file, options);
  }

  /** What is still held, and where it was made. */
  ledger(): Ledger {
    const held: Held[] = [];
    const add = (kind: Held["kind"], what: string, count: number) => {
      if (count) held.push({ kind, what, where: this.#where, count });
    };
    add("connection", "of this session", this.#connections.size);
    held.push(...this.#media.held());
    let handlers = this.handlers;
    for (const channel of this.#channels.values()) handlers += channel.handlers;
    add("listener", "of the session and its channels", handlers);
    add("timer", "the session's clock", this.#cancelTimer ? 1 : 0);
    add("transfer", "files under way", this.#transfers.count);
    return new Ledger(held);
  }

  /** The flight recorder: the last things that happened. */
  recording(): Recorder {
    return this.#recorder;
  }

  // --- the machine ----------------------------------------------------------------------------------------------

  /** Tell the machine something; then do and tell what it wants. @internal */
  step<T>(call: (now: number) => T): T {
    const result = call(this.#platform.now());
    this.#settle();
    return result;
  }

  #settle(): void {
    if (this.#settling) return; // what an action brings about is done by the loop that is doing it
    this.#settling = true;
    const { machine } = this;
    try {
      for (;;) {
        const action = machine.pollAction();
        const event = action ? undefined : machine.pollEvent();
        if (action) this.#do(action);
        else if (event) this.#tell(event);
        else break;
      }
    } finally {
      this.#settling = false;
    }
    this.#arm();
  }

  #arm(): void {
    const when = this.machine.pollTimeout();
    if (when === this.#timerAt && this.#cancelTimer) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerAt = when;
    if (when !== undefined)
      this.#cancelTimer = this.#platform.later(when - this.#platform.now(), () => this.#due(when));
  }

  #due(when: number): void {
    this.#cancelTimer = undefined;
    const now = this.#platform.now();
    // A timer may come a little early; a page that was frozen has time that its timers do not know of.
    if (when - now < 0.005) this.step(() => this.machine.handleTimeout(Math.max(now, when)));
    else this.#arm();
  }

  #note(direction: Direction, text: string): void {
    this.#recorder.note(this.#platform.now(), direction, text);
  }

  #do(action: Action): void {
    switch (action.type) {
      case "Connect":
        this.#makeConnection(action.epoch, action.offer);
        return;
      case "Signal":
        this.#signal(action.word);
        return;
      case "Probe":
        this.#post.probe();
        return;
    }
    const connection = this.#connections.get(action.epoch);
    switch (action.type) {
      case "SendData":
        connection?.sendData(action.id, action.data);
        break;
      case "SendControl":
        this.#note(">", action.text);
        connection?.sendControl(action.text);
        break;
      case "AskDrained":
        connection?.askDrained(action.id, action.most);
        break;
      case "OpenStream":
        connection?.openStream(action);
        break;
      case "CloseStream":
        connection?.closeStream(action.id);
        break;
      case "RestartIce":
        connection?.restartIce();
        break;
      case "AskFresh":
        void connection?.askFresh();
        break;
      case "Release":
        if (connection && this.#releases) this.#releases.push(() => connection.release());
        else if (connection) connection.release();
        else queueMicrotask(() => this.#released(action.epoch));
    }
  }

  #makeConnection(epoch: number, offer: boolean): void {
    this.#note("=", `connection ${epoch} is made`);
    let pc: RTCPeerConnection;
    try {
      pc = slots.make(() => newConnection(this.#connect(), this.#connections.values()));
    } catch (error) {
      this.#note("!", `connection ${epoch}: ${error}`);
      this.machine.cannotConnect(epoch, (error as Error).message, this.#platform.now());
      return;
    }
    const connection = new Connection(epoch, pc, {
      offer,
      polite: this.machine.smaller,
      sink: this.#sink(),
      later: (call) => this.#platform.later(0, call),
    });
    this.#connections.set(epoch, connection);
  }

  #tell(event: Event): void {
    switch (event.type) {
      case "Readable":
      case "Acknowledged":
        this.#channels.get(event.name)?.changed();
        break;
      case "StateChanged": {
        const { state, previous, cause, evidence } = event;
        this.#note("=", `${state} ${cause}`.trimEnd());
        this.#post.stateChanged();
        if (state === "open") {
          this.#open.resolve();
          this.#media.sayAgain();
        }
        void this.emit("state", { state, previous, cause, evidence });
        break;
      }
      case "ChannelOpened": {
        const known = this.#channels.has(event.name);
        const channel = this.#channel(event.name);
        channel.opened.resolve();
        if (event.incoming && !known && !this.#transfers.owns(event.name)) void this.emit("channel", { channel });
        break;
      }
      case "ChannelFailed":
        this.#channels.get(event.name)?.opened.reject(new ChannelError(event.message));
        this.#channels.delete(event.name);
        break;
      case "ClosingAsked": {
        this.#lastWords = true;
        const timeout = (event.deadline - this.#platform.now()) * 1000;
        const wait = (milliseconds: number, reason = "") => {
          if (!(milliseconds >= 0 && milliseconds < Number.POSITIVE_INFINITY)) {
            throw new RangeError(`${milliseconds} more milliseconds: 0 or more`);
          }
          this.step((now) => this.machine.askWait(reason, milliseconds / 1000, now));
        };
        void this.emit("closing", { reason: event.reason, timeout, wait }).then(() => this.#lastWordsOver());
        break;
      }
      case "WaitAsked":
        if (this.#onWait?.(event.reason, event.eta * 1000)) this.machine.grantWait(event.eta, this.#platform.now());
        break;
      case "ResetStarted":
        void this.emit("reset", { level: event.level, asker: event.asker });
        this.#renewed = false;
        if (event.level === "full") void this.#renew(event.asker === this.me);
        break;
      case "ResetEnded":
        this.#resetEnded(event);
        break;
      case "FileSaid":
        this.#transfers.said(event.file);
        break;
      case "MediaSaid":
        void this.emit("media", { media: event.media });
        break;
      case "PeerMoved":
        this.#post.moved(event.peer);
        break;
      case "Ended":
        this.#finish();
    }
  }

  /** The reset itself goes on without a device that is refused now. */
  async #renew(mine: boolean): Promise<void> {
    this.#renewed = true;
    const lost = await this.#media.renew(mine);
    if (!lost.missing.length) return;
    this.#note("!", `the devices were not given again: ${lost.error}`);
    void this.emit("devices", lost);
  }

  #lastWordsOver(): void {
    this.#lastWords = false;
    this.step((now) => this.machine.lastWordsOver(now));
  }

  #resetEnded({ level, asker, epoch, duration, replayed, error }: ResetEnded): void {
    const report: ResetReport = { level, asker, epoch, duration, replayed };
    if (error) {
      void this.emit("reset", { level, asker, error });
      // Who waits for it waits for the one that follows.
      if (error.startsWith("raised to") || error === "tried again") return;
    } else {
      void this.emit("reset", { level, asker, report });
      if (level === "full" && !this.#renewed) void this.#renew(asker === this.me); // raised on the way
      this.#transfers.reconnected();
    }
    const waiters = this.#resetWaiters;
    this.#resetWaiters = [];
    for (const waiter of waiters) {
      if (error) waiter.reject(new ResetFailedError(`the reset (${level}) failed: ${error}`, report));
      else waiter.resolve(report);
    }
  }

  /** The machine is done: the receipt, and an answer for everybody who waits. */
  #finish(): void {
    const outcome = this.machine.outcome!;
    this.#arm();
    this.#media.close();
    this.#transfers.end(outcome.reason.text || outcome.cause);
    const senders = new Map([...this.machine.channels].map(([name, { sender }]) => [name, sender]));
    const held = [...this.#connections.keys()].map(
      (epoch): Held => ({ kind: "connection", what: `connection ${epoch}`, where: this.#where, count: 1 }),
    );
    this.receipt = new CloseReceipt(
      outcome,
      new Ledger(held),
      sentence(outcome, this.name),
      senders,
      this.#transfers.arrived,
    );
    this.#note("=", this.receipt.notice);
    const error = this.#endingError();
    this.#open.reject(error);
    for (const channel of this.#channels.values()) {
      channel.opened.reject(error);
      channel.changed();
    }
    for (const waiter of this.#resetWaiters) waiter.reject(error);
    this.#resetWaiters = [];
    this.#ended.resolve(this.receipt);
    void this.emit("closed", { receipt: this.receipt });
    void this.#cleanUp();
  }

  /** Let the handlers that still run finish for a moment, then forget them. */
  async #cleanUp(): Promise<void> {
    this.#unwatch?.();
    const patience = new Deferred<void>();
    const cancel = this.#platform.later(HANDLERS_FINISH / 1000, () => patience.resolve());
    await Promise.race([this.settled, patience.promise]);
    cancel();
    this.#post.stop();
    this.clear();
    for (const channel of this.#channels.values()) channel.forget();
  }

  #endingError(): SessionClosedError {
    const { notice, reason } = this.receipt!;
    const Kind = reason.text === NOT_ADIEU ? NotAdieuPeerError : SessionClosedError;
    return new Kind(notice, this.receipt);
  }

  // --- what connections tell ------------------------------------------------------------------------------------

  #sink(): Sink {
    const { machine } = this;
    const note = (epoch: number, direction: Direction, text: string) =>
      this.#note(direction, `connection ${epoch}: ${text}`);
    return {
      controlOpened: (epoch, maxMessage) => this.step((now) => machine.controlOpened(epoch, maxMessage, now)),
      controlReceived: (epoch, text) => {
        if (typeof text !== "string") {
          this.step((now) => machine.endByViolation(now, "bytes on the control channel"));
          return;
        }
        this.#note("<", text);
        this.step((now) => machine.controlReceived(epoch, text, now));
      },
      dataReceived: (epoch, id, data) =>
        this.step((now) => {
          if (data instanceof ArrayBuffer) machine.dataReceived(epoch, id, new Uint8Array(data), now);
          else machine.endByViolation(now, "text on a session channel");
        }),
      streamOpened: (epoch, id) => this.step((now) => machine.streamOpened(epoch, id, now)),
      streamClosed: (epoch, id) => this.step((now) => machine.streamClosed(epoch, id, now)),
      drained: (epoch, id, buffered) => this.step((now) => machine.drained(epoch, id, buffered, now)),
      connectionLost: (epoch, kind, text) => {
        note(epoch, "!", text);
        this.step((now) => machine.connectionLost(epoch, kind, text, now));
      },
      iceChanged: (epoch, state) => {
        note(epoch, "=", `ICE ${state}`);
        this.step((now) => machine.iceChanged(epoch, state, now));
      },
      negotiated: (epoch) => {
        this.step((now) => machine.negotiated(epoch, now));
        this.#media.sayAgain();
      },
      fresh: (epoch, age) => this.step((now) => machine.fresh(epoch, age, now)),
      released: (epoch) => this.#released(epoch),
      signal: (message) => this.#signal(message),
      attachMedia: (pc) => this.#media.attach(pc),
      trackReceived: ({ track, streams, transceiver }) => void this.emit("track", { track, streams, transceiver }),
    };
  }

  #released(epoch: number): void {
    this.#connections.delete(epoch);
    this.step((now) => this.machine.released(epoch, now));
  }

  // --- signaling ------------------------------------------------------------------------------------------------

  /** Hand a message to the other side's session by signaling. */
  #signal(message: Relayed): void {
    this.#note(">", `by signaling: ${message.type}`);
    this.#post.send({ ...message, session: this.id, to: this.peer });
  }

  /** A message of the other side's session by signaling. @internal */
  signaled(message: Relayed): void {
    if (message.type === "probe" || message.type === "moved") return; // answered by the client; heard by the room
    this.#note("<", `by signaling: ${message.type}`);
    if (message.type !== "description" && message.type !== "candidates") {
      this.step((now) => this.machine.signalReceived(message, now));
      return;
    }
    const { epoch, type } = message;
    if (type === "description" && !this.step((now) => this.machine.wantsDescription(epoch, now))) return;
    this.#connections.get(epoch)?.signaled(message);
  }

  /** The other side has begun another session with this one: here it ends, too. @internal */
  superseded(): void {
    this.step((now) => this.machine.superseded(now));
  }

  /** There is a sign that the other side is not there any more: ask it. @internal */
  doubt(): void {
    this.step((now) => this.machine.doubt(now));
  }

  /** Signaling is up or down. @internal */
  signalingChanged(up: boolean, reason = ""): void {
    if (up === this.signalingUp) return;
    this.signalingUp = up;
    void this.emit("signaling", { up, reason });
    this.step((now) => this.machine.signalingChanged(up, now));
  }

  /** The other side says something by signaling that makes no sense. @internal */
  signalingBroken(message: string): void {
    this.step((now) => this.machine.endByViolation(now, `by signaling: ${message}`));
  }

  /** A restarted server gave this side a new peer id: tell the other side, which would not know it. @internal */
  sayMoved(peer: string): void {
    this.step((now) => this.machine.sayMoved(peer, now));
  }

  /** It is certain that the other side has a new peer id at the server. @internal */
  moved(peer: string): void {
    this.#post.peer = peer;
  }

  /** What the server says of the other side. @internal */
  presenceChanged(presence: Presence, reloaded = false): void {
    this.step((now) => this.machine.presenceChanged(presence, now, reloaded));
  }

  /** The answer to a probe. @internal */
  probed(byPeer: boolean, alive: boolean): void {
    this.step((now) => this.machine.probed(byPeer, alive, now));
  }

  // --- files (for `Transfers`) ----------------------------------------------------------------------------------

  /** Whether anybody handles `file`. @internal */
  get takesFiles(): boolean {
    return this.has("file");
  }

  /** Have something done later; the function returned cancels it. @internal */
  later(seconds: number, call: () => void): () => void {
    return this.#platform.later(seconds, call);
  }

  /** Files that were offered before anybody handled them are shown to the first who does. */
  override addEventListener<K extends keyof SessionEvents>(
    type: K,
    handler: Handler<SessionEvents[K]>,
    options?: ListenerOptions,
  ): void {
    super.addEventListener(type, handler, options);
    if (type === "file") this.#transfers.handlerAdded();
  }

  /** The other side offers a file. @internal */
  tellFile(file: SessionEvents["file"]): Promise<void> {
    return this.emit("file", file);
  }
}

function partsOf({
  connect,
  signaling,
  role,
  name = "",
  options,
  onWait,
  platform = browser,
}: SessionInit): SessionParts {
  const smaller = role === "first";
  if (!smaller && role !== "second") throw new TypeError(`role=${role}: one side is "first", the other "second"`);
  checkConnect(connect);
  if (typeof signaling?.send !== "function" || typeof signaling.receive !== "function") {
    throw new TypeError("signaling is missing: an object with send() and receive(), see `Signaling`");
  }
  const me = hex(crypto.getRandomValues(new Uint8Array(16)));
  const machine = new SessionMachine({ me, peer: "", smaller, options: { ...options }, remembered: REMEMBERED });
  return { machine, connect, post: new DirectPost(signaling, platform), name, onWait, platform };
}

function checkReliability({ maxRetransmits, maxPacketLifeTime }: Reliability): void {
  if (maxRetransmits != null && maxPacketLifeTime != null) {
    throw new TypeError("maxRetransmits and maxPacketLifeTime exclude each other");
  }
  const value = maxRetransmits ?? maxPacketLifeTime;
  if (value != null && !(Number.isInteger(value) && value >= 0 && value <= 65535)) {
    throw new RangeError(`${value} retransmits or milliseconds: 0 to 65535`);
  }
}

/** While the browser's connections are scarce, the ladder renews the path of the one that stands instead. */
function frugal(policy: RecoveryPolicy = DEFAULTS.recovery): RecoveryPolicy {
  return {
    step(silence, attempts) {
      const [step, again] = policy.step(silence, attempts);
      return [step === "transport" && slots.tight ? "ice" : step, again];
    },
  };
}

/**
 * Over a `Signaling` of the user's own: point to point, no server, no presence.
 *
 * Whoever starts later may have missed what was said before, and nobody tells: so it is said again, every second until
 * it is answered.
 */
class DirectPost implements Post {
  peer = "";
  session!: Session;
  readonly #stopped = new AbortController();
  #sending: Promise<void> = Promise.resolve();
  /** How many messages have not left yet. */
  #waiting = 0;
  /** Epochs of which a description has come from the other side. */
  readonly #heard = new Set<number>();
  /** The offer and its candidates, until it is answered. */
  #unheard: (Description | Candidates)[] = [];
  #cancelTimer: (() => void) | undefined;

  constructor(
    private readonly signaling: Signaling,
    private readonly platform: Platform,
  ) {}

  start(): void {
    void this.#receive();
    if (!this.session.machine.smaller) this.#greet();
    this.#repeatLater();
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#stopped.abort();
  }

  send(message: Relayed): void {
    if (message.type === "description" && message.sdpType === "offer" && !this.#heard.has(message.epoch)) {
      this.#unheard = [message]; // of an older connection nothing is expected any more
    } else if (message.type === "candidates" && message.epoch === this.#unheard[0]?.epoch) {
      this.#unheard.push(message);
    }
    this.#say(message);
  }

  #say(message: Relayed): void {
    const { session } = this;
    const said = JSON.parse(encodeBody({ ...message, from: session.me } as FromClient));
    this.#waiting++;
    this.#sending = this.#sending
      .then(() => this.signaling.send(said))
      .then(() => {
        this.#waiting--; // not after a failure: it has ended for good
      })
      .catch((error) => session.signalingChanged(false, String(error)));
  }

  /** Say only that this side is there; the other has the first word. */
  #greet(): void {
    this.#say({ type: "candidates", epoch: 1, candidates: [], session: this.session.id, to: this.session.peer });
  }

  #repeatLater(): void {
    const { machine } = this.session;
    this.#cancelTimer = this.platform.later(SAY_AGAIN, () => {
      if (this.session.receipt) return;
      if (!machine.peer && !machine.smaller && !this.#waiting) this.#greet();
      this.#sayAgain();
      this.#repeatLater();
    });
  }

  #sayAgain(): void {
    if (this.#waiting) return; // it has not even left
    const { id: session, peer: to } = this.session;
    for (const message of this.#unheard) this.#say({ ...message, session, to });
  }

  probe(): void {
    // There is nobody to ask.
  }

  moved(): void {
    // There is no server that could give another id.
  }

  stateChanged(): void {
    // Nobody looks.
  }

  async #receive(): Promise<void> {
    const { session } = this;
    const { signal } = this.#stopped;
    for (;;) {
      let message: Relayed;
      try {
        message = decode(await this.signaling.receive({ signal }), fromClientType) as Relayed;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SignalingLostError) session.signalingChanged(false, error.message);
        else session.signalingBroken(String(error));
        return;
      }
      if (message) this.#received(message);
    }
  }

  #received(message: Relayed): void {
    const { session } = this;
    const { machine } = session;
    const { from, type } = message;
    if (!machine.peer && from) {
      session.step((now) => machine.introduced(from, now));
      if (machine.smaller && type !== "description") this.#sayAgain(); // it was not there when we spoke
    }
    if (!from || from !== machine.peer) return;
    if (type === "description") {
      this.#heard.add(message.epoch);
      if (message.epoch === this.#unheard[0]?.epoch) this.#unheard = [];
    } else if (type === "candidates" && !this.#heard.has(message.epoch)) {
      return; // a greeting; or the description was lost, and has them when it is said again
    }
    session.signaled(message);
  }
}

/** What was given to `close` or `reset`: the options, or the one that is meant by a text alone. */
export function optionsOf<T extends object>(call: string, member: keyof T & string, given: T | string): T {
  if (typeof given === "string") return { [member]: given } as T;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${call}(${String(given)}): an object with options, or the ${member} as text`);
  }
  return given;
}

/** What `connect` gave, if a session can be built on it. */
function newConnection(made: RTCPeerConnection, mine: Iterable<Connection>): RTCPeerConnection {
  if (typeof made?.setLocalDescription !== "function") {
    throw new TypeError(
      `connect() gave ${String(made)}: a plain function that returns a new RTCPeerConnection is wanted`,
    );
  }
  let used = "";
  if (made.signalingState === "closed") used = "is closed";
  else if ([...mine].some(({ pc }) => pc === made)) used = "is this session's already";
  else if (made.localDescription || made.remoteDescription || made.signalingState !== "stable") {
    used = "is in use already";
  }
  if (used) throw new TypeError(`connect() gave a connection that ${used}: it must make a new one each time`);
  return made;
}

/** A mistake that would only show when a connection is needed. @internal */
export function checkConnect(connect: unknown): void {
  if (typeof connect === "function") return;
  throw new TypeError(
    `connect is ${connect === undefined ? "missing" : String(connect)}: a function that makes a new RTCPeerConnection ` +
      "each time it is called, as () => new RTCPeerConnection()",
  );
}
