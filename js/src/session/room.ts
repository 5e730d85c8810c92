/** A room: everybody in it who is accepted gets a session; leaving closes all of them gracefully. */

import { SessionClosedError, SignalingError, SignalingLostError } from "../errors.js";
import { browser, type Platform } from "../platform.js";
import { Deferred, report, Wakeup } from "../promises.js";
import type { Word } from "../protocol/control.js";
import { receiptId, sessionId } from "../protocol/ids.js";
import type {
  Candidates,
  Closing,
  Description,
  Peer,
  PeerAway,
  PeerBack,
  PeerJoined,
  PeerLeft,
} from "../protocol/messages.js";
import type { Relayed } from "../protocol/signaling.js";
import { SignalingClient, type Token } from "../signaling/client.js";
import type { SignalingEvent } from "../signaling/events.js";
import type { WaitOptions } from "./channel.js";
import { Emitter } from "./emitter.js";
import type { Presence } from "./machine/cause.js";
import { SessionMachine } from "./machine/machine.js";
import type { Options } from "./machine/options.js";
import { watchPage } from "./page.js";
import type { CloseReceipt, ResetReport } from "./receipt.js";
import { type CloseOptions, type OnWait, type Post, REMEMBERED, type ResetOptions, Session } from "./session.js";

/** What one peer's session says to another's. */
type Said = Description | Candidates | Word;

/** Seconds: late words for an ended session are answered with `closed`. */
const REMEMBER = 60;
/** Messages of a peer that is being considered; more are dropped. */
const MAX_EARLY = 200;
/** Seconds that somebody new waits while somebody we know is missing at the server. */
const CLAIM = 2;
/** Seconds after which it is asked again for ICE servers that were not given. */
const ASK_AGAIN = 30;

export interface JoinOptions extends WaitOptions {
  /** Where peers find each other. */
  room: string;
  /** What people read of us. */
  name?: string;
  /** A JWT, or a function that makes one; for a server with keys. */
  token?: Token;
  /**
   * Whether a peer gets a session (its addresses become known to us, and ours to it). By default everybody in the room
   * does.
   */
  accept?: (peer: Peer) => boolean | Promise<boolean>;
  /** Told to the others. */
  meta?: Record<string, unknown>;
  /** Makes an RTCPeerConnection; by default one with the server's ICE servers. */
  connect?: () => RTCPeerConnection;
  /** Numbers, see `DEFAULTS`; times there are seconds. */
  options?: Partial<Options>;
  onWait?: OnWait;
  platform?: Platform;
}

export interface RoomEvents {
  /** A session that has just been made. */
  session: { session: Session };
  /** What the server says of somebody in the room. */
  peer: PeerJoined | PeerAway | PeerBack | PeerLeft;
  /** What happens to the way to the server. */
  signaling: SignalingEvent;
}

/** A room on a signaling server; made by `join()`. */
export class Room extends Emitter<RoomEvents> {
  readonly name: string;
  /** The signaling client, for those who need more of it. */
  readonly client: SignalingClient;
  readonly #init: JoinOptions;
  readonly #platform: Platform;
  #ice: RTCIceServer[] = [];
  /** Before the first session: a connection made without them has no way around a firewall. */
  readonly #iceKnown = new Deferred<void>();
  #me = "";
  readonly #peers = new Map<string, Peer>();
  /** By the other side's peer id. */
  readonly #sessions = new Map<string, Session>();
  readonly #byId = new Map<string, Session>();
  /** Ids of sessions that have ended. */
  readonly #ended = new Set<string>();
  /** By peer: what came while it was being considered. */
  readonly #early = new Map<string, Said[]>();
  /** Connected, and not handed out yet. */
  #arrivals: Session[] = [];
  readonly #changed = new Wakeup();
  #closing = false;
  /** Those that were there when the room was closed. */
  #leaving: Session[] | undefined;
  #over: string | undefined;
  #timers = new Set<() => void>();
  #unwatch: (() => void) | undefined;

  constructor(url: string, init: JoinOptions) {
    super();
    this.name = init.room;
    this.#init = init;
    this.#platform = init.platform ?? browser;
    this.client = new SignalingClient(url, {
      name: init.name,
      token: init.token,
      platform: this.#platform,
      onEvent: (event) => this.#handle(event),
    });
  }

  /** Connect and join; done by `join()`. @internal */
  async enter(): Promise<this> {
    const { signal, meta } = this.#init;
    await this.client.open(signal);
    this.#me = this.client.peer;
    try {
      await this.client.join(this.name, { ...tab(), ...meta }, signal);
    } catch (error) {
      void this.client.quit();
      throw error;
    }
    this.#unwatch = watchPage({
      connected: () => this.sessions.some(({ pc }) => pc),
      leave: (cause) => this.#leavePage(cause),
      mayLeave: (cause) => this.client.leavePage(this.#closings(cause), true),
      resume: (restored) => {
        for (const session of this.sessions) session.resumePage(restored);
      },
    });
    void this.#renewIce();
    return this;
  }

  // --- what people do with it -----------------------------------------------------------------------------------

  /**
   * The next peer that is connected, each once; with `name`, the next that people call so.
   *
   * @throws SignalingLostError the room is over; nobody will come any more.
   */
  async session({ name, signal }: { name?: string } & WaitOptions = {}): Promise<Session> {
    signal?.throwIfAborted();
    for (;;) {
      const session = this.#arrivals.find((arrived) => name === undefined || arrived.name === name);
      if (session) {
        this.#arrivals = this.#arrivals.filter((arrived) => arrived !== session);
        return session;
      }
      if (this.#over !== undefined || this.#closing) {
        throw new SignalingLostError(`room ${this.name} is over: ${this.#over ?? "it was left"}`);
      }
      await this.#changed.wait(signal);
    }
  }

  /** Those that have not ended. */
  get sessions(): Session[] {
    return [...new Set(this.#sessions.values())].filter((session) => !session.receipt);
  }

  /** Who else is in the room, as the server says. */
  get peers(): Peer[] {
    return [...this.#peers.values()];
  }

  /** Our own peer id. */
  get me(): string {
    return this.#me;
  }

  /** Reset all sessions at once: a report for each, or the error that it met. */
  reset(options: ResetOptions = {}): Promise<PromiseSettledResult<ResetReport>[]> {
    return Promise.allSettled(this.sessions.map((session) => session.reset(options)));
  }

  /**
   * Close all sessions gracefully, at once, and leave the room.
   *
   * @returns the receipts; the same again if it is closed already.
   */
  async close(options: CloseOptions = {}): Promise<CloseReceipt[]> {
    this.#closing = true;
    this.#changed.wake();
    this.#leaving ??= [...new Set(this.#sessions.values())];
    try {
      return await Promise.all(this.#leaving.map((session) => session.close(options)));
    } finally {
      this.#unwatch?.();
      for (const cancel of this.#timers) cancel();
      this.#timers.clear();
      await this.client.quit(options.reason);
      void this.settled.then(() => this.clear());
    }
  }

  // --- the page -------------------------------------------------------------------------------------------------

  #closings(cause: string): Closing[] {
    return this.sessions.map(
      (session): Closing => ({
        type: "closing",
        session: session.id,
        to: session.peerNow,
        receipt: session.machine.receipt,
        reason: { code: cause },
        deadlineMs: 0,
        final: new Map(),
      }),
    );
  }

  /** In-band, by signaling and by beacon: each of them may be lost (closing rule S7). */
  #leavePage(cause: string): void {
    this.#closing = true;
    const closing = this.#closings(cause);
    const closes = this.sessions.map((session) => session.leavePage(cause));
    this.client.leavePage(closing);
    void this.client.quit();
    for (const close of closes) close();
  }

  // --- the server -----------------------------------------------------------------------------------------------

  /** Credentials for TURN hold for a while; new connections get fresh ones, and so do those that stand. */
  async #renewIce(): Promise<void> {
    while (this.#over === undefined && !this.#closing) {
      let seconds: number;
      try {
        [this.#ice, seconds] = await this.client.iceServers();
        if (!this.#init.connect) this.#reconfigure();
      } catch (error) {
        if (!(error instanceof SignalingError)) report(error);
        seconds = ASK_AGAIN;
      }
      this.#iceKnown.resolve();
      if (!seconds) return;
      await this.#sleep((seconds * 2) / 3);
    }
  }

  #reconfigure(): void {
    for (const { pc } of this.sessions) pc?.setConfiguration({ ...pc.getConfiguration(), iceServers: this.#ice });
  }

  /** Ends at the latest when the room is left; whoever sleeps looks then. */
  #sleep(seconds: number): Promise<void> {
    const over = new Deferred<void>();
    const cancelTimer = this.#platform.later(seconds, () => end());
    const end = () => {
      cancelTimer();
      this.#timers.delete(end);
      over.resolve();
    };
    this.#timers.add(end);
    return over.promise;
  }

  #handle(event: SignalingEvent): void {
    switch (event.type) {
      case "joined":
        if (event.room === this.name) this.#joined(event.peers);
        return;
      case "peerJoined":
      case "peerAway":
      case "peerBack":
      case "peerLeft":
        if (event.room === this.name) this.#peerChanged(event);
        return;
      case "up":
      case "down":
      case "seatMoved":
      case "ended":
      case "kicked":
      case "goaway":
        this.#signaling(event);
        return;
      case "description":
      case "candidates":
      case "closing":
      case "wait":
      case "done":
      case "closed":
      case "reset":
      case "resetOk":
      case "switch":
      case "switched":
      case "cancel":
        this.#deliver(event);
    }
  }

  #peerChanged(event: RoomEvents["peer"]): void {
    switch (event.type) {
      case "peerJoined":
        this.#sessions.get(event.reloaded ?? "")?.presenceChanged("left", true);
        this.#arrived(event.peer);
        break;
      case "peerAway":
        this.#presence(event.peer, "away");
        break;
      case "peerBack":
        this.#presence(event.peer, "here");
        break;
      case "peerLeft":
        this.#peers.delete(event.peer);
        this.#presence(event.peer, event.reason);
    }
    void this.emit("peer", event);
  }

  #signaling(event: SignalingEvent): void {
    const all = (up: boolean, reason = "") => {
      for (const session of this.#sessions.values()) session.signalingChanged(up, reason);
    };
    if (event.type === "up") all(true);
    else if (event.type === "down") all(false, event.reason);
    else if (event.type === "seatMoved") {
      this.#me = event.now;
      for (const session of this.sessions) session.sayMoved(event.now);
    } else if (event.type === "ended") {
      this.#over = event.error?.message ?? "it was left";
      all(false, this.#over);
    }
    void this.emit("signaling", event);
    this.#changed.wake();
  }

  #joined(peers: Peer[]): void {
    this.#me = this.client.peer;
    this.#peers.clear();
    for (const peer of peers) this.#peers.set(peer.peer, peer);
    for (const peer of peers) this.#arrived(peer);
  }

  #arrived(peer: Peer): void {
    this.#peers.set(peer.peer, peer);
    if (this.#sessions.has(peer.peer)) {
      this.#presence(peer.peer, peer.away ? "away" : "here");
    } else if (!this.#closing && !this.#ended.has(sessionId(this.name, this.#me, peer.peer))) {
      if (!this.#early.has(peer.peer)) void this.#consider(peer);
    }
  }

  /** Decide about a peer; what it has said meanwhile is heard when it gets a session. */
  async #consider(peer: Peer): Promise<void> {
    this.#early.set(peer.peer, []);
    try {
      await this.#decide(peer);
    } catch (error) {
      report(error);
    }
    const early = this.#early.get(peer.peer) ?? [];
    this.#early.delete(peer.peer);
    for (const message of early) this.#deliver(message);
  }

  async #decide(peer: Peer): Promise<void> {
    if (this.#init.accept && !(await this.#init.accept(peer))) {
      this.#refuse(peer.peer);
      return;
    }
    await this.#iceKnown.promise;
    await this.#claimed(peer.peer);
    if (this.#peers.has(peer.peer) && !this.#sessions.has(peer.peer) && !this.#closing) this.#make(peer);
  }

  /** Somebody new may be somebody we know, whom a restarted server gave a new id: wait until it says so. */
  async #claimed(peer: string): Promise<void> {
    const missing = () => this.sessions.some((session) => !this.#peers.has(session.peerNow));
    const until = this.#platform.now() + CLAIM;
    while (!this.#sessions.has(peer) && missing() && this.#platform.now() < until && !this.#closing) {
      await Promise.race([this.#changed.wait(), this.#sleep(until - this.#platform.now())]);
    }
  }

  #refuse(peer: string): void {
    const session = sessionId(this.name, this.#me, peer);
    this.#ended.add(session);
    this.client.send({
      type: "closed",
      receipt: receiptId(session),
      closer: this.#me,
      reason: { code: "busy", text: "not accepted" },
      channels: new Map(),
      session,
      to: peer,
    });
  }

  #make({ peer, name = "" }: Peer): void {
    const { options, onWait, connect } = this.#init;
    const machine = new SessionMachine({
      me: this.#me,
      peer,
      room: this.name,
      options: { ...options },
      remembered: REMEMBERED,
    });
    const post = new RoomPost(this, peer);
    const session = new Session({
      machine,
      connect: connect ?? (() => this.#platform.makeConnection({ iceServers: this.#ice })),
      post,
      name,
      onWait,
      platform: this.#platform,
    });
    post.session = session;
    this.#sessions.set(peer, session);
    this.#byId.set(session.id, session);
    void this.emit("session", { session });
    void this.#watch(session);
    session.start();
    if (!this.client.up) session.signalingChanged(false);
  }

  /** Hand it out when it is connected; forget it a while after it has ended. */
  async #watch(session: Session): Promise<void> {
    try {
      await session.waitOpen();
      this.#arrivals.push(session);
      this.#changed.wake();
    } catch (error) {
      if (!(error instanceof SessionClosedError)) report(error);
    }
    await session.waitClosed();
    this.#ended.add(session.id);
    this.#changed.wake();
    await this.#sleep(REMEMBER);
    this.#byId.delete(session.id);
    for (const [peer, known] of this.#sessions) if (known === session) this.#sessions.delete(peer);
  }

  /** The other side of a session has a new peer id here: the session is known by it from now on. @internal */
  moved(session: Session, old: string, now: string): void {
    if (this.#sessions.get(old) === session) this.#sessions.delete(old);
    if (!this.#sessions.has(now)) this.#sessions.set(now, session);
    this.#changed.wake();
  }

  #presence(peer: string, presence: Presence): void {
    this.#sessions.get(peer)?.presenceChanged(presence);
  }

  #deliver(message: Said): void {
    const from = message.from ?? "";
    const early = this.#early.get(from);
    if (early) {
      if (early.length < MAX_EARLY) early.push(message);
      return;
    }
    const session = this.#byId.get(message.session ?? "");
    if (session && this.#sessions.get(from) === session) session.signaled(message);
  }
}

/** By way of the room's server. */
class RoomPost implements Post {
  session!: Session;

  constructor(
    private readonly room: Room,
    public peer: string,
  ) {}

  start(): void {
    // The room listens for all its sessions.
  }

  stop(): void {
    // So it does until it is left.
  }

  send(message: Relayed): void {
    try {
      this.room.client.send({ ...message, to: this.peer });
    } catch (error) {
      report(error); // too long for the server: in-band it may be said nevertheless
    }
  }

  probe(): void {
    this.room.client.probe(this.peer).then(
      ({ socket, program }) => {
        this.session.probed(false, socket);
        if (program) this.session.probed(true, true);
      },
      () => undefined, // the server does not answer: nothing is learnt
    );
  }

  moved(peer: string): void {
    const old = this.peer;
    this.peer = peer;
    this.room.moved(this.session, old, peer);
  }
}

/** An id of this tab that survives a reload, so that the server can tell a reload from leaving. */
function tab(): { tab?: string } {
  try {
    const known = sessionStorage.getItem("adieu-tab");
    const id = known ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("");
    if (!known) sessionStorage.setItem("adieu-tab", id);
    return { tab: id };
  } catch {
    return {}; // storage is blocked, or there is none
  }
}

/**
 * Enter a room on a signaling server. `room.close()` closes all its sessions gracefully and leaves.
 *
 * ```ts
 * const room = await join("ws://127.0.0.1:8080/ws", { room: "lab", name: "ada" });
 * const session = await room.session();
 * ```
 *
 * @param url of the server, as `adieu serve` prints it.
 * @throws SignalingLostError nobody answers at `url`.
 * @throws SignalingRefusedError the server or the room does not want us.
 * @throws TypeError the url or the room's name is none.
 */
export async function join(url: string, options: JoinOptions): Promise<Room> {
  return new Room(url, options).enter();
}
