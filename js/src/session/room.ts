/** A room: everybody in it who is accepted gets a session; leaving closes all of them gracefully. */

import { compare } from "../bytes.js";
import { SessionClosedError, SignalingError, SignalingLostError, TransferError } from "../errors.js";
import { browser, type Platform } from "../platform.js";
import { Deferred, report, Wakeup } from "../promises.js";
import type { Level } from "../protocol/control.js";
import { receiptId, sessionId } from "../protocol/ids.js";
import type { Closing, Peer } from "../protocol/messages.js";
import { SignalingClient } from "../signaling/client.js";
import type { SignalingEvent } from "../signaling/events.js";
import type { CarriedTransfer } from "./carrying.js";
import { Emitter, settleCurrent } from "./emitter.js";
import type { FolderSource } from "./files/folders.js";
import { type Presence, ROOM_CLOSED } from "./machine/cause.js";
import { SessionMachine } from "./machine/machine.js";
import { closeOptionsOf, optionsOf } from "./options.js";
import { watchPage } from "./page.js";
import { describe, isWanted, Pair, type Said, type Unconnected, who } from "./pair.js";
import type { CloseReceipt, ResetReport } from "./receipt.js";
import { type JoinOptions, type RoomEvents, type SessionOptions, tab } from "./room-options.js";
import { RoomRoute } from "./room-route.js";
import {
  type CloseOptions,
  REMEMBERED,
  type ResetOptions,
  resumePage,
  Session,
  shellOf,
  transfersOf,
} from "./session.js";
import { Shell } from "./shell.js";
import type { SendFileOptions, SendFolderOptions } from "./transfer.js";

/** Seconds: late words for an ended session are answered with `closed`. */
const REMEMBER = 60;
/** Seconds that somebody new waits while somebody we know is missing at the server. */
const CLAIM = 2;
/** Seconds after which it is asked again for ICE servers that were not given. */
const ASK_AGAIN = 30;
/** Seconds after which a session that answers is believed more than the word that there is another. */
const DOUBT = 6;
/** Seconds between two sessions that the other side may begin. */
const PACE = 0.5;
const MAX_GONE = 256;
const MAX_SPOKEN = 16;
/** Parts of this bundle, for a module that is loaded later. */
const TOOLS = { Emitter, TransferError, settleCurrent, shellOf, transfersOf };

/** A room on a signaling server; made by `join()`. */
export class Room extends Emitter<RoomEvents> {
  readonly name: string;
  /** The signaling client, for other uses. */
  readonly client: SignalingClient;
  readonly #init: JoinOptions;
  readonly #platform: Platform;
  #ice: RTCIceServer[] = [];
  /** Before the first session: a connection made without them has no way around a firewall. */
  readonly #iceKnown = new Deferred<void>();
  #me = "";
  readonly #peers = new Map<string, Peer>();
  /** The other peers by id, including some that have left. */
  readonly #pairs = new Map<string, Pair>();
  /** Those that run, and those that ended a moment ago. */
  readonly #byId = new Map<string, Session>();
  /** The new peer id that the other side claims in-band, by session. */
  readonly #claims = new Map<string, string>();
  /** The peer that has claimed by signaling to be the other side, by session. */
  readonly #spoken = new Map<string, Set<string>>();
  /** Connected, and not handed out yet. */
  #arrivals: Session[] = [];
  readonly #changed = new Wakeup();
  /** A session is in another state. */
  readonly #states = new Wakeup();
  #closing = false;
  /** Those that were there when the room was closed. */
  #leaving: Session[] | undefined;
  #over: string | undefined;
  #timers = new Set<() => void>();
  #unwatch: (() => void) | undefined;

  constructor(url: string, init: JoinOptions) {
    super(`room ${init.room}`, { session: true, peer: true, unconnected: true, signaling: true });
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
        for (const session of this.sessions) resumePage(session, restored);
      },
    });
    void this.#renewIce();
    return this;
  }

  // --- what people do with it -----------------------------------------------------------------------------------

  /**
   * Wait for the session with the next connected peer, each once; with `name`, the next peer of that name.
   *
   * @param options options, or the name alone: `session("ben")`.
   * @throws SignalingLostError the room has ended.
   */
  async session(options: SessionOptions | string = {}): Promise<Session> {
    const { name, signal } = optionsOf<SessionOptions>("session", "name", options);
    signal?.throwIfAborted();
    for (;;) {
      const session = this.#arrivals.find((arrived) => name === undefined || arrived.name === name);
      if (session) {
        this.#arrivals = this.#arrivals.filter((arrived) => arrived !== session);
        return session;
      }
      const { over } = this;
      if (over !== undefined) throw new SignalingLostError(`room ${this.name} is over: ${over}`);
      await this.#changed.wait(signal);
    }
  }

  /** Those that have not ended. */
  get sessions(): Session[] {
    return [...this.#byId.values()].filter((session) => !session.receipt);
  }

  /** Why the room is over; undefined: it is not. */
  get over(): string | undefined {
    return this.#over ?? (this.#closing ? "it was left" : undefined);
  }

  get #shells(): Shell[] {
    return this.sessions.map(shellOf);
  }

  /** Return the other peers in the room, as the server reports them. It has lost the socket of those that are `away`. */
  get peers(): Peer[] {
    return [...this.#peers.values()];
  }

  /** Return the other peers in the room that are not connected with us, and why (closing rule S13). */
  get unconnected(): Unconnected[] {
    const described = [...this.#peers].map(([id, peer]) => describe(this.#pair(id), peer, this.#platform.now()));
    return described.filter((found) => found !== undefined);
  }

  /**
   * Try now to connect with somebody whose last session ended, which nobody wanted, instead of at the next planned time.
   *
   * @param peer its id, as `unconnected` has it.
   * @returns whether it is tried: it is here, the server is up, and there is no session.
   */
  tryAgain(peer: string): boolean {
    const pair = this.#pairs.get(peer);
    // Else it is planned again when the server, or the peer, is back.
    if (pair?.standing !== "apart" || !this.client.up || !this.#isHere(peer)) return false;
    this.#make(pair, pair.n + 1, true);
    return true;
  }

  /** Our own peer id. */
  get me(): string {
    return this.#me;
  }

  /** Reset all sessions at once: a report for each, or the error that it met. Takes what a session's `reset` takes. */
  reset(options: ResetOptions | Level = {}): Promise<PromiseSettledResult<ResetReport>[]> {
    return Promise.allSettled(this.sessions.map((session) => session.reset(options)));
  }

  /**
   * Send a file to the peer of a name, over as many sessions as it takes: see `Session.sendFile`.
   *
   * It is offered in the session with this peer, or in the next one. If the session ends, by whatever cause, it is
   * offered again in the next session with a peer of this name, and goes on at the chunk.
   *
   * @throws TypeError it is a stream, which cannot be read again; or the name is empty or too long.
   */
  async sendFile(to: string, file: Blob, options: SendFileOptions = {}): Promise<CarriedTransfer> {
    const { carryFile } = await import("./carrying.js");
    return carryFile(this, TOOLS, to, file, options);
  }

  /**
   * Send a folder to the peer of a name, over as many sessions as it takes: see `sendFile` and `Session.sendFolder`. In
   * each session the folder is looked at again; files that have arrived are not sent again.
   *
   * @throws TypeError see `Session.sendFolder`.
   */
  async sendFolder(to: string, folder: FolderSource, options: SendFolderOptions = {}): Promise<CarriedTransfer> {
    const { carryFolder } = await import("./carrying.js");
    return carryFolder(this, TOOLS, to, folder, options);
  }

  /** Wait until something has changed: a session, its state, the room. @internal */
  change(): Promise<void> {
    return Promise.race([this.#changed.wait(), this.#states.wait()]);
  }

  /**
   * Close all sessions gracefully, at once, and leave the room.
   *
   * @param options or the reason alone: `close("done")`.
   * @returns the receipts; the same again if it is closed already.
   */
  async close(options: CloseOptions | string = {}): Promise<CloseReceipt[]> {
    const { reason } = closeOptionsOf(options, 0);
    this.#closing = true;
    this.#changed.wake();
    for (const pair of this.#pairs.values()) pair.forgetTimer();
    this.#leaving ??= [...this.#byId.values()];
    try {
      return await Promise.all(this.#leaving.map((session) => session.close(options)));
    } finally {
      this.#unwatch?.();
      for (const cancel of this.#timers) cancel();
      this.#timers.clear();
      await this.client.quit(reason);
      void this.settled.then(() => this.clear());
    }
  }

  /** Whether `closeForAll` is allowed: the token grants the right `close`. */
  get mayCloseForAll(): boolean {
    return this.client.can.includes("close");
  }

  /**
   * Close the room for everybody in it, with the cause `room-closed`; as `close` for the rest.
   *
   * @throws SignalingRefusedError the token does not grant the right `close`. Nothing is closed.
   * @throws SignalingLostError the server cannot be reached. Nothing is closed.
   */
  async closeForAll(options: CloseOptions | string = {}): Promise<CloseReceipt[]> {
    const given = closeOptionsOf(options, 0);
    this.#roomClosing(true); // the others may know it, and close, before the answer is here
    try {
      await this.client.closeRoom(this.name, given.reason);
    } catch (error) {
      this.#roomClosing(false);
      throw error;
    }
    return this.close(options);
  }

  #roomClosing(closes: boolean): void {
    for (const shell of this.#shells) shell.roomClosing(closes);
  }

  /** The server says that the room was closed for everybody. */
  #closedForAll(reason: string): void {
    this.#over = `the room was closed${reason && `: ${reason}`}`;
    this.#roomClosing(true);
    for (const session of this.sessions) void session.close(reason);
  }

  // --- the page -------------------------------------------------------------------------------------------------

  #closings(cause: string): Closing[] {
    return this.sessions.map(
      (session): Closing => ({
        type: "closing",
        session: session.id,
        to: shellOf(session).peerNow,
        receipt: shellOf(session).machine.receipt,
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
    const closes = this.#shells.map((shell) => shell.leavePage(cause));
    this.client.leavePage(closing);
    void this.client.quit();
    for (const close of closes) close();
  }

  // --- the server -----------------------------------------------------------------------------------------------

  /** Refresh TURN credentials, which expire. New connections get fresh ones, and open connections too. */
  async #renewIce(): Promise<void> {
    while (this.over === undefined) {
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

  /** Wait, but not longer than the room lasts. */
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
    if ("room" in event && event.room !== this.name) return; // the client may be in others, too
    switch (event.type) {
      case "joined":
        this.#joined(event.peers);
        return;
      case "peerJoined":
      case "peerAway":
      case "peerBack":
      case "peerLeft":
        this.#peerChanged(event);
        return;
      case "up":
      case "down":
      case "seatMoved":
      case "ended":
      case "kicked":
      case "goaway":
      case "roomLost":
        this.#signaling(event);
        return;
      case "moved": {
        const session = this.#byId.get(event.session ?? "");
        if (session && event.from && event.from === event.peer) this.#hearOf(shellOf(session), event.from);
        return;
      }
      case "probe":
        return; // answered by the client
      default:
        if ("session" in event) this.#deliver(event);
    }
  }

  #signaling(event: SignalingEvent): void {
    const all = (up: boolean, reason = "") => {
      for (const session of this.#byId.values()) shellOf(session).signalingChanged(up, reason);
    };
    if (event.type === "up") {
      all(true);
      for (const pair of this.#pairs.values()) if (pair.standing === "apart") this.#plan(pair);
    } else if (event.type === "down") all(false, event.reason);
    else if (event.type === "seatMoved") {
      this.#me = event.now;
      for (const pair of this.#pairs.values()) pair.n = 0; // of the sessions between the new ids there was none
      for (const shell of this.#shells) shell.sayMoved(event.now);
    } else if ((event.type === "kicked" || event.type === "roomLost") && event.code === ROOM_CLOSED) {
      this.#closedForAll((event.type === "kicked" ? event.reason : event.text) ?? "");
    } else if (event.type === "ended" || event.type === "roomLost") {
      this.#over ??= (event.type === "ended" ? event.error?.message : event.text) ?? "it was left";
      all(false, this.#over);
    }
    void this.emit("signaling", event);
    this.#changed.wake();
  }

  // --- who is there ---------------------------------------------------------------------------------------------

  #pair(id: string): Pair {
    const pair = this.#pairs.get(id) ?? new Pair(id);
    this.#pairs.set(id, pair);
    return pair;
  }

  #joined(peers: Peer[]): void {
    this.#me = this.client.peer;
    this.#peers.clear();
    for (const peer of peers) this.#peers.set(peer.peer, peer);
    for (const peer of peers) this.#arrived(peer);
    for (const shell of this.#shells) this.#sayMoved(shell);
  }

  #peerChanged(event: RoomEvents["peer"]): void {
    switch (event.type) {
      case "peerJoined":
        this.#presence(event.reloaded ?? "", "left", true);
        this.#arrived(event.peer);
        break;
      case "peerAway":
        this.#setAway(event.peer, true);
        break;
      case "peerBack":
        this.#setAway(event.peer, false);
        break;
      case "peerLeft":
        this.#peers.delete(event.peer);
        this.#presence(event.peer, event.reason);
        this.#forgetSome();
    }
    void this.emit("peer", event);
    this.#changed.wake();
  }

  #setAway(id: string, away: boolean): void {
    const known = this.#peers.get(id);
    if (!known) return;
    const peer = { ...known, away };
    this.#peers.set(id, peer);
    if (!away) return this.#arrived(peer);
    this.#presence(id, "away");
    this.#tell(this.#pair(id));
  }

  #presence(peer: string, presence: Presence, reloaded = false): void {
    const session = this.#pairs.get(peer)?.session;
    if (session) shellOf(session).presenceChanged(presence, reloaded);
  }

  /** Bound the memory of peers that have left. */
  #forgetSome(): void {
    const gone = [...this.#pairs.values()].filter(({ peer, live }) => !this.#peers.has(peer) && !live);
    for (const pair of gone.slice(0, Math.max(0, gone.length - MAX_GONE))) {
      pair.forgetTimer();
      this.#pairs.delete(pair.peer);
    }
  }

  #arrived(peer: Peer): void {
    this.#peers.set(peer.peer, peer);
    const pair = this.#pair(peer.peer);
    if (pair.standing === "together") this.#presence(peer.peer, peer.away ? "away" : "here");
    else if (pair.standing === "apart") this.#plan(pair);
    else if (pair.standing === "new") {
      for (const shell of this.#shells) this.#sayMoved(shell);
      if (!peer.away && !this.#closing && !pair.early) {
        pair.early = [];
        void this.#consider(pair, peer);
      }
    }
    this.#tell(pair);
  }

  /** Say that, and why, somebody who is here is not connected. */
  #tell(pair: Pair): void {
    const peer = this.#peers.get(pair.peer);
    if (!peer || this.#closing || this.#pairs.get(pair.peer) !== pair) return;
    const found = describe(pair, peer, this.#platform.now());
    if (found) void this.emit("unconnected", found);
  }

  /** Whether a peer can be connected with now. */
  #isHere(id: string): boolean {
    const peer = this.#peers.get(id);
    return !!peer && !peer.away && this.over === undefined;
  }

  // --- who gets a session ---------------------------------------------------------------------------------------

  /** Decide about a peer; what it has said meanwhile is heard when it gets a session. */
  async #consider(pair: Pair, peer: Peer): Promise<void> {
    if (await this.#isKnown(pair)) return; // by another session, which has its place now
    pair.standing = "considered";
    if (this.#init.accept) this.#tell(pair);
    pair.accepted ||= await this.#asked(peer);
    await this.#iceKnown.promise;
    const early = pair.takeEarly();
    pair.standing = "new";
    if (!pair.accepted) {
      this.#refuse(pair, peer, early);
      return;
    }
    for (const shell of this.#shells) this.#prove(shell);
    if (this.#pairs.get(pair.peer) !== pair) for (const message of early) this.#deliver(message);
    else if (this.#isHere(pair.peer)) this.#begin(pair, early);
    // else it has left, or gone away: it is considered again when it is back
  }

  /** Ask `accept`. An exception counts as a no, and is reported once. */
  async #asked(peer: Peer): Promise<boolean> {
    try {
      return !this.#init.accept || !!(await this.#init.accept(peer));
    } catch (error) {
      report(error);
      return false;
    }
  }

  /**
   * Wait whether a new peer is a known one with a new id from a restarted server. The wait is short, and ends when the
   * peer starts a session of its own. A peer that claims the id only in-band, as the previous version did, is awaited
   * while its session lives.
   */
  async #isKnown(pair: Pair): Promise<boolean> {
    const until = this.#platform.now() + CLAIM;
    while (this.#pairs.get(pair.peer) === pair && !this.#closing) {
      const lost = this.#shells.filter((shell) => !this.#peers.has(shell.peerNow));
      const claimed = lost.some(({ id, machine }) => this.#claims.get(id) === pair.peer && machine.state === "open");
      const speaks = pair.early?.some(({ session }) => pair.number(this.name, this.#me, session));
      const left = until - this.#platform.now();
      if (!lost.length || speaks || (left <= 0 && !claimed)) return false;
      await Promise.race([this.#changed.wait(), ...(left > 0 ? [this.#sleep(left)] : [])]);
    }
    return true;
  }

  /** Start the first session with a peer. The other side may have started and given up earlier ones. */
  #begin(pair: Pair, early: Said[]): void {
    let ended = 0;
    let offered = 0;
    let refused = false;
    for (const message of early) {
      const n = pair.number(this.name, this.#me, message.session) ?? 0;
      if (message.type === "description" && message.sdpType === "offer") offered = n;
      if (message.type === "closing" || message.type === "closed") {
        ended = Math.max(ended, n);
        refused = message.reason.code === "busy";
      }
    }
    if (refused) {
      Object.assign(pair, { standing: "over", text: "the other side did not accept it", n: ended });
      this.#tell(pair);
    } else if (offered <= ended && ended && !this.#opens(pair)) {
      Object.assign(pair, { standing: "apart", text: "it gave up meanwhile", n: ended, attempts: 1 });
      this.#plan(pair);
      this.#tell(pair);
    } else {
      const session = this.#make(pair, Math.max(offered, ended + 1), !offered);
      for (const message of early) if (message.session === session.id) shellOf(session).signaled(message);
    }
  }

  /** Whether this side opens the sessions of the two: it has the smaller id. */
  #opens(pair: Pair): boolean {
    return compare(this.#me, pair.peer) < 0;
  }

  #refuse(pair: Pair, peer: Peer, early: Said[]): void {
    pair.standing = "refused";
    pair.text = `${who(peer)} was not accepted by this side`;
    const spoken = early.map(({ session }) => pair.number(this.name, this.#me, session) ?? 1);
    this.#sayNo(pair, sessionId(this.name, this.#me, pair.peer, Math.max(1, ...spoken)));
    this.#tell(pair);
  }

  /** Answer that this session does not exist here, and never will. */
  #sayNo(pair: Pair, session: string): void {
    const refused = { code: "busy", text: "not accepted" };
    this.client.send({
      type: "closed",
      receipt: receiptId(session),
      closer: this.#me,
      reason: pair.standing === "refused" ? refused : { code: "left", text: "the last session was closed" },
      channels: new Map(),
      session,
      to: pair.peer,
    });
  }

  /** The nth session with a peer, which is here. */
  #make(pair: Pair, n: number, invite = false): Session {
    const { options, onWait, connect } = this.#init;
    const { name = "" } = this.#peers.get(pair.peer) ?? {};
    const machine = new SessionMachine({
      me: this.#me,
      peer: pair.peer,
      room: this.name,
      n,
      options: { ...options },
      remembered: REMEMBERED,
    });
    const route = new RoomRoute(this, pair.peer);
    const shell = new Shell({
      machine,
      connect: connect ?? (() => this.#platform.makeConnection({ iceServers: this.#ice })),
      route,
      name,
      onWait,
      platform: this.#platform,
    });
    route.shell = shell;
    const session = new Session(shell);
    pair.forgetTimer();
    Object.assign(pair, { n, session, standing: "together", early: undefined, began: this.#platform.now() });
    this.#byId.set(session.id, session);
    void this.emit("session", { session });
    this.#tell(pair);
    void this.#watch(session);
    session.start();
    if (!this.client.up) shell.signalingChanged(false);
    // Who opens may not look: it may still think of a session that has ended here (a long sleep).
    if (invite && !machine.smaller) route.send({ type: "candidates", epoch: 1, candidates: [], session: session.id });
    return session;
  }

  /** Hand it out when it is connected; forget it a while after it has ended. */
  async #watch(session: Session): Promise<void> {
    try {
      await session.waitOpen();
      const pair = this.#pairOf(shellOf(session));
      if (pair) {
        Object.assign(pair, { attempts: 0, text: "" });
        this.#arrivals = this.#arrivals.filter((old) => !old.receipt || shellOf(old).peerNow !== pair.peer);
      }
      this.#arrivals.push(session);
      this.#changed.wake();
    } catch (error) {
      if (!(error instanceof SessionClosedError)) report(error);
    }
    const receipt = await session.waitClosed();
    const pair = this.#pairOf(shellOf(session));
    if (pair) this.#ended(pair, receipt);
    this.#changed.wake();
    if (this.#closing) return; // kept as long as the room
    await this.#sleep(REMEMBER);
    this.#arrivals = this.#arrivals.filter((arrived) => arrived !== session); // nobody has taken it
    for (const known of [this.#byId, this.#claims, this.#spoken]) known.delete(session.id);
  }

  /** Return the pair whose last session this is. */
  #pairOf({ id, peerNow }: Shell): Pair | undefined {
    const pair = this.#pairs.get(peerNow);
    return pair?.session?.id === id ? pair : undefined;
  }

  // --- again ----------------------------------------------------------------------------------------------------

  /** The last session with a peer is over: for good, or until the next. */
  #ended(pair: Pair, receipt: CloseReceipt): void {
    pair.text = receipt.notice;
    const early = pair.takeEarly();
    if (isWanted(receipt)) {
      pair.standing = "over";
    } else {
      pair.standing = "apart";
      pair.attempts++;
      this.#plan(pair);
    }
    this.#tell(pair);
    for (const message of early) this.#deliver(message);
  }

  /** When the next session comes. The side with the smaller id opens it, the other can only guess. */
  #plan(pair: Pair): void {
    pair.forgetTimer();
    if (!this.#isHere(pair.peer)) return; // planned again when it is back
    pair.againAt = this.#platform.now() + pair.delay;
    if (this.#opens(pair)) pair.cancelTimer = this.#platform.later(pair.delay, () => this.tryAgain(pair.peer));
  }

  /** Handle a message of a session that does not exist here: the other side has started it, or asks us to. */
  #otherBegan(pair: Pair, message: Said): void {
    const n = pair.number(this.name, this.#me, message.session);
    const begins = this.#opens(pair)
      ? message.type === "candidates" && !message.candidates.length
      : message.type === "description" && message.sdpType === "offer";
    if (!begins || !n || !this.#isHere(pair.peer)) return;
    const { live } = pair;
    if (pair.standing === "refused" || pair.standing === "over") {
      this.#sayNo(pair, message.session ?? "");
    } else if (live && isWell(live)) {
      // All is well here, as far as is known; what comes is kept until that is certain.
      pair.early = [message];
      shellOf(live).doubt();
      void this.#sleep(DOUBT).then(() => {
        if (pair.session === live && isWell(live)) pair.early = undefined;
        else if (pair.session === live) this.#takeEarly(pair);
      });
    } else if (this.#platform.now() - pair.began >= PACE) {
      if (live) shellOf(live).superseded();
      shellOf(this.#make(pair, n)).signaled(message);
    }
  }

  /** Handle the messages that were kept for a session that is in another state now. @internal */
  stateChanged(shell: Shell): void {
    this.#states.wake();
    const pair = this.#pairOf(shell);
    if (pair?.early?.length && pair.session && !isWell(pair.session)) queueMicrotask(() => this.#takeEarly(pair));
  }

  /** Handle that the other side has started another session, and the known one does not answer. */
  #takeEarly(pair: Pair): void {
    if (pair.live && !isWell(pair.live)) for (const message of pair.takeEarly()) this.#deliver(message);
  }

  // --- who has a new id -----------------------------------------------------------------------------------------

  /**
   * The other side of a session says in-band that it has a new peer id. It has to say so by signaling, too. @internal
   */
  claimed(shell: Shell, peer: string): void {
    this.#claims.set(shell.id, peer);
    this.#sayMoved(shell);
    this.#prove(shell);
    this.#changed.wake();
  }

  /** The word by signaling, once it is known where to. */
  #sayMoved(shell: Shell): void {
    const to = this.address(shell);
    if (shell.machine.movedTo && this.#peers.has(to)) {
      this.client.send({ type: "moved", peer: this.#me, session: shell.id, to });
    }
  }

  /** Note that `sender` claims by signaling to be the other side of this session. */
  #hearOf(shell: Shell, sender: string): void {
    const spoken = this.#spoken.get(shell.id) ?? new Set();
    this.#spoken.set(shell.id, spoken);
    if (spoken.size < MAX_SPOKEN) spoken.add(sender);
    this.#prove(shell);
  }

  /**
   * Believe that the other side has a new id if it says so both in-band and, from there, by signaling.
   *
   * And only if the server has lost its old one: nobody is in two places. One that is being considered, or has a
   * session of its own, is somebody else.
   */
  #prove(shell: Shell): void {
    const now = this.#claims.get(shell.id);
    const old = shell.peerNow;
    if (now === undefined || now === old || shell.receipt) return;
    if (!this.#spoken.get(shell.id)?.has(now) || this.#peers.has(old) || !this.#peers.has(now)) return;
    const there = this.#pair(now);
    const pair = this.#pairs.get(old);
    if (there.standing !== "new" || !pair) return;
    const early = there.takeEarly();
    this.#pairs.delete(old);
    this.#pairs.set(now, pair);
    Object.assign(pair, { peer: now, n: 0 });
    shell.route.peer = now;
    this.#presence(now, this.#peers.get(now)?.away ? "away" : "here");
    this.#changed.wake();
    for (const message of early) this.#deliver(message);
  }

  /** Where the other side of a session is: if the server has lost it, where it says that it is. @internal */
  address(shell: Shell): string {
    const known = shell.peerNow;
    return this.#peers.has(known) ? known : (this.#claims.get(shell.id) ?? known);
  }

  // --- what peers say -------------------------------------------------------------------------------------------

  #deliver(message: Said): void {
    const from = message.from ?? "";
    const session = this.#byId.get(message.session ?? "");
    if (session) {
      const shell = shellOf(session);
      if (shell.peerNow !== from && this.#claims.get(shell.id) === from) this.#hearOf(shell, from);
      if (shell.peerNow === from) shell.signaled(message);
      return;
    }
    const pair = this.#pairs.get(from);
    if (!pair || !this.#peers.has(from)) return;
    if (pair.early) {
      pair.keep(message);
      this.#changed.wake();
    } else {
      this.#otherBegan(pair, message);
    }
  }
}

/** Whether it has a connection without trouble. */
function isWell({ state, epoch }: Session): boolean {
  return (state === "open" || state === "resetting") && epoch !== 0;
}
