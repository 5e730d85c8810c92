/**
 * The signaling client without a network.
 *
 * Theory of operation. One *seat* at the server outlives many sockets. While a socket is open, `hello` asks for the old
 * seat (or a new one) and `welcome` answers. Requests wait for their answer and are sent again on a new socket. Relayed
 * messages are numbered, kept until they are acknowledged, and sent again only if the server does not have them. Both
 * keep the order in which the user made them.
 *
 *     resting ──time──> dialing ──open──> greeting ──welcome──> connected ─quit──> leaving
 *        ^                 │ lost            │ lost                │ lost            │ goodbye, lost, time
 *        └─────────────────┴─────────────────┴─────────────────────┘                 v
 *                           a final code ────────────────────────────────────────> over
 *
 * The shell looks at `want` (dial, talk, wait, or nothing), and feeds the frames of the socket. It calls `pollTransmit`
 * and `pollOutput` until they are undefined, and calls `handleTimeout` at `pollTimeout`. Times are seconds.
 */

import { utf8 } from "../bytes.js";
import { Deque } from "../deque.js";
import { SignalingError, SignalingLostError, SignalingRefusedError } from "../errors.js";
import { Bucket } from "../protocol/bucket.js";
import {
  type CloseRoom,
  type Envelope,
  type ErrorMessage,
  type FromServer,
  type IceServersRequest,
  type Join,
  type Joined,
  type Kick,
  type Leave,
  type Left,
  type Limits,
  type Probe,
  type Quit,
  type Refresh,
  VERSION,
  type Welcome,
} from "../protocol/messages.js";
import { Incoming, Outgoing } from "../protocol/replay.js";
import { decodeClient, decodeServer, encodeBody, isFinal, type Relayed, wrap } from "../protocol/signaling.js";
import type { SignalingEvent } from "./events.js";
import { delay, type Policy } from "./policy.js";

const ACK_MESSAGES = 16;
const ACK_DELAY = 0.5;
/** The part of the server's limit of messages a second that is used: evenly sent messages may arrive in a bunch. */
const PACE = 0.9;
/** Seconds that the server may take to answer while a peer is silent. */
const DOUBT = 2;
const MAX_REQUESTS = 256;
const MAX_PROBED = 64;
const REMEMBERED = 64;
/** At most, around a message: three members of up to 16 digits. */
const ENVELOPE_BYTES = 80;
const DEFAULT_MESSAGE_BYTES = 64 * 1024;

export type Request = Join | Leave | IceServersRequest | Refresh | Kick | CloseRoom | Probe;

type State =
  /** No socket, until then. */
  | { name: "resting"; until: number }
  /** A socket is being opened. */
  | { name: "dialing"; until: number }
  /** The socket is open, and `hello` is sent or about to be sent. */
  | { name: "greeting"; until: number }
  /** Welcome. */
  | { name: "connected"; since: number }
  /** Earlier messages are still sent, then `quit`. */
  | { name: "leaving"; until: number }
  /** For good. */
  | { name: "over" };

/** An instruction of the machine to its shell. */
export type Want = "wait" | "dial" | "talk" | "nothing";

const WANT: Record<State["name"], Want> = {
  resting: "wait",
  dialing: "dial",
  greeting: "talk",
  connected: "talk",
  leaving: "talk",
  over: "nothing",
};

/** A request was granted. */
export interface Answer {
  type: "answer";
  request: number;
  message: FromServer;
}

/** A request was refused, or has no answer. */
export interface Refusal {
  type: "refusal";
  request: number;
  error: SignalingError;
}

/** A peer has answered a probe itself. */
export interface Alive {
  type: "alive";
  peer: string;
}

export type Output = SignalingEvent | Answer | Refusal | Alive;

/** A request without an answer yet. `until` undefined: the machine's own. */
interface Waiting {
  message: Request | Quit;
  until: number | undefined;
}

/** A relayed message that the server has not acknowledged. */
interface Sent {
  request: number;
  message: Relayed;
  body: string;
}

/** A frame that waits to be sent. Requests and relayed messages share one count, which is their order. */
interface Frame {
  request: number;
  seq: number | undefined;
  body: string;
}

export interface SignalingMachineInit {
  policy: Policy;
  /** The name that people see. */
  name?: string;
  /** Draws from [0, 1), for the waits between attempts. */
  random: () => number;
}

/** One client of one server. */
export class SignalingMachine {
  state: State = { name: "over" };
  peer = "";
  welcome: Welcome | undefined;
  /** Takes the seat back, and frees it when the page goes away. */
  resumeToken: string | undefined;
  /** The number of frames from the server that could not be read, and were dropped. */
  badFrames = 0;
  readonly #policy: Policy;
  readonly #name: string;
  readonly #random: () => number;
  #tokenShown: string | undefined;
  #rooms = new Map<string, Join>();
  #outputs = new Deque<Output>();
  #attempt = 0;
  #lastError: ErrorMessage | undefined;
  // The seat, and what is said in it.
  #count = 0;
  #waiting = new Map<number, Waiting>();
  #outgoing = new Outgoing<Sent>();
  #incoming = new Incoming();
  #remembered: Sent[] = [];
  // This socket.
  #helloDue = false;
  #frames = new Deque<Frame>();
  #probed = new Map<string, Probe>();
  #ackAt: number | undefined;
  #bucket: Bucket | undefined;
  #heardAt = 0;
  /** When the server counts as lost, if nothing is heard until then. */
  #aliveBy: number | undefined;

  constructor({ policy, name = "", random }: SignalingMachineInit) {
    this.#policy = policy;
    this.#name = name;
    this.#random = random;
  }

  /** Return what the shell must do now. */
  get want(): Want {
    return WANT[this.state.name];
  }

  /** Whether the server is there. */
  get up(): boolean {
    return this.state.name === "connected";
  }

  // --- from the user --------------------------------------------------------------------------------------------

  /** Begin: `want` is "dial" from now on. */
  start(now: number): void {
    this.state = { name: "dialing", until: now + this.#policy.openTimeout };
  }

  /**
   * Ask the server; `answer` or `refusal` comes with the number returned, within the policy's time.
   *
   * @throws TypeError the message is not one that the protocol allows; says which member.
   * @throws SignalingError it is over, or too much is waiting.
   */
  request(message: Request, now: number): number {
    const body = this.#checked(message);
    if (this.state.name === "leaving" || this.state.name === "over") {
      throw new SignalingLostError(`the client has ended and cannot send a ${message.type}`);
    }
    if (this.#waiting.size >= MAX_REQUESTS) throw new SignalingError(`${MAX_REQUESTS} requests wait already`);
    // A peer is silent: perhaps this page is cut off, from the server too.
    if (message.type === "probe") this.#aliveBy = Math.min(this.#aliveBy ?? now + DOUBT, now + DOUBT);
    return this.#ask(message, body, now + this.#policy.requestTimeout);
  }

  /** Forget a request whose waiter is gone. If the room is joined nevertheless, leave it again. */
  abandon(request: number): void {
    this.#waiting.delete(request);
  }

  /**
   * Have a message passed on. It is numbered and kept; when there is no room it is `undelivered`.
   *
   * @throws TypeError the message is not one that the protocol allows, or too long; says which member.
   */
  send(message: Relayed): void {
    const body = this.#checked(message);
    const to = message.to;
    if (!to) throw new TypeError(`a ${message.type} without \`to\`: name the peer that it is for`);
    if (this.state.name === "leaving" || this.state.name === "over") return;
    const { outboxMessages, outboxBytes } = this.#policy;
    if (this.#outgoing.length >= outboxMessages || this.#outgoing.size + body.length > outboxBytes) {
      const text = `${this.#outgoing.length} messages already wait for the server`;
      this.#outputs.push({ type: "undelivered", to, code: "full", text, message });
      return;
    }
    const request = ++this.#count;
    const seq = this.#outgoing.add({ request, message, body }, body.length);
    if (this.up) this.#frames.push({ request, seq, body });
  }

  /** Leave for good, after all that was said before. */
  quit(reason: string, now: number): void {
    if (this.state.name === "connected") {
      const message: Quit = { type: "quit", reason };
      this.#ask(message, this.#checked(message), undefined);
      this.state = { name: "leaving", until: now + this.#policy.quitTimeout };
    } else if (this.want !== "nothing" && this.state.name !== "leaving") {
      this.#end(undefined);
    }
  }

  #checked(message: Request | Relayed | Quit): string {
    const body = encodeBody(message);
    const size = utf8(body).length + ENVELOPE_BYTES;
    const limit = this.welcome?.limits.messageBytes ?? DEFAULT_MESSAGE_BYTES;
    if (size > limit) throw new TypeError(`a ${message.type} of ${size} bytes; the server takes ${limit} at most`);
    decodeClient(body); // types do not check what comes from elsewhere
    return body;
  }

  #ask(message: Request | Quit, body: string, until: number | undefined): number {
    const request = ++this.#count;
    this.#waiting.set(request, { message, until });
    if (this.up) this.#frames.push({ request, seq: undefined, body });
    return request;
  }

  // --- from the socket ------------------------------------------------------------------------------------------

  /** The socket is open; `token` says who we are. */
  handleOpen(token: string | undefined): void {
    if (this.state.name !== "dialing") return;
    this.state = { name: "greeting", until: this.state.until };
    this.#tokenShown = token;
    this.#helloDue = true;
  }

  /** Handle a frame from the socket. One that cannot be read is counted and dropped. */
  handleFrame(data: unknown, now: number): void {
    if (this.want !== "talk") return;
    this.#heardAt = now;
    this.#aliveBy = undefined;
    let envelope: Envelope;
    let message: FromServer | undefined;
    try {
      if (typeof data !== "string") throw new TypeError("not text");
      ({ envelope, message } = decodeServer(data));
    } catch (error) {
      this.badFrames++;
      // Without a welcome there is nothing to go on with; of later frames each is dropped by itself.
      if (this.state.name !== "greeting") return;
      this.handleLost(`the server speaks another version: ${(error as Error).message}`, now);
      return;
    }
    try {
      if (message?.type === "welcome") this.#welcomed(message, envelope, now);
      else if (this.state.name !== "greeting") this.#received(message, envelope, now);
      else if (message?.type === "error") this.#lastError = message;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // The count does not fit: this socket is no use, and a new one begins where both know that they are.
      this.handleLost(`the server has miscounted: ${error.message}`, now);
    }
  }

  /**
   * The socket has ended, or could not be opened.
   *
   * @param reason for a person.
   * @param code the WebSocket close code, if the server has said one.
   * @param final coming again is pointless for another reason than the code.
   */
  handleLost(reason: string, now: number, { code, final = false }: { code?: number; final?: boolean } = {}): void {
    const state = this.state;
    if (state.name === "over" || state.name === "resting") return;
    if (state.name === "leaving") {
      this.#end(undefined);
      return;
    }
    if (state.name === "connected" && now - state.since >= this.#policy.steadyAfter) this.#attempt = 0;
    // A close frame holds 123 bytes: what the server has said before it is the same, or more.
    const said = this.#lastError?.message ?? "";
    const why = said.startsWith(reason) ? said : said ? `${reason}: ${said}` : reason;
    if (final || (code !== undefined && isFinal(code))) {
      this.#end(new SignalingRefusedError(why, code ?? this.#lastError?.code ?? "refused"));
      return;
    }
    const retryIn = delay(this.#policy, ++this.#attempt, this.#random());
    this.#forgetSocket();
    this.state = { name: "resting", until: now + retryIn };
    this.#outputs.push({ type: "down", reason: why, retryIn, byServer: code !== undefined });
  }

  #forgetSocket(): void {
    this.#helloDue = false;
    this.#lastError = undefined;
    this.#frames.clear();
    this.#probed.clear();
    this.#ackAt = this.#aliveBy = undefined;
  }

  #end(error: SignalingError | undefined): void {
    const cause = error ?? new SignalingLostError("the client has quit");
    for (const [request, { until }] of this.#waiting) {
      if (until !== undefined) this.#outputs.push({ type: "refusal", request, error: cause });
    }
    this.#waiting.clear();
    this.#giveBack("ended", cause.message);
    this.#forgetSocket();
    this.state = { name: "over" };
    this.#outputs.push({ type: "ended", error });
  }

  #giveBack(code: string, text: string): void {
    for (const [, { message }] of this.#outgoing.kept()) {
      this.#outputs.push({ type: "undelivered", to: message.to ?? "", code, text, message });
    }
    this.#outgoing = new Outgoing();
  }

  // --- welcome --------------------------------------------------------------------------------------------------

  #welcomed(message: Welcome, envelope: Envelope, now: number): void {
    if (this.state.name !== "greeting") {
      this.badFrames++;
      return;
    }
    const old = this.peer;
    if (message.resumed) this.#acknowledged(envelope.ack ?? 0);
    this.state = { name: "connected", since: now };
    this.welcome = message;
    this.peer = message.peer;
    this.resumeToken = message.resumeToken;
    this.#lastError = undefined;
    if (!this.#bucket || !message.resumed) this.#bucket = pace(message.limits, now);
    if (!message.resumed) {
      this.#incoming = new Incoming();
      if (old) {
        this.#outputs.push({ type: "seatMoved", old, now: message.peer });
        this.#giveBack("moved", "the seat was lost, and the message may be");
      }
    }
    this.#outputs.push({ type: "up", peer: message.peer, resumed: message.resumed });
    this.#sayAgain(!message.resumed);
  }

  /** Send again what the server has not answered or acknowledged, in the original order. */
  #sayAgain(rejoin: boolean): void {
    const frames: Frame[] = [];
    for (const [request, { message }] of this.#waiting) {
      frames.push({ request, seq: undefined, body: encodeBody(message) });
    }
    for (const [seq, { request, body }] of this.#outgoing.kept()) frames.push({ request, seq, body });
    frames.sort((one, other) => one.request - other.request);
    if (rejoin) {
      const asked = new Set([...this.#waiting.values()].map(({ message }) => message.type === "join" && message.room));
      for (const [room, join] of this.#rooms) {
        if (asked.has(room)) continue;
        this.#waiting.set(++this.#count, { message: join, until: undefined });
        frames.unshift({ request: this.#count, seq: undefined, body: encodeBody(join) });
      }
    }
    this.#frames.clear();
    this.#frames.prepend(frames);
  }

  // --- after welcome --------------------------------------------------------------------------------------------

  #received(message: FromServer | undefined, envelope: Envelope, now: number): void {
    let isNew = true;
    if (envelope.seq != null) {
      isNew = this.#incoming.accept(envelope.seq);
      this.#ackAt ??= now + ACK_DELAY;
    }
    if (!message) this.badFrames++;
    else if (isNew) this.#taken(message, envelope);
    // After the message: an error names a message of ours that this acknowledgement makes us forget.
    if (envelope.ack != null) this.#acknowledged(envelope.ack);
  }

  #acknowledged(upTo: number): void {
    this.#remembered = [...this.#remembered, ...this.#outgoing.acknowledge(upTo)].slice(-REMEMBERED);
  }

  #taken(message: FromServer, envelope: Envelope): void {
    const request = envelope.id ?? undefined;
    switch (message.type) {
      case "welcome":
      case "refreshed":
      case "iceServersAre":
      case "ack":
        this.#answered(request, message);
        break;
      case "goodbye":
        this.#acknowledged(envelope.ack ?? 0);
        this.#end(undefined);
        break;
      case "joined":
        this.#joined(request, message);
        break;
      case "left":
        this.#left(request, message);
        break;
      case "error":
        this.#refused(request, message);
        break;
      case "probe":
        this.#probe(request, message);
        break;
      default:
        this.#outputs.push(message);
    }
  }

  #answered(request: number | undefined, message: FromServer): Waiting | undefined {
    if (request === undefined) return undefined;
    const waiting = this.#waiting.get(request);
    this.#waiting.delete(request);
    if (waiting?.until !== undefined) this.#outputs.push({ type: "answer", request, message });
    return waiting;
  }

  #joined(request: number | undefined, message: Joined): void {
    const waiting = this.#answered(request, message);
    if (waiting?.message.type === "join") {
      this.#rooms.set(message.room, waiting.message);
      this.#outputs.push(message);
    } else if (!this.#rooms.has(message.room)) {
      // Whoever asked has gone away meanwhile.
      const leave: Leave = { type: "leave", room: message.room };
      this.#ask(leave, encodeBody(leave), undefined);
    }
  }

  #left(request: number | undefined, message: Left): void {
    const waiting = this.#answered(request, message);
    if (this.#rooms.delete(message.room) && !waiting) {
      const text = message.text || "the server says that we are no longer in it";
      this.#outputs.push({ type: "roomLost", room: message.room, code: message.code || "denied", text });
    }
  }

  #refused(request: number | undefined, error: ErrorMessage): void {
    if (request === undefined) {
      this.#lastError = error;
      this.#outputs.push(error);
      return;
    }
    const { code, message: text } = error;
    const waiting = this.#waiting.get(request);
    if (waiting) {
      this.#waiting.delete(request);
      if (waiting.until !== undefined) {
        this.#outputs.push({ type: "refusal", request, error: new SignalingRefusedError(text, code) });
      } else if (waiting.message.type === "join") {
        this.#rooms.delete(waiting.message.room);
        this.#outputs.push({ type: "roomLost", room: waiting.message.room, code, text });
      }
      return;
    }
    const kept = this.#outgoing.kept().map(([, sent]) => sent);
    const message = [...kept, ...this.#remembered].find((sent) => sent.request === request)?.message;
    const to = message?.to ?? error.peer;
    if (to) this.#outputs.push({ type: "undelivered", to, code, text, message });
  }

  #probe(request: number | undefined, message: Probe): void {
    const from = message.from;
    if (!from) this.#answered(request, message);
    else if (message.alive != null) this.#outputs.push({ type: "alive", peer: from });
    else if (this.#probed.size < MAX_PROBED) {
      this.#probed.set(from, { type: "probe", to: from, session: message.session ?? "", alive: true });
    }
  }

  // --- to the socket --------------------------------------------------------------------------------------------

  /** The next frame to write; undefined: nothing now. */
  pollTransmit(now: number): string | undefined {
    if (this.#helloDue) {
      this.#helloDue = false;
      return this.#hello();
    }
    if ((this.state.name !== "connected" && this.state.name !== "leaving") || !this.#bucket) return undefined;
    this.#dropAnswered();
    const due = this.#frames.length || this.#probed.size || this.#ackDue(now);
    if (!due || !this.#bucket.take(now)) return undefined;
    const ack = this.#incoming.say();
    this.#ackAt = undefined;
    const frame = this.#frames.shift();
    if (frame) return wrap(frame.body, enveloped(frame.request, frame.seq, ack));
    for (const [from, probe] of this.#probed) {
      this.#probed.delete(from);
      return wrap(encodeBody(probe), enveloped(undefined, undefined, ack));
    }
    return wrap(encodeBody({ type: "ack" }), enveloped(undefined, undefined, ack));
  }

  #hello(): string {
    const resume = this.resumeToken ? { token: this.resumeToken, lastSeq: this.#incoming.last } : null;
    return encodeBody({ type: "hello", version: VERSION, name: this.#name, token: this.#tokenShown ?? null, resume });
  }

  /** A request that was abandoned before it was said is not said. */
  #dropAnswered(): void {
    for (let next = this.#frames.first(); next && next.seq === undefined; next = this.#frames.first()) {
      if (this.#waiting.has(next.request)) return;
      this.#frames.shift();
    }
  }

  #ackDue(now: number): boolean {
    return this.#incoming.unsaid >= ACK_MESSAGES || (this.#ackAt !== undefined && now >= this.#ackAt);
  }

  // --- to the driver --------------------------------------------------------------------------------------------

  /** Return the next event; undefined: no event is left. */
  pollOutput(): Output | undefined {
    return this.#outputs.shift();
  }

  /**
   * When to call `handleTimeout`, and `pollTransmit` after it; undefined: not before something else happens.
   *
   * @param canWrite a frame can be written at once. If not, the time of the next frame is left out: it may be past.
   */
  pollTimeout(canWrite = true): number | undefined {
    const state = this.state;
    if (state.name === "over") return undefined;
    const times: number[] = [];
    for (const { until } of this.#waiting.values()) if (until !== undefined) times.push(until);
    if (state.name !== "connected") times.push(state.until);
    if (state.name === "connected") times.push(this.#silentAt());
    if (canWrite && (state.name === "connected" || state.name === "leaving")) {
      const ready = this.#bucket?.readyAt() ?? 0;
      if (this.#frames.length || this.#probed.size) times.push(ready);
      else if (this.#ackAt !== undefined) times.push(Math.max(ready, this.#ackAt));
    }
    return Math.min(...times);
  }

  /** When the server's silence is to be looked at. */
  #silentAt(): number {
    return this.#aliveBy ?? this.#heardAt + this.#policy.ping;
  }

  /** Do what is due. */
  handleTimeout(now: number): void {
    const state = this.state;
    const { openTimeout, requestTimeout } = this.#policy;
    if ("until" in state && now >= state.until) {
      if (state.name === "resting") this.start(now);
      else if (state.name === "leaving") this.#end(undefined);
      else this.handleLost(`no answer within ${openTimeout} s`, now);
    } else if (state.name === "connected" && now >= this.#silentAt()) {
      if (this.#aliveBy === undefined) this.#askForLife(now);
      else this.handleLost("the server does not answer", now);
    }
    for (const [request, { message, until }] of this.#waiting) {
      if (until === undefined || now < until) continue;
      this.#waiting.delete(request);
      const error = new SignalingLostError(`no answer to ${message.type} within ${requestTimeout} s`);
      this.#outputs.push({ type: "refusal", request, error });
    }
  }

  /** The server answers any probe, one for ourselves too; the answer needs nobody who waits for it. */
  #askForLife(now: number): void {
    this.#aliveBy = now + this.#policy.pong;
    const message: Probe = { type: "probe", to: this.peer };
    this.#waiting.set(++this.#count, { message, until: undefined });
    this.#frames.push({ request: this.#count, seq: undefined, body: encodeBody(message) });
  }
}

function enveloped(id: number | undefined, seq: number | undefined, ack: number | undefined): Envelope {
  return { id: id ?? null, seq: seq ?? null, ack: ack ?? null };
}

function pace(limits: Limits, now: number): Bucket {
  return new Bucket(Math.max(1, limits.messagesPerSecond * PACE), Math.max(1, limits.burst * PACE), now);
}
