/**
 * The state of a session machine, and the few functions that every procedure uses.
 *
 * Three parts describe a session. Each is an object that exists only while it applies:
 *
 * - `phase` until the session closes, then `closing` with its steps: `state` is the name that follows from them;
 * - `silence`, from the first question without an answer until the other side is heard;
 * - `reset`, from its beginning to its end, also while the session is silent or closes.
 *
 * Each procedure has a file, which imports only the files before it: `heartbeat.ts`, `channels.ts`,
 * `ending.ts`, `connections.ts`, `reset.ts`, `close.ts` (and the account at its end, `account.ts`), `recovery.ts`,
 * `progress.ts`; `machine.ts` has the inputs.
 */

import { compare } from "../../bytes.js";
import { Deque } from "../../deque.js";
import type { Level, Word } from "../../protocol/control.js";
import * as control from "../../protocol/control.js";
import { receiptId, sessionId } from "../../protocol/ids.js";
import type * as messages from "../../protocol/messages.js";
import { line } from "../../protocol/text.js";
import type { Action, Event, StateName } from "./actions.js";
import { Budget, leastBudget } from "./budget.js";
import { PeerEvidence } from "./cause.js";
import type { agree } from "./media.js";
import { DEFAULTS, type Options } from "./options.js";
import type { Outcome, StepReceipt } from "./receipt.js";
import type { Receiver } from "./receiver.js";
import { Remembered } from "./remembered.js";
import type { Sender } from "./sender.js";

/** The states of a session that does not close. */
export type Phase = "connecting" | "open" | "suspect" | "recovering" | "resetting";

/**
 * How a connection ended: the other side closed it; it was closed here, but not by the session; it broke; its
 * certificate was not the one announced.
 */
export type LossKind = "left" | "closed" | "failed" | "security";

/** The timers of a session, except `helloBy` (hello of a connection) and `Repeat.due` (effect of a message). */
export type Timer =
  | "connect"
  | "ack"
  | "ping"
  | "suspect"
  | "fresh"
  | "ladder"
  | "farewell"
  | "network"
  | "reset"
  | "peer-reset"
  | "drain"
  | "end"
  | "channels"
  | "progress";

/** A session channel's data channel on one connection. */
export interface ChannelOnConnection {
  open: boolean;
  /** An upper estimate of its bufferedAmount. */
  buffered: number;
  /** `AskDrained` is out. */
  asked: boolean;
  /** Whether it is being closed: it carries nothing, and its id is free afterwards. */
  closing?: boolean;
}

/** One connection. */
export class ConnectionState {
  /** The largest SCTP message that the other side's engine accepts. */
  maxMessage = 65536;
  controlOpen = false;
  /** The other side's offer has come. */
  described = false;
  heardHello = false;
  /** When its engine was heard last, if it was found alive while no hello came. */
  aliveAt: number | undefined;
  /** The data channels, by stream id. */
  channels = new Map<number, ChannelOnConnection>();

  constructor(
    readonly epoch: number,
    /** When its hello is due; undefined once it has come, or is not waited for. */
    public helloBy: number | undefined,
  ) {}

  /** Return an upper estimate of the bytes that all its data channels buffer. */
  get buffered(): number {
    let sum = 0;
    for (const { buffered } of this.channels.values()) sum += buffered;
    return sum;
  }
}

export interface Kind {
  ordered: boolean;
  reliability: messages.Reliability;
}

/** A named channel. */
export interface Channel extends Kind {
  name: string;
  /** The stream id of its data channel on every connection. */
  id: number;
  /** This side's `open` is the one that counts. */
  mine: boolean;
  open: boolean;
  /** Every message arrives, or the receipt says which did not. */
  reliable: boolean;
  sender: Sender;
  receiver: Receiver;
  /** `dataReceived` returns the next message. */
  readerWaits: boolean;
  /** The close that is under way, or over. */
  end?: ChannelEnd;
}

/** The close of a channel, while the session goes on. */
export interface ChannelEnd {
  by: "local" | "remote" | "both";
  reason: string;
  readonly began: number;
  /** When the application learns of the end at the latest. */
  deadline: number;
  drainUntil: number;
  /** When something new of this channel last came. */
  progressed: number;
  /** This side's application has asked for it: its time is kept, whatever the other side says. */
  own: boolean;
  /** Last words: the other side closes, and the `closing` handlers here have not ended. */
  maySend: boolean;
  /** How many messages the other side sends, once that is known. */
  final?: number;
  saidDone: boolean;
  heardDone: boolean;
  /** This side's last word: from then on it neither sends nor takes. */
  said?: messages.ChannelAccount;
  /** The other side's last word. */
  heard?: messages.ChannelAccount;
  /** Each side is known to have both last words: the data channel is reset, and all of it is forgotten. */
  agreed: boolean;
  /** The other side closes its data channel, or has forgotten the channel. */
  heardGone: boolean;
  /** The connection on which one side has said `gone`. */
  goneOn?: number | undefined;
  /** Whether the application knows of the end. The rest is for the other side. */
  over: boolean;
  /** The connection that carried the last stage of this side; on another it is said again. */
  spokenOn?: number;
  /** The last stage said there: 1 closing, 2 done, 3 closed, 4 closed and heard. */
  spoken: number;
}

/** The other side owes an answer. */
export interface Silence {
  /** When the first question was asked that has no answer: the ladder counts from here. */
  readonly since: number;
  /** New connections in this silence. */
  attempts: number;
  /** Whether one of them does not count, as the other side gave it up: it is tried again soon, once. */
  excused: boolean;
  /** Whether it has lasted so long that it is no accident. */
  suspected: boolean;
}

/** The reset that is under way. */
export interface Reset {
  level: Level;
  /** The epoch of the new connection; for `ice` of the current one. */
  epoch: number;
  asker: string;
  n: number;
  began: number;
  /** Whether the recovery started it: then it ends when the old connection heals. */
  recovery: boolean;
  /** Whether a change of this machine's network started it: the new path is wanted even if the old one still works. */
  renews?: boolean;
  phase: "asked" | "building" | "switching";
  /** `ice`: the ping whose answer proves the new path. */
  ping?: number;
  /** How its connection ended, if it was closed on purpose. */
  lost?: string;
  /** Asked for when it was too late to raise this one: the level of the next. */
  raisedTo?: Level;
}

/** The memory between two resets. */
export class Resets {
  /** How many this side has asked for. */
  asked = 0;
  /** Until then the side that offers may still be making a path, in an `ice` reset that was given up here. */
  icePendingUntil = 0;
  /** The highest number of each asker. */
  known = new Map<string, number>();
  waiting: messages.Reset | undefined;
  pestered = 0;
  #tokens = 0;
  #filled: number | undefined;

  constructor(private readonly options: Options) {}

  /** Whether a reset that the other side asks for may begin now: a burst, then one in so many seconds. */
  admit(now: number): boolean {
    const { peerResetsBurst, peerResetsEvery } = this.options;
    const gained = this.#filled === undefined ? peerResetsBurst : (now - this.#filled) / peerResetsEvery;
    this.#tokens = Math.min(this.#tokens + gained, peerResetsBurst);
    this.#filled = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

/** Until this side says `closed`: what was accepted goes out, and what comes is taken. */
export interface Drain {
  readonly name: "drain";
  readonly said?: undefined;
  /** Last words: the other side closes, and the `closing` handlers here have not ended. */
  maySend: boolean;
  /** Sound of this side is still to be heard. */
  speaking?: boolean;
}

/** Reset the data channels of the active connection. */
export interface CloseChannels {
  readonly name: "channels";
  said: messages.Closed;
  /** Those that are being closed (null: the control channel); undefined until the closing begins. */
  left?: Set<number | null>;
}

/** Release all connections; then wait for the other side's last word by signaling. */
export interface EndConnections {
  readonly name: "connection" | "clean-up";
  said: messages.Closed;
}

/** The session has ended. */
export interface Over {
  readonly name: "over";
  said: messages.Closed;
  readonly outcome: Outcome;
}

/** The close that is under way, or over; each step holds what exists only in it. */
export class Close {
  /** Late: the drain met its deadline. Abrupt: nobody waits for the other side. */
  ending: "orderly" | "late" | "abrupt" = "orderly";
  /** How much the other side sends on each channel, once it is known. */
  final: Map<string, number> | undefined;
  /** The time when this side's own `close()` must end; `deadline` is never later. */
  own: number | undefined;
  /** When something new last came of the other side. */
  progressed: number;
  saidDone = false;
  heardDone = false;
  heardClosed: messages.Closed | undefined;
  /** The other side had heard nothing from here, and ended it. */
  unheard = false;
  step: Drain | CloseChannels | EndConnections | Over = { name: "drain", maySend: false };
  stepBegan: number;
  /** Those that are done. */
  steps: StepReceipt[] = [{ name: "announce", start: 0, duration: 0, outcome: "ok" }];
  reason: messages.Reason;

  constructor(
    public by: Outcome["by"],
    { code, text = "" }: messages.Reason,
    readonly began: number,
    public deadline: number,
    public drainUntil: number,
    public cause = "",
  ) {
    const said = line(text);
    this.reason = { code, ...(said && { text: said }) };
    this.stepBegan = this.progressed = began;
  }

  /** Seconds for the steps after the drain. */
  get kept(): number {
    return this.deadline - this.drainUntil;
  }

  /** Nobody waits for the other side. */
  get isAbrupt(): boolean {
    return this.ending === "abrupt";
  }

  /** This side has asked for the end, and may give the other more time. */
  get isCloser(): boolean {
    return this.by === "local" || this.by === "both";
  }

  /** Last words are accepted. */
  get maySend(): boolean {
    return this.step.name === "drain" && this.step.maySend;
  }

  /** This side's last word, once it is said. */
  get saidClosed(): messages.Closed | undefined {
    return this.step.said;
  }

  /** The account, once the session has ended. */
  get outcome(): Outcome | undefined {
    return this.step.name === "over" ? this.step.outcome : undefined;
  }
}

/** A word said in-band whose effect has not been seen yet. */
export interface Repeat {
  word: Word;
  /** When to say it by signaling too. */
  due: number;
}

export interface MachineInit {
  /** This side's peer id. */
  me: string;
  /** The peer id of the other side; empty if it is not known yet (then `identify` follows before its first control message). */
  peer: string;
  /** Where they met; part of the session's id. */
  room?: string;
  /** The number of this session of the two peers; part of its id. */
  n?: number;
  /** Whether this side takes the part of the smaller peer id; by default they are compared. */
  smaller?: boolean;
  options?: Partial<Options>;
  /** Messages that were taken in earlier sessions. */
  remembered?: Remembered;
}

/** Somebody watches the steps of a close or a reset: the one that was reported last, and when to report it again. */
export interface Watch {
  step: string;
  due: number;
  look(m: MachineState): void;
}

/** One side of a session: its data, what it has to do, and what it has to report. */
export class MachineState {
  readonly me: string;
  readonly room: string;
  readonly n: number;
  /** This side offers, and is the polite one. */
  readonly smaller: boolean;
  readonly options: Options;
  readonly remembered: Remembered;
  readonly budget: Budget;
  peer = "";
  session = "";
  receipt = "";
  /** The time of the last input. */
  now = 0;
  phase: Phase = "connecting";
  /** Set once; from then on `phase` says nothing. */
  closing: Close | undefined;
  /** The room is closed for all, or this side asks for it. */
  roomCloses = false;
  silence: Silence | undefined;
  reset: Reset | undefined;
  resets: Resets;
  connections = new Map<number, ConnectionState>();
  /** The connection that carries what is sent. */
  active: number | undefined;
  lastEpoch = 0;
  /** Connections that were ended and still hold something. */
  releasing = new Set<number>();
  channels = new Map<string, Channel>();
  byId = new Map<number, Channel>();
  /** Channels that are being closed. */
  ending = new Map<string, Channel>();
  /** Channels that the other side opens while an earlier one holds the name or the id; by stream id. */
  later = new Map<number, messages.Open>();
  /** Channels for whose credit there was no room, the one that has waited longest first. */
  hungry = new Map<string, Channel>();
  evidence = new PeerEvidence();
  /** Mid to this side's account, for its last word. */
  media = new Map<string, messages.MediaAccount>();
  /** Returns the media of the agreed part; set with the account. */
  agreeMedia: typeof agree | undefined;
  /** Return the capabilities of both sides: known from the first `hello` on, and fixed for the session's life. */
  capabilities: ReadonlySet<string> = new Set();
  lastHeard = 0;
  /** How many were sent. */
  pings = 0;
  /** This side's new peer id, after its server was restarted. */
  movedTo = "";
  /** The stream id of the next channel that this side opens. */
  nextId: number;
  /** Somebody watches the steps of a close or a reset. */
  watch: Watch | undefined;
  timers = new Map<Timer, number>();
  /** Messages by type. */
  words = new Map<Word["type"], Repeat>();
  #actions = new Deque<Action>();
  #events = new Deque<Event>();

  constructor({ me, peer, room = "", n = 1, smaller, options, remembered }: MachineInit) {
    this.me = me;
    this.room = room;
    this.n = n;
    this.smaller = smaller ?? compare(me, peer) < 0;
    this.identify(peer);
    this.options = { ...DEFAULTS, ...options };
    const { budget, window, maxMessage, maxChannels, recovery } = this.options;
    if (typeof recovery?.step !== "function") {
      throw new TypeError(`recovery=${String(recovery)}: it needs a method step(silence, attempts), as Ladder has`);
    }
    const least = leastBudget(window, maxMessage, maxChannels);
    if (budget < least) {
      throw new RangeError(
        `budget=${budget}: a session with window=${window}, maxMessage=${maxMessage} and maxChannels=${maxChannels} ` +
          `needs ${least} bytes; raise it, or lower one of these`,
      );
    }
    this.budget = new Budget(budget, window, maxMessage);
    this.remembered = remembered ?? new Remembered();
    this.resets = new Resets(this.options);
    this.nextId = this.smaller ? control.FIRST_ID_SMALLER : control.FIRST_ID_LARGER;
  }

  // --- out ---------------------------------------------------------------------------------------------------

  /** Return the next thing to do. */
  pollAction(): Action | undefined {
    return this.#actions.shift();
  }

  /** Return the next thing to report to the application. */
  pollEvent(): Event | undefined {
    return this.#events.shift();
  }

  /** Return when to call `handleTimeout` at the latest. */
  pollTimeout(): number | undefined {
    const due = [...this.timers.values()];
    for (const { helloBy } of this.connections.values()) if (helloBy !== undefined) due.push(helloBy);
    for (const repeat of this.words.values()) due.push(repeat.due);
    return due.length ? Math.min(...due) : undefined;
  }

  /** Keep a line of evidence. */
  note(text: string): void {
    this.evidence.note(this.now, text);
  }

  /** Set a timer, `seconds` from now. */
  wakeIn(timer: Timer, seconds: number): void {
    this.timers.set(timer, this.now + seconds);
  }

  /** Have it done. */
  act(action: Action): void {
    this.#actions.push(action);
  }

  /** Have it reported to the application. */
  report(event: Event): void {
    this.#events.push(event);
  }

  // --- the state ---------------------------------------------------------------------------------------------

  /** The name of the state. */
  get state(): StateName {
    if (!this.closing) return this.phase;
    return this.closing.outcome ? "closed" : "closing";
  }

  /** The account of the session, once it has ended. */
  get outcome(): Outcome | undefined {
    return this.closing?.outcome;
  }

  /** The other side is silent, and the application knows it. */
  get isTroubled(): boolean {
    return this.state === "suspect" || this.state === "recovering";
  }

  /** Set the phase. */
  enter(phase: Phase, cause = ""): void {
    if (phase === this.phase) return;
    const previous = this.phase;
    this.phase = phase;
    this.changed(previous, cause);
  }

  /** Report the state, which was another one before. */
  changed(previous: StateName, cause: string): void {
    this.evidence.reported = cause;
    const evidence = cause ? this.evidence.lines() : [];
    this.report({ type: "StateChanged", state: this.state, previous, cause, evidence });
  }

  /** Note the other side's peer id: the ids of the session and of the receipt follow from it. */
  identify(peer: string): void {
    this.peer = peer;
    this.session = sessionId(this.room, this.me, peer, this.n);
    this.receipt = receiptId(this.session);
  }

  // --- what is said ------------------------------------------------------------------------------------------

  /** Send a message over the control channel of a connection. */
  sendControl(epoch: number, message: messages.ControlMessage): void {
    this.act({ type: "SendControl", epoch, text: control.encode(message) });
  }

  /** Say a word in-band; by signaling too at once (`both`), or if it has no effect for 250 ms (`repeat`). */
  say(word: Word, { epoch = this.speaking(), both = false, repeat = true } = {}): void {
    if (epoch !== undefined) this.sendControl(epoch, word);
    if (both || epoch === undefined) this.act({ type: "Signal", word });
    else if (repeat) this.words.set(word.type, { word, due: this.now + this.options.wordRepeat });
  }

  /** Do not repeat these words. */
  tookEffect(...types: Word["type"][]): void {
    for (const type of types) this.words.delete(type);
  }

  /** Return the connection whose control channel carries this side's words: the active one, or the last. */
  speaking(): number | undefined {
    if (this.active !== undefined) return this.active;
    return [...this.connections.values()].findLast((connection) => connection.heardHello)?.epoch;
  }

  /** Return what has arrived of each reliable channel without a gap. */
  have(): Map<string, number> {
    const have = new Map<string, number>();
    for (const { name, open, reliable, receiver } of this.channels.values()) {
      if (open && reliable) have.set(name, receiver.have);
    }
    return have;
  }
}
