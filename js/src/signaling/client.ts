/** The signaling client of a page: one WebSocket, and the machine that decides. */

import { checked, sendable, sendableJson } from "../bytes.js";
import { SignalingError, SignalingLostError, SignalingRefusedError } from "../errors.js";
import type { Platform } from "../platform.js";
import { abortable, Deferred, within } from "../promises.js";
import { type Closing, type FromServer, leavingType, type Peer } from "../protocol/messages.js";
import { CLOSE_CODES, type Relayed, SUBPROTOCOL } from "../protocol/signaling.js";
import { line } from "../protocol/text.js";
import type { SignalingEvent } from "./events.js";
import { type Request, SignalingMachine } from "./machine.js";
import { POLICY, type Policy } from "./policy.js";

const ROOM = "a room's name";
const PEER = "a peer's id";

/** A token for the server, or a function that fetches one. */
export type Token = string | (() => string | Promise<string>);

export interface SignalingInit {
  name?: string | undefined;
  /** A JWT, or a function that makes one: called for each connection and when a token is about to expire. */
  token?: Token | undefined;
  policy?: Partial<Policy> | undefined;
  platform: Platform;
  /** Called with each event, in order. */
  onEvent: (event: SignalingEvent) => void;
}

/** The result of a probe of a peer: the server has its socket; the program itself answered in time. */
export interface Probed {
  socket: boolean;
  program: boolean;
}

/**
 * A client of `adieu serve`: one WebSocket for any number of rooms.
 *
 * The client survives the loss of the server. It reconnects by itself, with waits that grow to two seconds, and takes
 * its seat back: no relayed message is lost or doubled. After a restart of the server it has a new peer id (event
 * `seatMoved`) and joins its rooms again.
 */
export class SignalingClient {
  readonly url: string;
  readonly #policy: Policy;
  readonly #machine: SignalingMachine;
  readonly #platform: Platform;
  readonly #token: Token | undefined;
  readonly #onEvent: (event: SignalingEvent) => void;
  readonly #answers = new Map<number, Deferred<FromServer>>();
  readonly #probes = new Map<string, Set<Deferred<void>>>();
  readonly #begun = new Deferred<void>();
  readonly #ended = new Deferred<void>();
  #socket: WebSocket | undefined;
  #patientUntil = 0;
  #dialing = false;
  /** Whether this side gave the last socket up: perhaps the network is cut. */
  #gaveUp = false;
  /** Ends the request that finds out whether the server answers. */
  #asking: AbortController | undefined;
  #stepping = false;
  #cancelTimer: (() => void) | undefined;

  /** @throws TypeError the url is not the url of a WebSocket. */
  constructor(url: string, { name = "", token, policy, platform, onEvent }: SignalingInit) {
    const { protocol } = new URL(url);
    if (protocol !== "ws:" && protocol !== "wss:") {
      throw new TypeError(`${url} is no signaling server: it looks like wss://host/ws`);
    }
    this.url = url;
    this.#policy = { ...POLICY, ...policy };
    this.#machine = new SignalingMachine({
      policy: this.#policy,
      name: checked("a person's name", name, 0, 256),
      random: platform.random,
    });
    this.#platform = platform;
    this.#token = token;
    this.#onEvent = onEvent;
  }

  /**
   * Connect. If the server is busy, try again for `policy.enterTimeout`.
   *
   * @throws SignalingLostError the server does not answer.
   * @throws SignalingRefusedError the server refuses this client; the reason names the remedy.
   */
  async open(signal?: AbortSignal): Promise<void> {
    const now = this.#platform.now();
    this.#patientUntil = now + this.#policy.enterTimeout;
    this.#machine.start(now);
    this.#step();
    try {
      await abortable(this.#begun.promise, signal);
    } catch (error) {
      void this.quit();
      throw error;
    }
  }

  /** Leave for good: what was sent before is sent first, within `policy.quitTimeout`. The seat is free at once. */
  quit(reason = ""): Promise<void> {
    this.#machine.quit(sendable(reason, 1024), this.#platform.now());
    this.#step();
    if (this.#machine.want === "nothing") this.#ended.resolve();
    return this.#ended.promise;
  }

  /**
   * The page goes away: say it, and free the seat, in a way that outlives the page. `ifGone`: it may be about to.
   * @internal
   */
  leavePage(closing: Closing[], ifGone = false): void {
    const { resumeToken } = this.#machine;
    if (!resumeToken) return;
    // ws://host/path/ws is the socket, http://host/path/v1/leave the place for last words; of a shard, it is below.
    const target = new URL("v1/leave", this.url.replace(/^ws/, "http").replace(/\/ws\/[\w-]+$/, "$&/"));
    this.#platform.beacon(target.href, leavingType.write({ resumeToken, closing, ifGone }));
  }

  // --- asking ---------------------------------------------------------------------------------------------------

  /** Our id, which others know us by. Another one after `seatMoved`. */
  get peer(): string {
    return this.#machine.peer;
  }

  /** The rights that the token grants here, as the server says: `kick`, `close`. */
  get can(): readonly string[] {
    return this.#machine.welcome?.can ?? [];
  }

  /** Whether the server is there. */
  get up(): boolean {
    return this.#machine.up;
  }

  /**
   * Join a room. The same list also comes as the event `joined`, in order with the other events.
   *
   * @returns the other peers in the room.
   * @throws SignalingRefusedError the room is full, or the token does not allow it (`code`).
   * @throws SignalingLostError no answer in time, or the client has ended.
   * @throws TypeError the name is not valid, or the metadata is too long.
   */
  async join(room: string, meta: Record<string, unknown> = {}, signal?: AbortSignal): Promise<Peer[]> {
    const message: Request = { type: "join", room: checked(ROOM, room, 1, 256), meta: sendableJson(meta) };
    return expect(await this.#ask(message, signal), "joined").peers;
  }

  /** Leave a room. Throws as `join`. */
  async leave(room: string, reason = ""): Promise<void> {
    const message: Request = { type: "leave", room: checked(ROOM, room, 1, 256), reason: sendable(reason, 1024) };
    expect(await this.#ask(message), "left");
  }

  /**
   * Return STUN and TURN servers with fresh credentials, and how many seconds they are valid (0: forever). Only after a
   * join. Throws as `join`.
   */
  async iceServers(): Promise<[servers: RTCIceServer[], seconds: number]> {
    const { iceServers, iceTtl = 0 } = expect(await this.#ask({ type: "iceServers" }), "iceServersAre");
    return [iceServers as RTCIceServer[], iceTtl];
  }

  /** Send a peer out; needs a token with the right `kick`. Throws as `join`. */
  async kick(peer: string, reason = ""): Promise<void> {
    const message: Request = { type: "kick", peer: checked(PEER, peer, 1, 128), reason: sendable(reason, 1024) };
    expect(await this.#ask(message), "ack");
  }

  /**
   * Close a room for everybody in it; needs a token with the right `close`. This client stays until it leaves. Throws as
   * `join`.
   */
  async closeRoom(room: string, reason = ""): Promise<void> {
    const message: Request = { type: "closeRoom", room: checked(ROOM, room, 1, 256), reason: sendable(reason, 1024) };
    expect(await this.#ask(message), "ack");
  }

  /** Is that peer there? The server answers for its socket, then the peer for itself within `wait` seconds. */
  async probe(peer: string, wait = 2): Promise<Probed> {
    const answered = new Deferred<void>();
    const waiting = this.#probes.get(peer) ?? new Set();
    this.#probes.set(peer, waiting.add(answered));
    try {
      if (!expect(await this.#ask({ type: "probe", to: checked(PEER, peer, 1, 128) }), "probe").alive)
        return { socket: false, program: false };
      await within(wait, this.#platform, answered.promise);
      return { socket: true, program: answered.settled };
    } finally {
      waiting.delete(answered);
      if (!waiting.size) this.#probes.delete(peer);
    }
  }

  /**
   * Send a message to the peer `message.to`. While the server is away the message waits, and is sent after the resume.
   * A message that cannot be delivered comes back as the event `undelivered`. After `ended` this does nothing.
   *
   * @throws TypeError the protocol does not allow the message, or it is too long; the error names the member.
   */
  send(message: Relayed): void {
    this.#machine.send(message);
    this.#step();
  }

  async #ask(message: Request, signal?: AbortSignal): Promise<FromServer> {
    const number = this.#machine.request(message, this.#platform.now());
    const answer = new Deferred<FromServer>();
    this.#answers.set(number, answer);
    this.#step();
    try {
      return await abortable(answer.promise, signal);
    } finally {
      if (this.#answers.delete(number)) this.#machine.abandon(number);
    }
  }

  // --- the machine ----------------------------------------------------------------------------------------------

  /** After anything has happened: say, tell, and do what the machine wants. */
  #step(): void {
    if (this.#stepping) return; // who is doing it sees this too
    this.#stepping = true;
    try {
      this.#handOut();
      this.#write();
      this.#handOut();
    } finally {
      this.#stepping = false;
    }
    const { want } = this.#machine;
    if (want === "dial" && !this.#dialing && !this.#socket) void this.#dial();
    if (want === "wait" || want === "nothing") this.#hangUp(want === "nothing" ? CLOSE_CODES.QUIT : CLOSE_CODES.LOST);
    this.#arm();
  }

  #arm(): void {
    this.#cancelTimer?.();
    const when = this.#machine.pollTimeout(this.#isOpen());
    this.#cancelTimer =
      when === undefined
        ? undefined
        : this.#platform.later(when - this.#platform.now(), () => {
            // A timer may come a little early; a page that was frozen has time that its timers do not know of.
            const now = this.#platform.now();
            this.#machine.handleTimeout(when - now < 0.005 ? Math.max(now, when) : now);
            this.#step();
          });
  }

  #isOpen(): boolean {
    return this.#socket?.readyState === 1; // OPEN
  }

  #write(): void {
    const socket = this.#socket;
    if (!socket || !this.#isOpen()) return;
    for (let frame: string | undefined; (frame = this.#machine.pollTransmit(this.#platform.now())) !== undefined; ) {
      socket.send(frame);
    }
  }

  #handOut(): void {
    for (let output = this.#machine.pollOutput(); output; output = this.#machine.pollOutput()) {
      switch (output.type) {
        case "answer":
          this.#answered(output.request)?.resolve(output.message);
          break;
        case "refusal":
          this.#answered(output.request)?.reject(output.error);
          break;
        case "alive":
          for (const answered of this.#probes.get(output.peer) ?? []) answered.resolve();
          break;
        default:
          this.#begin(output);
          if (output.type === "tokenExpiring") void this.#refresh();
          this.#onEvent(output);
      }
    }
  }

  #answered(request: number): Deferred<FromServer> | undefined {
    const answer = this.#answers.get(request);
    this.#answers.delete(request);
    return answer;
  }

  /** The first word decides whether `open` returns or throws. */
  #begin(event: SignalingEvent): void {
    if (event.type === "up") {
      this.#begun.resolve();
    } else if (event.type === "down") {
      if (event.byServer && this.#platform.now() + event.retryIn < this.#patientUntil) return;
      this.#begun.reject(new SignalingLostError(`no signaling at ${this.url}: ${event.reason}`));
    } else if (event.type === "ended") {
      this.#begun.reject(event.error ?? new SignalingLostError(`quit before ${this.url} had answered`));
      this.#ended.resolve();
    }
  }

  // --- the socket -----------------------------------------------------------------------------------------------

  async #dial(): Promise<void> {
    this.#dialing = true;
    let step = "no token";
    try {
      const token = typeof this.#token === "function" ? await this.#token() : this.#token;
      step = "no socket";
      if (this.#gaveUp) {
        this.#asking = new AbortController();
        await this.#platform.reach?.(this.url.replace(/^ws/, "http"), this.#asking.signal);
      }
      if (this.#machine.want === "dial") {
        this.#machine.start(this.#platform.now()); // the socket has the whole time
        this.#connect(token === undefined ? token : sendable(token));
      }
    } catch (error) {
      const { message = error } = error as Error;
      this.#machine.handleLost(`${step}: ${message}`, this.#platform.now());
    } finally {
      this.#dialing = false;
    }
    this.#step();
  }

  #connect(token: string | undefined): void {
    this.#gaveUp = false;
    const socket = this.#platform.openSocket(this.url, SUBPROTOCOL);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#machine.handleOpen(token);
      this.#step();
    };
    socket.onmessage = ({ data }) => {
      this.#machine.handleFrame(data, this.#platform.now());
      this.#step();
    };
    socket.onclose = ({ code, reason }) => {
      this.#socket = undefined;
      const said = code !== 1005 && code !== 1006; // what the browser says when the server has said nothing
      const final = code === CLOSE_CODES.EXPIRED && typeof this.#token !== "function";
      const silent = opened ? "the connection was lost" : this.#notOpened();
      const why = line(reason) || (said ? `the server closed with code ${code}` : silent);
      this.#machine.handleLost(why, this.#platform.now(), said ? { code, final } : {});
      this.#step();
    };
  }

  /** A browser does not say why: that nobody is there, that a certificate is not trusted, or what HTTP has answered. */
  #notOpened(): string {
    const { pathname, protocol } = new URL(this.url);
    const trusted = protocol === "wss:" ? "does it run, and does this browser trust its certificate?" : "does it run?";
    return `no signaling server is there: ${/\/ws\b/.test(pathname) ? trusted : "its path ends with /ws"}`;
  }

  #hangUp(code: number): void {
    this.#asking?.abort();
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    this.#gaveUp = true;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  /** In time before its end; when this fails the socket will end with 3005 and the next `hello` has a new one. */
  async #refresh(): Promise<void> {
    if (typeof this.#token !== "function") return;
    try {
      const token = await this.#token();
      expect(await this.#ask({ type: "refresh", token }), "refreshed");
    } catch (error) {
      if (!(error instanceof SignalingError)) console.warn("adieu: the token was not refreshed:", error);
    }
  }
}

function expect<T extends FromServer["type"]>(answer: FromServer, type: T): Extract<FromServer, { type: T }> {
  if (answer.type !== type) {
    throw new SignalingRefusedError(`the server answered ${answer.type} instead of ${type}`, "bad-answer");
  }
  return answer as Extract<FromServer, { type: T }>;
}
