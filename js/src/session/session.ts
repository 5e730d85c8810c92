/** A session: what a page sees of it. How it is driven is in `shell.ts`, what it decides in `machine/`. */

import { checked, hex } from "../bytes.js";
import { ChannelError, NotAdieuPeerError, ResetFailedError, SessionClosedError } from "../errors.js";
import { browser, type Platform } from "../platform.js";
import { abortable, Deferred, within } from "../promises.js";
import type { Level } from "../protocol/control.js";
import type { Reliability } from "../protocol/messages.js";
import type { Signaling } from "../signaling/memory.js";
import { Channel, HANDLERS_FINISH, type WaitOptions } from "./channel.js";
import { checkConnect } from "./connect.js";
import { connectionBudget } from "./connection-budget.js";
import { DirectRoute } from "./direct-route.js";
import { Emitter, type Handler, type ListenerOptions, settleCurrent } from "./emitter.js";
import type { SessionEvents } from "./events.js";
import type { FolderSource, StreamSource } from "./files/folders.js";
import { held, Ledger, whereMade } from "./ledger.js";
import type { ChannelToldOf, Event, Progressed, ResetEnded, StateName } from "./machine/actions.js";
import { SessionMachine } from "./machine/machine.js";
import { DEFAULTS, type Options, type RecoveryPolicy } from "./machine/options.js";
import { NOT_ADIEU } from "./machine/recovery.js";
import { Remembered } from "./machine/remembered.js";
import type { Kind } from "./media.js";
import { sentence } from "./notice.js";
import { checkWord, closeOptionsOf, optionsOf, secondsOf } from "./options.js";
import { watchPage } from "./page.js";
import { CloseReceipt, type ResetReport } from "./receipt.js";
import type { Recording } from "./recording.js";
import { Shell } from "./shell.js";
import { type SendFileOptions, type SendFolderOptions, type Transfer, Transfers } from "./transfer.js";

const EVENTS: Record<keyof SessionEvents, true> = {
  state: true,
  closing: true,
  closed: true,
  channel: true,
  file: true,
  folder: true,
  signaling: true,
  reset: true,
  progress: true,
  track: true,
  media: true,
  devices: true,
};
/** The machine's events that the flight recorder keeps. */
const RECORDED = /^(State|Channel(Op|Fa)|Closing|Wait|Reset)/;
/** Messages of this page that were received, so that a later session recognizes repeated ones. */
export const REMEMBERED = new Remembered();

/** Asked while this side closes and the other wants more time; `milliseconds` more are granted by true, not by a promise. */
export type OnWait = (reason: string, milliseconds: number) => boolean;

/** The options of `Session.open()`. */
export interface OpenOptions extends WaitOptions {
  /** Messages come in the order they were sent; true by default. */
  ordered?: boolean;
  /** Unreliable: how often a lost piece is sent again. */
  maxRetransmits?: number;
  /** Unreliable: milliseconds after which a lost piece is given up. */
  maxPacketLifeTime?: number;
}

/** The options of `close()`. */
export interface CloseOptions {
  /** A few words for the people on the other side. */
  reason?: string;
  /** Milliseconds for the whole close, 5000 by default. The receipt lists what has not arrived by then. 0: at once. */
  timeout?: number;
  /**
   * `finish`, the default: what was said into a microphone before the close is still heard, within the timeout; `cut`: it
   * need not be.
   */
  media?: "finish" | "cut";
  /** When the last waiter aborts, the close becomes abrupt and keeps its receipt. */
  signal?: AbortSignal;
}

/** The options of `Session.reset()`. */
export interface ResetOptions {
  /** A new network path; a new connection beside the old one (the default); the old one closed first, devices asked
   * again. */
  level?: Level;
  /** Ends the wait; the reset goes on, the session owns it. */
  signal?: AbortSignal;
}

/** The parts that a session is made of. */
export interface SessionInit {
  /**
   * Makes a new RTCPeerConnection each time one is needed: the first time, and for each reset. A session refuses a
   * connection that is already in use, and ends at once with an error.
   */
  connect: () => RTCPeerConnection;
  /** Carries messages to the other side's session, in order. */
  signaling: Signaling;
  /** `first` on one side, `second` on the other. */
  role: "first" | "second";
  /** The name of the other side. */
  name?: string;
  /** Numbers, see `DEFAULTS`; times there are seconds. */
  options?: Partial<Options>;
  onWait?: OnWait;
  platform?: Platform;
}

/** Returns the inside of a session, for the room that drives it. @internal */
export let shellOf: (session: Session) => Shell;
/** Returns the files of a session. @internal */
export let transfersOf: (session: Session) => Transfers;

/**
 * The link of two peers, which outlives its connections, ends with a receipt, and can be reset any number of times.
 *
 * `room.session()` gives those of a room. By itself, over any signaling of your own:
 * `new Session({ connect: () => new RTCPeerConnection(), signaling: mine, role: "first" })`, then `start()`.
 */
export class Session extends Emitter<SessionEvents> {
  readonly #shell: Shell;
  readonly #machine: SessionMachine;
  readonly #where = whereMade();
  readonly #channels = new Map<string, Channel>();
  readonly #transfers: Transfers;
  /** Tracks that came while nobody listened. */
  #unheard: SessionEvents["track"][] = [];
  readonly #open = new Deferred<void>();
  readonly #ended = new Deferred<CloseReceipt>();
  #resetWaiters: Deferred<ResetReport>[] = [];
  #unwatch: (() => void) | undefined;
  #started = false;
  #closers = 0;
  #lastWords = false;
  /** Handlers of `progress` run. */
  #telling = false;
  /** The devices were asked again for the reset that is under way. */
  #renewed = false;

  static {
    shellOf = (session) => session.#shell;
    transfersOf = (session) => session.#transfers;
  }

  constructor(init: SessionInit | Shell) {
    super("a session", EVENTS);
    const shell = init instanceof Shell ? init : shellFor(init);
    const { machine, route } = shell;
    this.#shell = shell;
    this.#machine = machine;
    this.#transfers = new Transfers(shell, {
      waitOpen: () => this.waitOpen(),
      open: (name, options) => this.open(name, options),
      takesFiles: (kind) => this.has(kind),
      fire: (type, event) => this.emit(type, event as never, false, event),
    });
    shell.session = {
      handle: (event) => this.#handle(event),
      fire: (type, event) => {
        if (type !== "track") return void this.emit(type, event);
        this.#unheard.push(event);
        this.#tellTracks();
      },
    };
    machine.options.recovery = frugal(machine.options.recovery);
    if (route instanceof DirectRoute) {
      this.#unwatch = watchPage({
        connected: () => !!this.pc,
        leave: (cause) => shell.leavePage(cause)(),
        resume: (restored) => resumePage(this, restored),
      });
    }
  }

  // --- life -----------------------------------------------------------------------------------------------------

  /** Begin to connect. A room does it by itself. */
  start(): this {
    if (!this.#started) {
      this.#started = true;
      this.#shell.route.start?.();
      this.#shell.step((now) => this.#machine.start(now));
    }
    return this;
  }

  // --- what it is -----------------------------------------------------------------------------------------------

  /** The name of the other side. */
  get name(): string {
    return this.#shell.name;
  }

  /** How it ended; undefined before. */
  get receipt(): CloseReceipt | undefined {
    return this.#shell.receipt;
  }

  /** Whether the server, or whatever carries signaling, can be reached. */
  get signalingUp(): boolean {
    return this.#shell.signalingUp;
  }

  /** The session's id: the same on both sides, and for its whole life. */
  get id(): string {
    return this.#machine.session;
  }

  /** This side's peer id. */
  get me(): string {
    return this.#machine.me;
  }

  /** The other side's peer id. */
  get peer(): string {
    return this.#machine.peer;
  }

  get state(): StateName {
    return this.#machine.state;
  }

  /** The number of the connection that carries the session; 0 if no connection does. */
  get epoch(): number {
    return this.#machine.active ?? 0;
  }

  /** The W3C connection of the moment: plain channels are added there. Undefined before and after. */
  get pc(): RTCPeerConnection | undefined {
    const { connections } = this.#shell;
    const active = connections.get(this.epoch) ?? [...connections.values()].at(-1);
    return active?.pc;
  }

  /** The channels that are open or being opened, by name. */
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
   * A named channel; the same name on both sides is the same channel. If one of this name is closing, this waits for
   * its end.
   *
   * @param name 1 to 128 characters.
   * @throws ChannelError the other side wants it differently; or an earlier channel of this name was closed, and the
   * other side does not know that yet.
   * @throws SessionClosedError the session has ended, or is closing.
   * @throws TypeError a wrong name. RangeError: a wrong number.
   */
  async open(name: string, { ordered = true, signal, ...reliability }: OpenOptions = {}): Promise<Channel> {
    const said = checked("a channel's name", name, 1, 128);
    checkReliability(reliability);
    signal?.throwIfAborted();
    for (let before = this.#channels.get(said); before?.isClosing; before = this.#channels.get(said)) {
      await before.waitClosed({ signal });
    }
    this.#shell.step((now) => this.#machine.openChannel(said, { ordered, reliability }, now));
    const channel = this.#channel(said);
    await channel.waitOpened(signal);
    return channel;
  }

  #channel(name: string): Channel {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = new Channel(this.#shell, this, name);
      this.#channels.set(name, channel);
      if (this.#machine.channels.get(name)?.open) channel.opened.resolve();
    }
    return channel;
  }

  /**
   * Close gracefully: announce, drain, close the channels, close the connection, clean up.
   *
   * Inside a `closing` handler it also ends the last words of this side.
   *
   * @param options options, or the reason alone: `close("done")`.
   * @returns the receipt; the same one if the session has ended already.
   * @throws RangeError the timeout is negative. TypeError: the reason is not text, or there is no such `media`.
   */
  async close(options: CloseOptions | string = {}): Promise<CloseReceipt> {
    const { closeTimeout } = this.#machine.options;
    const { reason, seconds, signal, media } = closeOptionsOf(options, closeTimeout);
    settleCurrent();
    if (this.receipt) return this.receipt;
    this.start();
    this.#shell.note("=", { type: "askClose", seconds });
    const speaking = seconds > 0 && !this.#machine.closing && this.#shell.usesMedia;
    const said = { code: this.#shell.closeCode, text: reason };
    this.#shell.step((now) => this.#machine.askClose(said, seconds, now, speaking));
    if (speaking) this.#shell.finishMedia(media !== "cut");
    if (this.#lastWords) this.#shell.lastWordsOver();
    this.#lastWords = false;
    this.#closers++;
    try {
      return await abortable(this.#ended.promise, signal);
    } catch (error) {
      if (this.#closers === 1) {
        this.#shell.note("=", { type: "abort" });
        this.#shell.step((now) => this.#machine.abort(now));
      }
      throw error;
    } finally {
      this.#closers--;
    }
  }

  /** Wait for the end, whichever side causes it, and return the receipt. */
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
    checkWord("level", level, "ice", "transport", "full");
    await this.waitOpen({ signal });
    const done = new Deferred<ResetReport>();
    this.#resetWaiters.push(done);
    this.#shell.note("=", { type: "askReset", level });
    try {
      this.#shell.step((now) => this.#machine.askReset(level, now));
    } catch (error) {
      this.#resetWaiters = this.#resetWaiters.filter((waiter) => waiter !== done);
      throw error;
    }
    return abortable(done.promise, signal);
  }

  /**
   * Send a camera, a microphone, or any stream, now and after each reset.
   *
   * With constraints, the session requests the devices and owns them. A close stops them, their clones, and devices that
   * arrive too late; a `full` reset requests them again. A stream still belongs to the page.
   *
   * @throws DOMException the error of `getUserMedia`: `NotAllowedError`, `NotFoundError`, …; `AbortError`: the session
   * was closed or reset during the request.
   */
  addStream(what: MediaStream | MediaStreamConstraints = { audio: true, video: true }): Promise<MediaStream> {
    if (this.#machine.state === "closed") return Promise.reject(this.#endingError());
    return this.#shell.media.add(what);
  }

  /**
   * Send another track in the place of one; the old one is stopped if it was the session's.
   *
   * @throws TypeError the old track is not sent, or they are of different kinds.
   */
  replace(old: MediaStreamTrack, now: MediaStreamTrack): Promise<void> {
    return this.#shell.media.replace(old, now);
  }

  /** Send silence or black, and say so to the other side; the device stays on. Until `mute(what, false)`. */
  mute(what: Kind | MediaStreamTrack, muted = true): void {
    this.#shell.media.mute(what, muted);
  }

  /**
   * Offer a file to the other side; see `Transfer`.
   *
   * @param file a `File` or `Blob`, or a stream of `Uint8Array`, which cannot be sent again after its session has ended.
   * @throws SessionClosedError the session has ended.
   * @throws TypeError the name is empty or has more than 255 characters.
   */
  async sendFile(file: Blob | StreamSource, options: SendFileOptions = {}): Promise<Transfer> {
    if (file instanceof Blob) return this.#transfers.send(file, options);
    const { streamCargo } = await import("./files/folders.js");
    return this.#transfers.send(streamCargo(file), options);
  }

  /**
   * Offer a folder to the other side, with everything in it, in one transfer; see `Transfer`.
   *
   * @param folder a folder on the disk (`showDirectoryPicker()`), or the files of `<input webkitdirectory>`.
   * @throws SessionClosedError the session has ended.
   * @throws TypeError a wrong name or pattern, or there are more than 100 000 files and folders.
   */
  async sendFolder(folder: FolderSource, { exclude = [], ...options }: SendFolderOptions = {}): Promise<Transfer> {
    const { folderCargo } = await import("./files/folders.js");
    const [name, cargo] = await folderCargo(folder, exclude);
    return this.#transfers.send(cargo, options, name);
  }

  /** Return the things that are still held, and the lines that made them. */
  ledger(): Ledger {
    const all = [...this.#shell.media.held(), ...this.handlers];
    for (const epoch of this.#shell.connections.keys()) all.push(held("connection", `${epoch}`, this.#where));
    for (const channel of this.#channels.values()) {
      if (!this.receipt) all.push(held("channel", channel.name, channel.where));
      all.push(...channel.handlers);
    }
    if (this.#shell.hasTimer) all.push(held("timer", "the session's clock", this.#where));
    for (const { name, where } of this.#transfers.held) all.push(held("transfer", name, where));
    return new Ledger(all);
  }

  /**
   * Say what the page knows earlier than the session can: with `network-changed`, that the network has changed, or will
   * in a moment. The path is renewed at once, while the old one may still work. After the end it does nothing.
   *
   * @throws TypeError there is no such hint.
   */
  hint(what: "network-changed"): void {
    checkWord("hint", what, "network-changed");
    if (this.receipt) return;
    this.#shell.step((now) => this.#machine.networkChanged("the page says that the network has changed", now, true));
  }

  /**
   * The flight recorder: the last things that happened. `JSON.stringify()` of it is a file for `adieu explain`. A receipt
   * that is not clean has it too, as `receipt.recording()`.
   */
  recording(): Promise<Recording> {
    return this.#shell.recording();
  }

  // --- what happens to it ---------------------------------------------------------------------------------------

  #handle(event: Event): void {
    if (RECORDED.test(event.type)) this.#shell.note("=", event);
    switch (event.type) {
      case "Readable":
      case "Acknowledged":
      case "ChannelOpened":
      case "ChannelFailed":
      case "ChannelClosing":
      case "ChannelClosed":
        this.#handleChannel(event);
        break;
      case "StateChanged": {
        const { state, previous, cause, evidence } = event;
        this.#shell.route.stateChanged?.();
        if (state === "open") {
          this.#open.resolve();
          this.#shell.media.sayAgain();
        }
        void this.emit("state", { state, previous, cause, evidence });
        break;
      }
      case "ClosingAsked": {
        this.#lastWords = true;
        const timeout = (event.deadline - this.#shell.platform.now()) * 1000;
        const wait = (milliseconds: number, reason = "") => {
          const more = secondsOf("wait", milliseconds);
          this.#shell.step((now) => this.#machine.askWait(reason, more, now));
        };
        void this.emit("closing", { reason: event.reason, timeout, wait }).then(() => {
          this.#lastWords = false;
          return this.#shell.handlersOver();
        });
        break;
      }
      case "WaitAsked":
        if (this.#shell.onWait?.(event.reason, event.eta * 1000) === true)
          this.#machine.grantWait(event.eta, this.#shell.platform.now());
        break;
      case "ResetStarted":
        void this.emit("reset", { level: event.level, asker: event.asker });
        this.#renewed = false;
        if (event.level === "full") void this.#renew(event.asker === this.me);
        break;
      case "ResetEnded":
        this.#resetEnded(event);
        break;
      case "Progressed":
        this.#tellProgress(event);
        break;
      case "FileSaid":
        this.#transfers.said(event.file);
        break;
      case "MediaSaid":
        void this.emit("media", { media: event.media });
        break;
      case "PeerMoved":
        this.#shell.route.moved?.(event.peer);
        break;
      case "Ended":
        this.#finish();
    }
  }

  async #watch(): Promise<void> {
    const { look } = await import("./machine/progress.js");
    if (!this.receipt) this.#shell.step((now) => this.#machine.watchProgress(look, now));
  }

  /** Tell those that watch, unless they are still busy with the last one. */
  #tellProgress({ type: _, seconds, ...told }: Progressed): void {
    if (!this.has("progress")) {
      this.#shell.step((now) => this.#machine.watchProgress(undefined, now));
    } else if (!this.#telling) {
      this.#telling = true;
      const level = told.work === "reset" ? this.#machine.reset?.level : undefined;
      const event = { ...told, level, files: this.#transfers.partial, timeout: seconds * 1000 };
      // At once: a handler of `closing` may take as long as the close itself.
      void this.emit("progress", event, true).then(() => {
        this.#telling = false;
      });
    }
  }

  #handleChannel(event: ChannelToldOf): void {
    const { type, name } = event;
    const known = this.#channels.get(name);
    switch (type) {
      case "ChannelOpened": {
        const channel = known ?? this.#channel(name);
        channel.opened.resolve();
        if (event.incoming && !known && !this.#transfers.owns(name)) void this.emit("channel", { channel });
        break;
      }
      case "ChannelFailed":
        known?.failed(new ChannelError(event.message));
        this.#channels.delete(name);
        break;
      case "ChannelClosing":
        known?.otherCloses(event);
        break;
      case "ChannelClosed":
        known?.end(event.receipt);
        this.#channels.delete(name);
        break;
      default:
        known?.changed();
    }
  }

  /** The reset itself goes on without a device that is refused now. */
  async #renew(mine: boolean): Promise<void> {
    this.#renewed = true;
    const lost = await this.#shell.media.renew(mine);
    if (!lost.missing.length) return;
    this.#shell.note("!", { type: "devices", text: lost.error });
    void this.emit("devices", lost);
  }

  #resetEnded({ level, asker, epoch, duration, replayed, error }: ResetEnded): void {
    const report: ResetReport = { level, asker, epoch, duration, replayed };
    if (error) {
      void this.emit("reset", { level, asker, error });
      // Its waiters wait for its replacement now.
      if (error.startsWith("raised to") || error === "tried again") return;
    } else {
      void this.emit("reset", { level, asker, report });
      if (level === "full" && !this.#renewed) void this.#renew(asker === this.me); // raised on the way
      this.#transfers.reconnected();
    }
    const waiters = this.#resetWaiters;
    this.#resetWaiters = [];
    const { recording } = this.#shell;
    for (const waiter of waiters) {
      const failed = error && new ResetFailedError(`the reset (${level}) failed: ${error}`, report);
      if (failed) waiter.reject(Object.assign(failed, { recording }));
      else waiter.resolve(report);
    }
  }

  /** The machine is done: the receipt, and an answer for everybody who waits. */
  #finish(): void {
    const outcome = this.#machine.outcome!;
    this.#shell.arm();
    this.#shell.media.close();
    const { partial, arrived } = this.#transfers;
    this.#transfers.end(outcome.reason.text || outcome.cause);
    const senders = new Map([...this.#machine.channels].map(([name, { sender }]) => [name, sender]));
    const left = this.ledger().held.filter(({ kind }) => kind === "connection");
    const receipt = (this.#shell.receipt = new CloseReceipt(
      outcome,
      new Ledger(left),
      sentence(outcome, this.name, arrived, partial),
      senders,
      arrived,
      partial,
      this.#shell.recording,
      this.#shell.mediaReceipts,
    ));
    this.#shell.note("=", { type: "notice", text: receipt.notice });
    const error = this.#endingError();
    this.#open.reject(error);
    for (const channel of this.#channels.values()) {
      channel.endWithSession(outcome, error);
    }
    for (const waiter of this.#resetWaiters) waiter.reject(error);
    this.#resetWaiters = [];
    this.#ended.resolve(receipt);
    void this.emit("closed", { receipt });
    void this.#cleanUp();
  }

  /** Let the handlers that still run finish for a moment, then forget them. */
  async #cleanUp(): Promise<void> {
    this.#unwatch?.();
    await within(HANDLERS_FINISH, this.#shell.platform, this.settled);
    this.#shell.route.stop?.();
    this.clear();
    for (const channel of this.#channels.values()) void channel.forget();
  }

  #endingError(): SessionClosedError {
    const { notice, reason } = this.receipt!;
    const Kind = reason.text === NOT_ADIEU ? NotAdieuPeerError : SessionClosedError;
    return new Kind(notice, this.receipt);
  }

  /** Files and tracks that came before anybody handled them are shown to the first who does. */
  override addEventListener<K extends keyof SessionEvents>(
    type: K,
    handler: Handler<SessionEvents[K]>,
    options?: ListenerOptions,
  ): void {
    super.addEventListener(type, handler, options);
    if (type === "file" || type === "folder") this.#transfers.handlerAdded();
    if (type === "track") this.#tellTracks();
    if (type === "progress") void this.#watch();
  }

  /** Fire `track` for those that came while nobody listened, and have not ended. */
  #tellTracks(): void {
    const live = this.#unheard.filter(({ track }) => track.readyState !== "ended");
    if (this.has("track")) for (const came of live.splice(0)) void this.emit("track", came);
    this.#unheard = live;
  }
}

function shellFor({ connect, signaling, role, name = "", options, onWait, platform = browser }: SessionInit): Shell {
  const smaller = role === "first";
  checkWord("role", role, "first", "second");
  checkConnect(connect);
  if (typeof signaling?.send !== "function" || typeof signaling.receive !== "function") {
    throw new TypeError("signaling is missing: an object with send() and receive(), see `Signaling`");
  }
  const me = hex(crypto.getRandomValues(new Uint8Array(16)));
  const machine = new SessionMachine({ me, peer: "", smaller, options: { ...options }, remembered: REMEMBERED });
  const route = new DirectRoute(signaling, platform);
  route.shell = new Shell({ machine, connect, route, name, onWait, platform });
  return route.shell;
}

/** The page is back. Connections do not survive it when it was put aside. @internal */
export function resumePage(session: Session, restored: boolean): void {
  const { media } = shellOf(session);
  shellOf(session).arm();
  if (!restored || session.receipt) return;
  // The events `reset` and `state` report the result.
  session.reset({ level: media.broken ? "full" : "transport" }).catch(() => undefined);
}

function checkReliability({ maxRetransmits, maxPacketLifeTime }: Reliability): void {
  if (maxRetransmits != null && maxPacketLifeTime != null) {
    throw new TypeError("give maxRetransmits or maxPacketLifeTime, not both");
  }
  const value = maxRetransmits ?? maxPacketLifeTime;
  if (value != null && !(Number.isInteger(value) && value >= 0 && value <= 65535)) {
    throw new RangeError(`retransmits and milliseconds must be 0 to 65535, not ${value}`);
  }
}

/** Renew the path of the open connection instead while the browser's connections are scarce. */
function frugal(policy: RecoveryPolicy = DEFAULTS.recovery): RecoveryPolicy {
  return {
    step(silence, attempts) {
      const [step, again] = policy.step(silence, attempts);
      return [step === "transport" && connectionBudget.tight ? "ice" : step, again];
    },
  };
}
