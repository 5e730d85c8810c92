/**
 * The session machine: everything that a session decides, without a clock, a socket or a promise.
 *
 * Theory of operation. A session is the link of two peers. It lives longer than any connection. Connections are
 * numbered by `epoch`. At most one of them is `active` and carries what is sent; all are heard. The machine takes
 * inputs (`controlReceived`, `streamClosed`, `signalReceived`, …, each with `now` in seconds) and returns, in order,
 * actions (`pollAction`), events (`pollEvent`) and the time of its next timeout (`pollTimeout`).
 *
 * `docs/reference/session-states.md` has the table of states: what each accepts, and where it leads. `state.ts` has what
 * a machine holds, and names the files of the procedures. Here are the inputs. Each goes through one wrapper, `#feed`.
 * It notes the time, and ends the session if the other side broke the protocol. Then it advances recovery and close as
 * far as their conditions are met. It is the twin of the machine in Python; both replay the traces in
 * `vectors/session`.
 */

import { sendable } from "../../bytes.js";
import { ChannelError, SessionClosedError } from "../../errors.js";
import type { Level, Word } from "../../protocol/control.js";
import * as control from "../../protocol/control.js";
import type * as messages from "../../protocol/messages.js";
import type { Presence } from "./cause.js";
import * as channels from "./channels.js";
import * as close from "./close.js";
import * as connections from "./connections.js";
import * as ending from "./ending.js";
import { Violation } from "./flow.js";
import * as heartbeat from "./heartbeat.js";
import type { Payload } from "./held.js";
import * as recovery from "./recovery.js";
import * as reset from "./reset.js";
import {
  type Channel,
  type ConnectionState,
  type Kind,
  type LossKind,
  MachineState,
  type Timer,
  type Watch,
} from "./state.js";

/** Handle a timer that is due. */
const DUE: Record<Timer, (m: MachineState) => void> = {
  connect: recovery.cannotMeet,
  ack: channels.sendAcks,
  ping: heartbeat.pingDue,
  suspect: recovery.suspect,
  fresh: recovery.askPacketAge,
  ladder: recovery.climb,
  farewell: recovery.farewellOver,
  network: recovery.doubtIsOver,
  reset: reset.failed,
  "peer-reset": reset.waitIsOver,
  drain: () => {}, // the close looks at the time
  end: () => {},
  channels: () => {},
  progress: () => {},
};

/** One side of a session. Create it, then call `start`. */
export class SessionMachine extends MachineState {
  /** Take an input; after a violation of the other side it has no result. */
  #feed<A extends unknown[], T>(now: number, take: (m: MachineState, ...args: A) => T, ...args: A): T {
    this.now = now;
    let result: T;
    try {
      result = take(this, ...args);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      close.endByViolation(this, error.message);
      result = undefined as T;
    }
    if (this.ending.size) ending.progress(this);
    if (!this.closing && (this.silence || this.reset)) recovery.progress(this);
    if (this.closing) close.progress(this, this.closing);
    this.watch?.look(this);
    return result;
  }

  /** Take an input about a connection, if it is known. */
  #feedOn(epoch: number, now: number, take: (connection: ConnectionState) => void): void {
    this.#feed(now, () => {
      const connection = this.connections.get(epoch);
      if (connection) take(connection);
    });
  }

  // --- the life of the session -------------------------------------------------------------------------------

  /** Begin: the smaller peer id offers the first connection. */
  start(now: number): void {
    this.#feed(now, () => {
      this.wakeIn("connect", this.options.connectTimeout);
      connections.connect(this, 1);
    });
  }

  /** Note the other side's peer id. If this side ended before, its word had no name that the other knows. */
  introduced(peer: string, now: number): void {
    this.now = now;
    this.identify(peer);
    close.sayClosedAgain(this);
  }

  /** Do what is due, one thing after the other. */
  handleTimeout(now: number): void {
    this.now = now;
    heartbeat.lookForSleep(this);
    for (const [timer, when] of [...this.timers]) {
      // What was due before it may have changed it.
      if (when > now || this.timers.get(timer) !== when) continue;
      this.timers.delete(timer);
      this.#feed(now, DUE[timer]);
    }
    for (const [epoch, connection] of [...this.connections]) {
      if (connection.helloBy! <= now && this.connections.has(epoch)) {
        this.#feed(now, recovery.helloMissing, connection);
      }
    }
    for (const [type, repeat] of [...this.words]) {
      if (repeat.due > now || this.words.get(type) !== repeat) continue;
      this.words.delete(type);
      this.act({ type: "Signal", word: repeat.word });
    }
  }

  // --- connections -------------------------------------------------------------------------------------------

  /**
   * Decide whether a session description for `epoch`, which has come by signaling, is to be applied.
   *
   * A higher epoch than any implies the reset that its word would have asked for.
   */
  wantsDescription(epoch: number, now: number): boolean {
    return this.#feed(now, () => {
      if (this.outcome) return false;
      const connection = this.connections.get(epoch);
      if (connection) {
        connection.described = true;
        return true;
      }
      if (epoch <= this.lastEpoch || epoch > this.lastEpoch + connections.AHEAD || this.smaller) return false;
      if (this.state !== "connecting") return reset.beginByOffer(this, epoch);
      for (const old of [...this.connections.keys()]) connections.release(this, old);
      connections.connect(this, epoch).described = true;
      return true;
    });
  }

  /**
   * Note that the control channel of a connection is open: say hello.
   *
   * @param maxMessage the largest SCTP message that the other side's engine takes (maxMessageSize), in bytes.
   */
  controlOpened(epoch: number, maxMessage: number, now: number): void {
    this.#feedOn(epoch, now, (connection) => connections.sayHello(this, connection, maxMessage));
  }

  /** Take a message on a control channel. */
  controlReceived(epoch: number, text: string, now: number): void {
    this.#feedOn(epoch, now, (connection) => {
      let message: messages.ControlMessage | undefined;
      try {
        message = control.decode(text);
      } catch (error) {
        throw new Violation(`a wrong control message: ${(error as Error).message}`);
      }
      if (!connection.heardHello && message?.type !== "hello") throw new Violation("a control message before hello");
      this.#heard(epoch);
      if (message) this.#handleControl(connection, message);
    });
  }

  #heard(epoch: number): void {
    heartbeat.heard(this, epoch);
    if (this.reset) reset.endIfHealed(this);
  }

  #handleControl(connection: ConnectionState, message: messages.ControlMessage): void {
    const { epoch } = connection;
    switch (message.type) {
      case "hello":
        return this.#handleHello(connection, message);
      case "ping":
        return this.sendControl(epoch, { type: "pong", n: message.n });
      case "pong":
        return reset.ponged(this, epoch, message.n);
      case "open":
        return channels.handleOpen(this, message);
      case "opened":
        return channels.handleOpened(this, message);
      case "ack":
        if (channels.handleAck(this, message)) this.#progressed();
        return;
      case "want":
        return channels.handleWant(this, message);
      case "endChannel":
        return ending.handle(this, message);
      case "moved":
        return this.report({ type: "PeerMoved", peer: message.peer });
      case "media":
        return this.report({ type: "MediaSaid", media: message.media });
      case "file":
        return this.report({ type: "FileSaid", file: message });
      default:
        return this.#handleWord(message);
    }
  }

  #handleHello(connection: ConnectionState, hello: messages.ControlHello): void {
    connections.checkHello(this, connection, hello);
    connection.heardHello = true;
    connection.helloBy = undefined;
    if (this.state !== "connecting") return reset.greeted(this, connection.epoch);
    this.timers.delete("connect");
    this.capabilities = new Set(this.options.capabilities.filter((own) => hello.capabilities?.includes(own)));
    for (const channel of this.channels.values()) channels.countMessages(this, channel);
    this.enter("open");
    connections.activate(this, connection.epoch, hello.have);
  }

  /** Note that a connection, its DTLS or its association, has ended by itself, or behind the session's back. */
  connectionLost(epoch: number, kind: LossKind, text: string, now: number): void {
    this.#feed(now, recovery.connectionLost, epoch, kind, text);
  }

  /** Note that the connection that was asked for could not even be made. */
  cannotConnect(epoch: number, text: string, now: number): void {
    this.#feed(now, recovery.cannotConnect, epoch, text);
  }

  /** Note that this machine has no address or no socket for a connection: no path can come about. */
  noWayOut(epoch: number, text: string, now: number): void {
    this.#feed(now, () => {
      if (epoch !== this.active) {
        // The offerer would wait until its reset's time is over.
        if (this.reset?.epoch === epoch && !this.smaller) this.say({ type: "cancel", epoch });
        return recovery.cannotConnect(this, epoch, text);
      }
      this.note(text);
      if (this.reset?.level === "ice") reset.failed(this, text); // the path of before may go on
    });
  }

  /** Take the ICE state of a connection: only a hint to look (closing rule 66). */
  iceChanged(epoch: number, state: string, now: number): void {
    this.#feed(now, () => {
      if (epoch !== this.active || (state !== "disconnected" && state !== "failed")) return;
      this.note(`ICE ${state}`);
      heartbeat.ask(this);
      recovery.cutOff(this);
    });
  }

  /** Look at the path: this machine's network has changed. `atOnce`: renew it even if it still answers. */
  networkChanged(text: string, now: number, atOnce = false): void {
    this.#feed(now, recovery.networkChanged, text, atOnce);
  }

  /** Note that an offer and its answer have been applied on a connection. */
  negotiated(epoch: number, now: number): void {
    this.#feed(now, reset.negotiated, epoch);
  }

  /** Take the answer to `AskFresh`: seconds since the last packet of the other side's engine. */
  fresh(epoch: number, age: number | null, now: number): void {
    this.#feedOn(epoch, now, (connection) => recovery.packetAge(this, connection, age));
  }

  /** Note that nothing of that connection is left. */
  released(epoch: number, now: number): void {
    this.#feed(now, () => this.releasing.delete(epoch));
  }

  // --- signaling ---------------------------------------------------------------------------------------------

  /** Take a word of the other side by signaling. */
  signalReceived(word: Word, now: number): void {
    this.#feed(now, () => {
      if (this.outcome) close.answerAfterEnd(this, word);
      else this.#handleWord(word);
    });
  }

  #handleWord(word: Word): void {
    switch (word.type) {
      case "closing":
      case "wait":
      case "done":
      case "closed":
        return close.handleWord(this, word);
      default:
        reset.checkEpoch(this, word.epoch);
        if (word.type !== "reset") return reset.handleWord(this, word);
        if (word.asker !== this.peer) return;
        if (this.closing) close.sayAgain(this, this.closing);
        else if (this.phase !== "connecting") reset.handleWord(this, word);
    }
  }

  /** Note whether this side's way to the other by signaling is up. Losing it ends no session. */
  signalingChanged(up: boolean, now: number): void {
    this.#feed(now, () => {
      this.evidence.signaling = up;
      if (up && this.isTroubled) this.timers.set("ladder", now);
      if (up && this.silence) recovery.cutOff(this);
    });
  }

  /** Take what the server says of the other side. */
  presenceChanged(presence: Presence, now: number, reloaded = false): void {
    this.#feed(now, () => {
      this.evidence.place(presence, now);
      this.evidence.reloaded ||= reloaded;
      if (this.outcome || presence === "here") return;
      if (this.closing?.heardClosed) return; // it has said all that was asked of it: now it may go
      this.note(`the server says: ${reloaded ? "reloaded" : presence}`);
      recovery.presenceChanged(this);
    });
  }

  /** Take the answer to `Probe`, of the server or of the other side itself; one that comes late says nothing. */
  probed(byPeer: boolean, alive: boolean, now: number): void {
    this.#feed(now, () => {
      if (!this.silence) return;
      if (byPeer) {
        this.evidence.probePeer = true;
        this.note("it answers by signaling");
        if (this.evidence.iceFresh && !this.timers.has("ladder")) this.wakeIn("ladder", 0);
        this.evidence.iceFresh = false; // then it does not hang
      } else {
        this.evidence.probeServer = alive;
        this.note(`the server says that its socket ${alive ? "stands" : "is gone"}`);
      }
      recovery.updateCause(this);
    });
  }

  // --- channels ----------------------------------------------------------------------------------------------

  /**
   * Return the channel of this name; make it if it does not exist.
   *
   * @throws ChannelError it is open with other options, or there are too many channels.
   * @throws SessionClosedError the session accepts nothing new.
   */
  openChannel(name: string, kind: Kind, now: number): Channel {
    return this.#feed(now, () => {
      this.#requireSendable("open a channel");
      return channels.openChannel(this, sendable(name), kind);
    });
  }

  /** Note that a session channel's data channel is open. */
  streamOpened(epoch: number, id: number, now: number): void {
    this.#feedOn(epoch, now, (connection) => {
      const under = connection.channels.get(id);
      const channel = this.byId.get(id);
      if (!under || !channel) return;
      under.open = true;
      channels.pump(this, channel);
    });
  }

  /** Note that a data channel of a connection is closed (id null: the control channel). */
  streamClosed(epoch: number, id: number | null, now: number): void {
    this.#feedOn(epoch, now, (connection) => {
      const expected = close.channelClosed(this, epoch, id);
      const under = id === null ? undefined : connection.channels.get(id);
      const channel = id === null ? undefined : this.byId.get(id);
      // Its refusal, or its `open` of the same name with an id of its own, may come later than this stream's end.
      const givesWay = channel?.open === false;
      const known = under?.closing || channel?.end?.said || givesWay;
      if (id !== null && connection.channels.delete(id)) channels.openLater(this);
      if ((id === null || under) && !expected && !known && epoch === this.active) {
        recovery.connectionLost(this, epoch, "left", "the other side closed a data channel of the session");
      }
    });
  }

  /** Take the answer to `AskDrained`. */
  drained(epoch: number, id: number, buffered: number, now: number): void {
    this.#feedOn(epoch, now, (connection) => {
      const channel = this.byId.get(id);
      if (channel) channels.drained(this, connection, channel, buffered);
    });
  }

  /**
   * Accept a message, and return its sequence number. Ask `hasRoom` first.
   *
   * @throws ChannelError larger than `maxMessage`; or the channel is closing.
   * @throws SessionClosedError the session accepts nothing new.
   */
  send(name: string, payload: Payload, now: number): number {
    return this.#feed(now, () => {
      this.#requireSendable("send");
      ending.requireSendable(this.channels.get(name)!);
      if (payload.data.length > this.options.maxMessage) {
        throw new ChannelError(
          `a message of ${payload.data.length} bytes on channel ${channels.quoted(name)}; the limit is ` +
            `${this.options.maxMessage}. Send it in pieces, or as a file.`,
        );
      }
      const channel = this.channels.get(name)!;
      const seq = channel.sender.accept(payload);
      channels.pump(this, channel);
      return seq;
    });
  }

  /** Close a channel within `timeout` seconds, or join its close; the session goes on. */
  closeChannel(name: string, reason: string, timeout: number, now: number): void {
    this.#feed(now, () => {
      const channel = this.channels.get(name);
      if (!this.closing && channel) ending.begin(this, channel, reason, timeout);
    });
  }

  /** Note that all `closing` handlers of a channel have ended. */
  channelLastWordsOver(name: string, now: number): void {
    this.#feed(now, () => {
      const end = this.channels.get(name)?.end;
      if (end) end.maySend = false;
    });
  }

  /** Whether `send` may be called: what waits to go out is below the buffer's bound. */
  hasRoom(name: string): boolean {
    return channels.hasRoom(this, this.channels.get(name));
  }

  #requireSendable(what: string): void {
    if (!this.closing || this.closing.maySend) return;
    const verb = this.outcome ? "has ended" : "is closing";
    throw new SessionClosedError(`cannot ${what}: the session with ${this.peer} ${verb}`);
  }

  /**
   * Take an SCTP message of a session channel; return its message if a reader waits for it (`readerChanged`). The
   * application has taken what is returned. Otherwise `Readable` says that there is something to `take`.
   */
  dataReceived(epoch: number, id: number, data: Uint8Array, now: number): Payload | undefined {
    return this.#feed(now, () => {
      const channel = this.byId.get(id);
      if (!channel || !this.connections.has(epoch)) return;
      this.#heard(epoch);
      const complete = channels.receive(this, epoch, channel, data);
      const payload = complete && channel.readerWaits ? channel.receiver.take() : undefined;
      channels.feed(this);
      this.#progressed();
      if (complete) this.#keepQueued();
      if (channel.end && !this.closing) {
        channel.end.progressed = now;
        if (complete) channels.keep(this, channel);
      }
      if (complete && (!payload || channel.receiver.held)) {
        this.report({ type: "Readable", name: channel.name });
        const { counted, line } = channel.receiver;
        if (channel.reliable && !counted && line.length % channels.SLOW_DOWN === 0) {
          channels.sendAcks(this, false, channel);
        }
      }
      if (payload || !complete) channels.ackLater(this, channel);
      return payload;
    });
  }

  /** Take the next message of this channel for the application, if there is one. */
  take(name: string, now: number): Payload | undefined {
    return this.#feed(now, () => {
      const channel = this.channels.get(name);
      if (!channel) return;
      channels.claim(this, channel);
      const payload = channel.receiver.take();
      channels.feed(this);
      if (!payload) return;
      this.#keepQueued();
      if (channel.end && !channel.end.said) channels.keep(this, channel);
      channels.ackLater(this, channel);
      return payload;
    });
  }

  /** Note that something new has come from the other side: its deadline is worth waiting for. */
  #progressed(): void {
    if (this.closing) this.closing.progressed = this.now;
  }

  /** Count what is queued as taken, while the session closes and takes anything. */
  #keepQueued(): void {
    if (this.closing && !this.closing.saidClosed) channels.keepQueued(this);
  }

  /**
   * Note whether a reader waits for the next message of this channel.
   *
   * While one waits, `dataReceived` returns the message that it completes, and counts it as taken: no `Readable` and no
   * `take` are needed. Call this with `waits` only after `take` has returned nothing; call it without as soon as the
   * reader is busy or has left. It stays as it is until then, over all resets.
   */
  readerChanged(name: string, waits: boolean, now: number): void {
    this.#feed(now, () => {
      const channel = this.channels.get(name);
      if (!channel) return;
      channel.readerWaits = waits;
      if (waits) channels.claim(this, channel);
    });
  }

  /** Say this side's new peer id, from a restarted server: the session keeps its own. */
  sayMoved(peer: string, now: number): void {
    this.movedTo = peer;
    this.#sayInBand({ type: "moved", peer }, now);
  }

  /** Say a word of a file transfer, over the control channel. */
  sayFile(file: messages.FileMessage, now: number): void {
    this.#sayInBand(file, now);
  }

  /** Say what happens to this side's tracks, for notices. */
  sayMedia(media: Map<string, messages.MediaState>, now: number): void {
    this.#sayInBand({ type: "media", media }, now);
  }

  #sayInBand(message: messages.ControlMessage, now: number): void {
    this.#feed(now, () => {
      const epoch = this.speaking();
      if (epoch !== undefined) this.sendControl(epoch, message);
    });
  }

  // --- what the application asks -----------------------------------------------------------------------------

  /**
   * Start the five steps, or join them if they have started.
   *
   * @param speaking sound is still to be heard: `mediaFinished` ends that.
   */
  askClose(reason: messages.Reason, timeout: number, now: number, speaking = false): void {
    this.#feed(now, close.begin, reason, timeout, speaking);
  }

  /** Note that the room is closed for all, or that this side asks for it; false: it is refused. */
  roomClosing(closes: boolean, now: number): void {
    this.#feed(now, () => {
      this.roomCloses = closes;
    });
  }

  /** Note that the sound of this side was heard, or that nothing more can be done for it. */
  mediaFinished(now: number): void {
    this.#feed(now, close.spoken);
  }

  /**
   * Take this side's account of its media, by mid. The last one before `closed` is said is said with it.
   *
   * @param agree that of `media.ts`, which is loaded when there is media.
   */
  mediaCounted(media: Map<string, messages.MediaAccount>, agree: MachineState["agreeMedia"], now: number): void {
    this.media = media;
    this.agreeMedia = agree;
    this.#feed(now, () => {});
  }

  /** End at once; the receipt says what is not known. */
  abort(now: number, reason?: messages.Reason): void {
    this.#feed(now, close.abort, reason);
  }

  /** Note that all `closing` handlers of the application have ended. `speaking`: see `askClose`. */
  lastWordsOver(now: number, speaking = false): void {
    this.#feed(now, close.lastWordsOver, speaking);
  }

  /** End the session: the other side has started another session of the two peers. */
  superseded(now: number): void {
    this.#feed(now, () => {
      if (!this.closing) {
        close.end(this, "network", this.evidence.cause(), "the other side has started a new session");
      }
    });
  }

  /** End, as the other side broke the protocol in a way that the shell saw. */
  endByViolation(now: number, message: string): void {
    this.#feed(now, close.endByViolation, message);
  }

  /** Ask the other side for an answer: there is a sign that it has gone. */
  doubt(now: number): void {
    this.#feed(now, () => {
      if (!this.silence && this.active !== undefined) heartbeat.ask(this);
    });
  }

  /** Ask for `eta` seconds more, while the other side closes. */
  askWait(reason: string, eta: number, now: number): void {
    const etaMs = Math.min(Math.round(eta * 1000), Number.MAX_SAFE_INTEGER);
    this.#feed(now, () => {
      if (this.state === "closing") this.say({ type: "wait", reason: sendable(reason, 1024), etaMs });
    });
  }

  /** Give the other side `eta` seconds from now, while this side closes. */
  grantWait(eta: number, now: number): void {
    this.#feed(now, close.extend, eta);
  }

  /**
   * Report the steps of a close or a reset from now on, or no longer.
   *
   * @param look that of `progress.ts`, which is loaded when somebody watches.
   */
  watchProgress(look: Watch["look"] | undefined, now: number): void {
    this.watch = look && (this.watch ?? { look, step: "", due: 0 });
    this.timers.delete("progress");
    this.#feed(now, () => {});
  }

  /** Begin a reset, join the running one, or raise its level. */
  askReset(level: Level, now: number): void {
    this.#feed(now, reset.ask, level);
  }
}
