/**
 * The browser's shell of a session: its machine, connections and timer, which a page does not see.
 *
 * Each input of the machine passes through `step`. It feeds the machine, carries out the actions of the machine at once
 * and in order, and passes its events to the session. Above the shell are `Session`, `Channel` and `Transfers`; below
 * it are `Connection` and `SignalingRoute`.
 */

import { SessionClosedError } from "../errors.js";
import type { Platform } from "../platform.js";
import { Deferred, within } from "../promises.js";
import type { Relayed } from "../protocol/signaling.js";
import { checkConnection } from "./connect.js";
import { Connection, type Sink } from "./connection.js";
import { connectionBudget } from "./connection-budget.js";
import type { Action, Event } from "./machine/actions.js";
import { type Presence, ROOM_CLOSED } from "./machine/cause.js";
import type { SessionMachine } from "./machine/machine.js";
import type { LossKind } from "./machine/state.js";
import { Media } from "./media.js";
import type { CloseReceipt, MediaReceipt } from "./receipt.js";
import { type Mark, type Note, Recorder } from "./recorder.js";
import type { Recording } from "./recording.js";
import type { SignalingRoute } from "./signaling-route.js";

/** Seconds for this side's server to say that the room is closed for all, when the other side has said it. */
const ROOM_TOLD = 1;

/** The session over a shell. */
export interface ShellSession {
  /** Fire what the machine says. */
  handle(event: Event): void;
  /** Fire what signaling and connections say. */
  fire(
    ...event:
      | ["signaling", { up: boolean; reason: string }]
      | ["track", Pick<RTCTrackEvent, "track" | "streams" | "transceiver">]
  ): unknown;
}

export interface ShellInit {
  machine: SessionMachine;
  connect: () => RTCPeerConnection;
  route: SignalingRoute;
  name: string;
  onWait: ((reason: string, milliseconds: number) => boolean) | undefined;
  platform: Platform;
}

/** Drives one session machine. Its methods from `controlOpened` on are what connections and signaling report. */
export class Shell implements Sink {
  readonly machine: SessionMachine;
  /** The name of the other side. */
  readonly name: string;
  readonly platform: Platform;
  readonly route: SignalingRoute;
  readonly onWait: ShellInit["onWait"];
  /** How the session ended; set by the session. */
  receipt: CloseReceipt | undefined;
  signalingUp = true;
  /** Connections by epoch, until they are released. */
  readonly connections = new Map<number, Connection>();
  readonly media: Media;
  /** The account of media by mid, counted while the session closes. */
  mediaReceipts: Record<string, MediaReceipt> = {};
  /** Set when the session is made. */
  session!: ShellSession;
  readonly #recorder = new Recorder();
  readonly #connect: () => RTCPeerConnection;
  #cancelTimer: (() => void) | undefined;
  #timerAt: number | undefined;
  #settling = false;
  #roomCloses = new Deferred<void>();
  /** The page goes away: what is to be closed when all is said. */
  #releases: (() => void)[] | undefined;

  constructor({ machine, connect, route, name, onWait, platform }: ShellInit) {
    this.machine = machine;
    this.name = name;
    this.platform = platform;
    this.route = route;
    this.onWait = onWait;
    this.#connect = connect;
    this.media = new Media({
      getUserMedia: (constraints) => platform.getUserMedia(constraints),
      connections: () => [...this.connections.values()].filter(({ takesMedia }) => takesMedia).map(({ pc }) => pc),
      active: () => this.connections.get(machine.active ?? 0)?.pc,
      sayMedia: (media) => this.step((now) => machine.sayMedia(media, now)),
    });
  }

  /** The session's id. */
  get id(): string {
    return this.machine.session;
  }

  /** The other side's peer id at the server: another than in the machine when the server was restarted. */
  get peerNow(): string {
    return this.route.peer || this.machine.peer;
  }

  /** The code of the reason when this side closes. */
  get closeCode(): string {
    return this.machine.roomCloses ? ROOM_CLOSED : "left";
  }

  /** Whether the machine's timer is set. */
  get hasTimer(): boolean {
    return !!this.#cancelTimer;
  }

  /** Keep a line in the flight recorder. */
  note(mark: Mark, note: Note | { type: string; [member: string]: unknown }): void {
    this.#recorder.note(this.platform.now(), mark, note);
  }

  /** Return the recording: the flight recorder's lines, and their session. */
  readonly recording = async (): Promise<Recording> => {
    const { recordingOf } = await import("./recording.js");
    return recordingOf(this.#recorder, this.machine, this.receipt);
  };

  /**
   * Say goodbye because the page goes away, in-band and by signaling.
   *
   * @returns a function that closes the connection. Call it last, because a close drops unsent messages (closing rule
   * 70).
   */
  leavePage(code: string): () => void {
    const releases: (() => void)[] = [];
    this.#releases = releases;
    this.step((now) => this.machine.abort(now, { code }));
    this.#releases = undefined;
    return () => {
      for (const release of releases) release();
      this.media.close();
    };
  }

  // --- the machine ----------------------------------------------------------------------------------------------

  /** Return an error with the receipt, if the session has ended; its text begins with `before`. */
  closedError(before = ""): SessionClosedError | undefined {
    const { receipt } = this;
    return receipt && new SessionClosedError(before + receipt.notice, receipt);
  }

  /** Give the machine an input, then do what it asks for. */
  step<T>(call: (now: number) => T): T {
    let result: T;
    try {
      result = call(this.platform.now());
    } catch (error) {
      throw (error instanceof SessionClosedError && this.closedError(`${error.message}: `)) || error;
    }
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
        else if (event) this.session.handle(event);
        else break;
      }
    } finally {
      this.#settling = false;
    }
    this.arm();
  }

  /** Set the timer to when the machine wants to be called again. */
  arm(): void {
    const when = this.machine.pollTimeout();
    if (when === this.#timerAt && this.#cancelTimer) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#timerAt = when;
    if (when !== undefined) this.#cancelTimer = this.platform.later(when - this.platform.now(), () => this.#due(when));
  }

  #due(when: number): void {
    this.#cancelTimer = undefined;
    const now = this.platform.now();
    // A timer may come a little early; a page that was frozen has time that its timers do not know of.
    if (when - now < 0.005) this.step(() => this.machine.handleTimeout(Math.max(now, when)));
    else this.arm();
  }

  #do(action: Action): void {
    switch (action.type) {
      case "Connect":
        this.#makeConnection(action.epoch, action.offer);
        return;
      case "Signal":
        this.signal(action.word);
        return;
      case "Probe":
        this.route.probe?.();
        return;
    }
    const connection = this.connections.get(action.epoch);
    switch (action.type) {
      case "SendData":
        connection?.sendData(action.id, action.data);
        break;
      case "SendControl":
        this.note(">", action.text);
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
        else queueMicrotask(() => this.released(action.epoch));
    }
  }

  #makeConnection(epoch: number, offer: boolean): void {
    let pc: RTCPeerConnection;
    try {
      const known = [...this.connections.values()].map((connection) => connection.pc);
      pc = connectionBudget.make(() => checkConnection(this.#connect(), known));
    } catch (error) {
      this.note("!", { type: "lost", epoch, text: (error as Error).name });
      this.machine.cannotConnect(epoch, (error as Error).message, this.platform.now());
      return;
    }
    this.note("=", { type: "made", epoch });
    const connection = new Connection(epoch, pc, {
      offer,
      polite: this.machine.smaller,
      sink: this,
      later: (call) => this.platform.later(0, call),
    });
    this.connections.set(epoch, connection);
  }

  // --- what connections report ----------------------------------------------------------------------------------

  controlOpened(epoch: number, maxMessage: number): void {
    this.step((now) => this.machine.controlOpened(epoch, maxMessage, now));
  }

  controlReceived(epoch: number, text: unknown): void {
    if (typeof text !== "string") {
      this.step((now) => this.machine.endByViolation(now, "bytes on the control channel"));
      return;
    }
    this.note("<", text);
    this.step((now) => this.machine.controlReceived(epoch, text, now));
  }

  dataReceived(epoch: number, id: number, data: unknown): void {
    this.step((now) => {
      if (data instanceof ArrayBuffer) this.machine.dataReceived(epoch, id, new Uint8Array(data), now);
      else this.machine.endByViolation(now, "text on a session channel");
    });
  }

  streamOpened(epoch: number, id: number): void {
    this.step((now) => this.machine.streamOpened(epoch, id, now));
  }

  streamClosed(epoch: number, id: number | null): void {
    this.step((now) => this.machine.streamClosed(epoch, id, now));
  }

  drained(epoch: number, id: number, buffered: number): void {
    this.step((now) => this.machine.drained(epoch, id, buffered, now));
  }

  connectionLost(epoch: number, kind: LossKind, text: string): void {
    this.note("!", { type: "lost", epoch, text });
    this.step((now) => this.machine.connectionLost(epoch, kind, text, now));
  }

  iceChanged(epoch: number, state: string): void {
    this.note("=", { type: "ice", epoch, state });
    this.step((now) => this.machine.iceChanged(epoch, state, now));
  }

  negotiated(epoch: number): void {
    this.step((now) => this.machine.negotiated(epoch, now));
    this.media.sayAgain();
    // Loaded while the server is there; a track may come while the session closes.
    if (this.usesMedia) import("./media-account.js").then(({ count }) => count(this)).catch(() => undefined);
  }

  fresh(epoch: number, age: number | null): void {
    this.step((now) => this.machine.fresh(epoch, age, now));
  }

  released(epoch: number): void {
    this.connections.delete(epoch);
    this.step((now) => this.machine.released(epoch, now));
  }

  attachMedia(pc: RTCPeerConnection): void {
    this.media.attach(pc);
  }

  trackReceived({ track, streams, transceiver }: RTCTrackEvent): void {
    this.session.fire("track", { track, streams, transceiver });
  }

  // --- signaling ------------------------------------------------------------------------------------------------

  /** Hand a message to the other side's session by signaling. */
  signal(message: Relayed): void {
    this.#noteSignal(">", message);
    this.route.send({ ...message, session: this.id, to: this.machine.peer });
  }

  #noteSignal(mark: Mark, { type: word, epoch }: Relayed & { epoch?: number }): void {
    if (word !== "candidates") this.note(mark, { type: "signal", word, epoch });
  }

  /** Take a message of the other side's session by signaling. */
  signaled(message: Relayed): void {
    if (message.type === "probe" || message.type === "moved") return; // answered by the client; heard by the room
    this.#noteSignal("<", message);
    if (message.type !== "description" && message.type !== "candidates") {
      this.step((now) => this.machine.signalReceived(message, now));
      return;
    }
    const { epoch, type } = message;
    if (type === "description" && !this.step((now) => this.machine.wantsDescription(epoch, now))) return;
    this.connections.get(epoch)?.signaled(message);
  }

  /** Note that signaling is up, or down. */
  signalingChanged(up: boolean, reason = ""): void {
    if (up === this.signalingUp) return;
    this.signalingUp = up;
    this.note(up ? "=" : "!", { type: "signaling", up });
    this.session.fire("signaling", { up, reason });
    this.step((now) => this.machine.signalingChanged(up, now));
  }

  /** End the session: what the other side says by signaling makes no sense. */
  signalingBroken(message: string): void {
    this.step((now) => this.machine.endByViolation(now, `by signaling: ${message}`));
  }

  /** End the session: the other side has started another one with this side. */
  superseded(): void {
    this.step((now) => this.machine.superseded(now));
  }

  /** Ask the other side for an answer: something says that it is gone. */
  doubt(): void {
    this.step((now) => this.machine.doubt(now));
  }

  /** Tell the other side in-band the new peer id that a restarted server gave this side. */
  sayMoved(peer: string): void {
    this.step((now) => this.machine.sayMoved(peer, now));
  }

  // --- the end ------------------------------------------------------------------------------------------------

  /** Note that the room is closed for all, or that this side asks for it; false: it is refused. */
  roomClosing(closes: boolean): void {
    this.step((now) => this.machine.roomClosing(closes, now));
    if (closes) this.#roomCloses.resolve();
    else this.#roomCloses = new Deferred();
  }

  /**
   * Note that the `closing` handlers have ended. If the other side says that the room is closed for all, this side's
   * server is heard first: a receipt names that cause only if its own side knows it.
   */
  async handlersOver(): Promise<void> {
    const { closing, roomCloses } = this.machine;
    if (closing?.reason.code === ROOM_CLOSED && !roomCloses) {
      await within(ROOM_TOLD, this.platform, this.#roomCloses.promise);
    }
    this.lastWordsOver();
  }

  /** Let the end come, once the last words of the `closing` handlers are heard, spoken ones too. */
  lastWordsOver(): void {
    const speaking = this.usesMedia;
    this.step((now) => this.machine.lastWordsOver(now, speaking));
    if (speaking) this.finishMedia(true);
  }

  /** Whether there is media to account for. */
  get usesMedia(): boolean {
    return [...this.connections.values()].some(({ pc }) => pc.getTransceivers().length);
  }

  /** Let what was said before be heard, and count media until the last word; the deadline ends both. */
  finishMedia(heard: boolean): void {
    import("./media-account.js")
      .then(({ finish }) => finish(this, heard))
      .catch(() => undefined) // it cannot be loaded, or the connection is lost
      .then(() => this.step((now) => this.machine.mediaFinished(now)));
  }

  /** Take what the server says of the other side. */
  presenceChanged(presence: Presence, reloaded = false): void {
    this.note("<", { type: "presence", presence, reloaded });
    this.step((now) => this.machine.presenceChanged(presence, now, reloaded));
  }

  /** Take the answer to a probe. */
  probed(byPeer: boolean, alive: boolean): void {
    this.note("<", { type: "probed", byPeer, alive });
    this.step((now) => this.machine.probed(byPeer, alive, now));
  }
}
