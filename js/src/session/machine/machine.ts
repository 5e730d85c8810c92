/**
 * The session machine: everything that a session decides, without a clock, a socket or a promise.
 *
 * Theory of operation. A session is the link of two peers. It lives longer than any connection: connections are
 * numbered by `epoch`, at most one of them is `active` (what is sent goes over it), all that stand are heard. The
 * machine takes what happened (`controlReceived`, `streamClosed`, `signalReceived`, …, each with `now` in seconds) and
 * gives back, in order, what is to be done (`pollAction`), what is to be told (`pollEvent`) and when it wants to be
 * called again (`pollTimeout`).
 *
 *     connecting --hello--> open --silence--> suspect --5 s--> recovering --heard or new connection--> open
 *                            |  \--reset-----> resetting --switch--> open
 *                            any --close, closing--> closing --both `closed`, streams, connection--> closed
 *                            any --deliberate end, gave up, broken protocol--> closed
 *
 * The state has one setter, `enter`. A session that is closed has no connections and no timers. The procedures are in
 * files of their own and work on the machine's public members: `close.ts` (the five steps), `reset.ts` (a new path or
 * connection under the session), `liveness.ts` (silence, suspicion, the recovery ladder), `flow.ts` (the two directions
 * of a channel). It is the twin of the machine in Python; both replay the traces in `vectors/session`.
 */

import { compare, sendable } from "../../bytes.js";
import { Deque } from "../../deque.js";
import { ChannelError, SessionClosedError } from "../../errors.js";
import type { Level, Word } from "../../protocol/control.js";
import * as control from "../../protocol/control.js";
import { receiptId, sessionId } from "../../protocol/ids.js";
import type * as messages from "../../protocol/messages.js";
import { VERSION } from "../../protocol/messages.js";
import type { Action, Event, StateName } from "./actions.js";
import { type Presence, Witness } from "./cause.js";
import * as close from "./close.js";
import { Budget, isReliable, leastBudget, type Payload, Receiver, Remembered, Sender, Violation } from "./flow.js";
import * as liveness from "./liveness.js";
import { DEFAULTS, type Options } from "./options.js";
import type { Outcome } from "./receipt.js";
import * as reset from "./reset.js";

/** A session channel's data channel on one connection. */
interface Stream {
  open: boolean;
  /** An upper estimate of its bufferedAmount. */
  buffered: number;
  /** `AskDrained` is out. */
  asked: boolean;
}

/** One connection. */
export class Link {
  /** What the other side's engine takes as one SCTP message. */
  maxMessage = 65536;
  controlOpen = false;
  /** The other side's offer has come. */
  described = false;
  heardHello = false;
  /** How often its engine was found alive while no hello came. */
  silent = 0;
  streams = new Map<number, Stream>();

  constructor(readonly epoch: number) {}

  /** An upper estimate of what all its data channels buffer. */
  get buffered(): number {
    let sum = 0;
    for (const stream of this.streams.values()) sum += stream.buffered;
    return sum;
  }
}

/** A named channel. */
export interface Channel {
  name: string;
  ordered: boolean;
  reliability: messages.Reliability;
  id: number;
  /** This side's `open` holds. */
  mine: boolean;
  open: boolean;
  /** Every message arrives, or the receipt says which did not. */
  reliable: boolean;
  sender: Sender;
  receiver: Receiver;
  /** `dataReceived` hands out the next message. */
  readerWaits?: boolean;
}

export interface Kind {
  ordered: boolean;
  reliability: messages.Reliability;
}

export interface MachineInit {
  /** This side's peer id. */
  me: string;
  /** The other's; empty if it is not known yet (then `identify` follows before its first word is fed). */
  peer: string;
  /** Where they met; part of the session's id. */
  room?: string;
  /** Which of the two peers' sessions this is; part of its id. */
  n?: number;
  /** Whether this side stands for the smaller peer id; by default they are compared. */
  smaller?: boolean;
  options?: Partial<Options>;
  /** What was taken in sessions before. */
  remembered?: Remembered;
}

/** One side of a session. Create it, then call `start`. */
export class SessionMachine {
  readonly me: string;
  readonly room: string;
  readonly n: number;
  /** This side offers, and is the polite one. */
  readonly smaller: boolean;
  readonly options: Options;
  readonly remembered: Remembered;
  peer = "";
  session = "";
  receipt = "";
  state: StateName = "connecting";
  links = new Map<number, Link>();
  active: number | undefined;
  lastEpoch = 0;
  /** Connections that were ended and still hold something. */
  releasing = new Set<number>();
  channels = new Map<string, Channel>();
  byId = new Map<number, Channel>();
  /** Channels for whose credit there was no room, the one that has waited longest first. */
  hungry = new Map<string, Channel>();
  readonly budget: Budget;
  witness = new Witness();
  /** What both sides can do: known from the first `hello` on, and the same for the session's life. */
  capabilities: ReadonlySet<string> = new Set();
  liveness = new liveness.Liveness();
  closing: close.Close | undefined;
  reset: reset.Reset | undefined;
  resets: reset.Resets;
  outcome: Outcome | undefined;
  /** This side's new peer id, after its server was restarted. */
  movedTo = "";
  now = 0;
  timers = new Map<string, number>();
  /** Words said in-band whose effect has not been seen yet, by type. */
  words = new Map<string, Word>();
  #actions = new Deque<Action>();
  #events = new Deque<Event>();
  #nextId: number;

  constructor({ me, peer, room = "", n = 1, smaller, options, remembered }: MachineInit) {
    this.me = me;
    this.room = room;
    this.n = n;
    this.smaller = smaller ?? compare(me, peer) < 0;
    this.identify(peer);
    this.options = { ...DEFAULTS, ...options };
    const { budget, window, maxMessage, maxChannels } = this.options;
    const least = leastBudget(window, maxMessage, maxChannels);
    if (budget < least) {
      throw new RangeError(
        `budget=${budget}: a session with window=${window}, maxMessage=${maxMessage} and maxChannels=${maxChannels} ` +
          `needs ${least} bytes; raise it, or lower one of these`,
      );
    }
    this.budget = new Budget(budget, window, maxMessage);
    this.remembered = remembered ?? new Remembered();
    this.resets = new reset.Resets(this.options);
    this.#nextId = this.smaller ? control.FIRST_ID_SMALLER : control.FIRST_ID_LARGER;
  }

  // --- out ---------------------------------------------------------------------------------------------------

  /** The next thing to do. */
  pollAction(): Action | undefined {
    return this.#actions.shift();
  }

  /** The next thing to tell the application. */
  pollEvent(): Event | undefined {
    return this.#events.shift();
  }

  /** When to call `handleTimeout` at the latest. */
  pollTimeout(): number | undefined {
    return this.timers.size ? Math.min(...this.timers.values()) : undefined;
  }

  /** Have it done. */
  act(action: Action): void {
    this.#actions.push(action);
  }

  /** Have it told. */
  tell(event: Event): void {
    this.#events.push(event);
  }

  /** The one setter of the state. */
  enter(state: StateName, cause = ""): void {
    if (state === this.state) return;
    const previous = this.state;
    this.state = state;
    this.witness.told = cause;
    const evidence = cause ? this.witness.evidence() : [];
    this.tell({ type: "StateChanged", state, previous, cause, evidence });
  }

  /** The other side's peer id is known: so are the session's and the receipt's. */
  identify(peer: string): void {
    this.peer = peer;
    this.session = sessionId(this.room, this.me, peer, this.n);
    this.receipt = receiptId(this.session);
  }

  /** The other side has said its peer id. If this side ended before, its word had no name that the other knows. */
  introduced(peer: string, now: number): void {
    this.now = now;
    this.identify(peer);
    close.introduced(this);
  }

  // --- the life of the session -------------------------------------------------------------------------------

  /** Begin: the smaller peer id offers the first connection. */
  start(now: number): void {
    this.now = now;
    this.timers.set("connect", now + this.options.connectTimeout);
    this.connect(1, now);
  }

  /** Make the connection of `epoch`, with a data channel for every named channel. */
  connect(epoch: number, now: number): void {
    this.lastEpoch = Math.max(this.lastEpoch, epoch);
    this.links.set(epoch, new Link(epoch));
    this.timers.set(`hello ${epoch}`, now + this.options.resetTimeout);
    this.act({ type: "Connect", epoch, offer: this.smaller });
    for (const channel of this.channels.values()) {
      // Also one whose `opened` was lost with the connection before: the other side may send on it at once.
      if (channel.open || (channel.mine && epoch > 1)) this.#openStream(epoch, channel);
    }
  }

  /** End the connection of `epoch`. */
  release(epoch: number): void {
    if (!this.links.delete(epoch)) return;
    this.timers.delete(`hello ${epoch}`);
    for (const channel of this.channels.values()) channel.receiver.connectionGone(epoch);
    if (this.active === epoch) this.active = undefined;
    this.releasing.add(epoch);
    this.act({ type: "Release", epoch });
  }

  /** The session has ended: keep what was taken, in case it is sent again. */
  remember(now: number): void {
    for (const channel of this.channels.values()) {
      this.remembered.add(this.receipt, channel.name, channel.receiver, now);
    }
  }

  /** Do what is due. */
  handleTimeout(now: number): void {
    this.now = now;
    liveness.hasSlept(this, now);
    for (const [key, when] of [...this.timers]) {
      // What was due before it may have settled it.
      if (when > now || !this.timers.delete(key)) continue;
      const [kind, argument = ""] = key.split(" ");
      switch (kind) {
        case "connect":
          this.witness.note(now, `no connection within ${this.options.connectTimeout} s`);
          close.end(this, now, "network", "gave-up", "the connection could not be made");
          break;
        case "hello":
          this.#helloMissing(Number(argument), now);
          break;
        case "word": {
          const word = this.words.get(argument);
          if (this.words.delete(argument)) this.act({ type: "Signal", word: word! });
          break;
        }
        case "ack":
          this.#sendAcks();
          break;
        case "ping":
        case "suspect":
        case "ladder":
        case "fresh":
          liveness.handleTimeout(this, kind, now);
          break;
        case "reset":
        case "peer-reset":
          reset.handleTimeout(this, kind, now);
          break;
        case "farewell":
          close.farewell(this, now);
          break;
        default: // "drain", "end": `progress` looks at the time.
      }
    }
    close.progress(this, now);
  }

  #helloMissing(epoch: number, now: number): void {
    const link = this.links.get(epoch);
    if (!link || link.heardHello) return;
    if (link.controlOpen && this.state === "connecting") {
      this.timers.set(`hello ${epoch}`, now + 1);
      this.act({ type: "AskFresh", epoch }); // is it silent, or is the network?
    } else if (this.state === "connecting" && !this.smaller && !link.described) {
      this.timers.set(`hello ${epoch}`, now + this.options.resetTimeout); // nobody has called yet
    } else if (this.state === "connecting") {
      this.release(epoch);
      this.connectAgain(now);
    } else {
      reset.failed(this, now, `no hello on connection ${epoch}`);
    }
  }

  /** The first connection did not come up: try another, until the session gives up. */
  connectAgain(now: number): void {
    if (this.smaller) this.connect(this.lastEpoch + 1, now);
  }

  /** The other side broke the protocol: the session ends at once. */
  endByViolation(now: number, message: string): void {
    this.witness.note(now, message);
    close.end(this, now, "local", "protocol-error", message);
  }

  // --- connections -------------------------------------------------------------------------------------------

  /**
   * A session description for `epoch` has come by signaling. Whether it is to be applied.
   *
   * A higher epoch than any implies the reset that its word would have asked for.
   */
  wantsDescription(epoch: number, now: number): boolean {
    this.now = now;
    if (this.state === "closed") return false;
    const link = this.links.get(epoch);
    if (link) {
      link.described = true;
      return true;
    }
    if (epoch <= this.lastEpoch || epoch > this.lastEpoch + reset.AHEAD || this.smaller) return false;
    if (this.state === "connecting") {
      for (const old of [...this.links.keys()]) this.release(old);
      this.connect(epoch, now);
      this.links.get(epoch)!.described = true;
      return true;
    }
    return reset.implied(this, epoch, now);
  }

  /**
   * The control channel of a connection stands: say hello.
   *
   * @param maxMessage the largest SCTP message that the other side's engine takes (maxMessageSize), in bytes.
   */
  controlOpened(epoch: number, maxMessage: number, now: number): void {
    this.now = now;
    const link = this.links.get(epoch);
    if (!link) return;
    if (maxMessage < control.MIN_MESSAGE) {
      this.endByViolation(now, `its engine takes messages of ${maxMessage} bytes at most`);
      return;
    }
    link.controlOpen = true;
    link.maxMessage = maxMessage;
    this.timers.set(`hello ${epoch}`, now + this.options.helloTimeout);
    this.#send(epoch, {
      type: "hello",
      version: VERSION,
      peer: this.me,
      session: this.session,
      epoch,
      have: this.have(),
      heartbeatMs: Math.round(this.options.heartbeat * 1000),
      capabilities: [...this.options.capabilities],
    });
  }

  #send(epoch: number, message: messages.ControlMessage): void {
    this.act({ type: "SendControl", epoch, text: control.encode(message) });
  }

  /** A message on a control channel. */
  controlReceived(epoch: number, text: string, now: number): void {
    this.now = now;
    const link = this.links.get(epoch);
    if (!link) return;
    let message: messages.ControlMessage | undefined;
    try {
      message = control.decode(text);
    } catch (error) {
      this.endByViolation(now, `a wrong control message: ${(error as Error).message}`);
      return;
    }
    if (!link.heardHello && message?.type !== "hello") {
      this.endByViolation(now, "a control message before hello");
      return;
    }
    liveness.heard(this, epoch, now);
    if (message) this.#handleControl(link, message, now);
    close.progress(this, now);
  }

  #handleControl(link: Link, message: messages.ControlMessage, now: number): void {
    switch (message.type) {
      case "hello":
        return this.#handleHello(link, message, now);
      case "ping":
        return this.#send(link.epoch, { type: "pong", n: message.n });
      case "pong":
        return reset.ponged(this, link.epoch, message.n, now);
      case "open":
        return this.#handleOpen(message, now);
      case "opened":
        return this.#handleOpened(message, now);
      case "ack":
        return this.#handleAck(message, now);
      case "want":
        return this.#handleWant(message);
      case "moved":
        return this.tell({ type: "PeerMoved", peer: message.peer });
      case "media":
        return this.tell({ type: "MediaSaid", media: message.media });
      case "file":
        return this.tell({ type: "FileSaid", file: message });
      default:
        return this.#handleWord(message, now);
    }
  }

  #handleHello(link: Link, hello: messages.ControlHello, now: number): void {
    let wrong = "";
    if (hello.version !== VERSION) wrong = `protocol version ${hello.version}, this side speaks ${VERSION}`;
    else if (hello.session !== this.session) wrong = `hello for session ${hello.session}, this is ${this.session}`;
    else if (hello.epoch !== link.epoch) wrong = `hello of epoch ${hello.epoch} on connection ${link.epoch}`;
    else if (link.heardHello) wrong = "a second hello";
    if (wrong) {
      this.endByViolation(now, wrong);
      return;
    }
    link.heardHello = true;
    this.timers.delete(`hello ${link.epoch}`);
    if (this.state === "connecting") {
      this.timers.delete("connect");
      this.capabilities = new Set(this.options.capabilities.filter((own) => hello.capabilities?.includes(own)));
      for (const channel of this.channels.values()) this.#countMessages(channel);
      this.enter("open");
      this.activate(link.epoch, hello.have, now);
    } else {
      reset.greeted(this, link.epoch);
    }
  }

  /** From now on what is sent goes over this connection, after what the other side has. Messages sent again. */
  activate(epoch: number, have: Map<string, number>, now: number): number {
    this.active = epoch;
    liveness.heard(this, epoch, now);
    let again = 0;
    try {
      for (const { name, open, reliable, sender } of this.channels.values()) {
        if (open && reliable) again += sender.rewind(have.get(name) ?? 0);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.endByViolation(now, error.message);
      return 0;
    }
    for (const channel of this.channels.values()) {
      if (channel.open) this.pump(channel);
      else if (channel.mine) this.#sayOpen(channel);
    }
    // What was said over the connection before may have been lost with it.
    this.#sendAcks(true);
    if (this.movedTo) this.#send(epoch, { type: "moved", peer: this.movedTo });
    return again;
  }

  /** What has arrived of each reliable channel without a gap. */
  have(): Map<string, number> {
    const have = new Map<string, number>();
    for (const { name, open, reliable, receiver } of this.channels.values()) {
      if (open && reliable) have.set(name, receiver.have);
    }
    return have;
  }

  /** A connection, its DTLS or its association, has ended by itself, or was closed behind the session's back. */
  connectionLost(epoch: number, kind: liveness.LossKind, text: string, now: number): void {
    this.now = now;
    if (!this.links.has(epoch)) return;
    this.witness.note(now, text);
    liveness.lost(this, epoch, kind, text, now);
    close.progress(this, now);
  }

  /** No connection can be made here, now or later: a reset fails, a session that never stood ends. */
  cannotConnect(epoch: number, text: string, now: number): void {
    if (this.state === "connecting") {
      this.now = now;
      this.witness.note(now, text);
      this.release(epoch);
      close.end(this, now, "local", "gave-up", text);
      close.progress(this, now);
    } else {
      this.connectionLost(epoch, "failed", text, now);
    }
  }

  /** This machine has no address or no socket for a connection: no path can come about. */
  noWayOut(epoch: number, text: string, now: number): void {
    this.now = now;
    if (epoch !== this.active) {
      // The offerer would wait until its reset's time is over.
      if (this.reset?.epoch === epoch && !this.smaller) this.say({ type: "cancel", epoch });
      this.cannotConnect(epoch, text, now);
    } else {
      this.witness.note(now, text);
      if (this.reset?.level === "ice") reset.failed(this, now, text); // the path of before may go on
    }
  }

  /** The ICE state of a connection: only a hint to look (closing rule 66). */
  iceChanged(epoch: number, state: string, now: number): void {
    this.now = now;
    if (epoch === this.active && (state === "disconnected" || state === "failed")) {
      this.witness.note(now, `ICE ${state}`);
      liveness.ask(this, now);
    }
  }

  /** An offer and its answer have been applied on a connection. */
  negotiated(epoch: number, now: number): void {
    this.now = now;
    reset.negotiated(this, epoch, now);
  }

  /** The answer to `AskFresh`: seconds since the last packet of the other side's engine. */
  fresh(epoch: number, age: number | null, now: number): void {
    this.now = now;
    const link = this.links.get(epoch);
    if (this.state !== "connecting") {
      liveness.fresh(this, epoch, age, now);
    } else if (link && !link.heardHello) {
      link.silent = age !== null && age < liveness.FRESH ? link.silent + 1 : 0;
      if (link.silent === 2) close.end(this, now, "network", "protocol-error", NOT_ADIEU);
    }
    close.progress(this, now);
  }

  /** Nothing of that connection is left. */
  released(epoch: number, now: number): void {
    this.now = now;
    this.releasing.delete(epoch);
    close.progress(this, now);
  }

  // --- signaling ---------------------------------------------------------------------------------------------

  /** A word of the other side by signaling. */
  signalReceived(word: Word, now: number): void {
    this.now = now;
    if (this.state === "closed") {
      close.late(this, word);
      return;
    }
    this.#handleWord(word, now);
    close.progress(this, now);
  }

  /** Our way to the other side by signaling. Losing it ends no session. */
  signalingChanged(up: boolean, now: number): void {
    this.now = now;
    this.witness.signaling = up;
    if (up && (this.state === "suspect" || this.state === "recovering")) {
      liveness.handleTimeout(this, "ladder", now);
    }
  }

  /** What the server says of the other side. */
  presenceChanged(presence: Presence, now: number, reloaded = false): void {
    this.now = now;
    this.witness.place(presence, now);
    this.witness.reloaded ||= reloaded;
    if (this.state === "closed" || presence === "here") return;
    if (this.closing?.heardClosed) return; // it has said all that was asked of it: now it may go
    this.witness.note(now, `the server says: ${reloaded ? "reloaded" : presence}`);
    liveness.presence(this, now);
  }

  /** The answer to `Probe`, of the server or of the other side itself; one that came too late says nothing. */
  probed(byPeer: boolean, alive: boolean, now: number): void {
    this.now = now;
    if (this.liveness.asked === undefined) return;
    if (byPeer) {
      this.witness.probePeer = true;
      this.witness.note(now, "it answers by signaling");
    } else {
      this.witness.probeServer = alive;
      this.witness.note(now, `the server says that its socket ${alive ? "stands" : "is gone"}`);
    }
    liveness.recause(this);
  }

  /** Say a word in-band; by signaling too at once (`both`), or if it has no effect for 250 ms (`repeat`). */
  say(word: Word, { epoch = this.speaking(), both = false, repeat = true } = {}): void {
    if (epoch !== undefined) this.#send(epoch, word);
    if (both || epoch === undefined) {
      this.act({ type: "Signal", word });
    } else if (repeat) {
      this.words.set(word.type, word);
      this.timers.set(`word ${word.type}`, this.now + this.options.wordRepeat);
    }
  }

  /** These words need not be repeated. */
  tookEffect(...types: Word["type"][]): void {
    for (const type of types) {
      this.words.delete(type);
      this.timers.delete(`word ${type}`);
    }
  }

  /** The connection whose control channel carries this side's words: the active one, or the only one. */
  speaking(): number | undefined {
    if (this.active !== undefined) return this.active;
    return [...this.links.values()].findLast((link) => link.heardHello)?.epoch;
  }

  #handleWord(word: Word, now: number): void {
    this.now = now;
    switch (word.type) {
      case "closing":
      case "wait":
      case "done":
      case "closed":
        return close.handleWord(this, word, now);
      default:
        return reset.handleWord(this, word, now);
    }
  }

  // --- channels ----------------------------------------------------------------------------------------------

  /**
   * The channel of this name: made if there is none.
   *
   * @throws ChannelError it stands with other options, or there are too many.
   * @throws SessionClosedError the session takes nothing new.
   */
  openChannel(named: string, kind: Kind, now: number): Channel {
    this.now = now;
    const name = sendable(named);
    this.#requireSendable("open a channel");
    const known = this.channels.get(name);
    if (known) {
      if (!isSame(known, kind)) {
        throw new ChannelError(
          `channel ${quoted(name)} is already open with ${worded(known)}; asked for ${worded(kind)}. ` +
            "Both sides must ask for the same.",
        );
      }
      this.#claim(known);
      return known;
    }
    if (this.channels.size >= this.options.maxChannels) {
      throw new ChannelError(`${this.channels.size} channels are open; the limit is ${this.options.maxChannels}`);
    }
    if (this.#nextId < 0) {
      throw new ChannelError(`no stream id is left for channel ${quoted(name)}: a session has 511 on each side`);
    }
    const channel = this.#makeChannel(name, kind, this.#nextId, true);
    this.#nextId -= 2;
    if (this.active !== undefined) this.#sayOpen(channel);
    return channel;
  }

  #makeChannel(name: string, { ordered, reliability }: Kind, id: number, mine: boolean): Channel {
    const reliable = isReliable(reliability);
    const channel: Channel = {
      name,
      ordered,
      reliability,
      id,
      mine,
      open: false,
      reliable,
      sender: new Sender(reliable, this.options.sendBuffer),
      receiver: new Receiver(ordered, reliable, this.budget, mine),
    };
    this.channels.set(name, channel);
    this.byId.set(id, channel);
    this.#countMessages(channel);
    return channel;
  }

  #countMessages({ sender, receiver }: Channel): void {
    sender.counted = receiver.counted = this.capabilities.has("credit2");
  }

  /** The application takes the channel: it gets more credit than one that nobody asked for. */
  #claim(channel: Channel): void {
    if (channel.receiver.claimed) return;
    channel.receiver.claimed = true;
    if (!channel.open || !channel.reliable) return;
    this.#sendAcks(false, channel);
    this.feed();
  }

  #sayOpen({ name, id, ordered, reliability, receiver }: Channel): void {
    const epoch = this.active!;
    // Before the word: what the other side sends after its `opened` must find the data channel here, also on the
    // connection of a reset that is under way.
    for (const each of this.links.keys()) this.#openStream(each, { name, id, ordered, reliability });
    this.#send(epoch, { type: "open", name, id, ordered, reliability, window: receiver.grant() });
  }

  #openStream(epoch: number, { name, id, ordered, reliability }: Kind & { name: string; id: number }): void {
    const { streams } = this.links.get(epoch)!;
    if (streams.has(id)) return;
    streams.set(id, { open: false, buffered: 0, asked: false });
    this.act({ type: "OpenStream", epoch, id, name, ordered, reliability });
  }

  #handleOpen(message: messages.Open, now: number): void {
    const epoch = this.active;
    if (epoch === undefined) return; // repeated once the new connection carries the session
    const { name, id, window } = message;
    const kind = { ordered: message.ordered ?? true, reliability: message.reliability ?? {} };
    const first = this.smaller ? control.FIRST_ID_LARGER : control.FIRST_ID_SMALLER;
    if (id > first || (first - id) % 2) {
      this.endByViolation(now, `channel ${quoted(name)} opened with id ${id}, which is not its to give`);
      return;
    }
    let channel = this.channels.get(name);
    let error = "";
    if (!channel) {
      if (this.channels.size >= this.options.maxChannels || this.byId.has(id)) {
        error = `no room for channel ${quoted(name)}`;
      } else {
        channel = this.#makeChannel(name, kind, id, false);
      }
    } else if (!isSame(channel, kind)) {
      error = `channel ${quoted(name)} is wanted differently: ${worded(kind)} there; ${worded(channel)} here`;
    } else if (!channel.open && channel.mine) {
      if (this.smaller) {
        // Same name from both at once: the smaller peer's holds, and the other answers it. The data channel that the
        // other has made, and closes now, is closed from here too, or its procedure would not end.
        this.act({ type: "OpenStream", epoch, id, name, ...kind });
        this.act({ type: "CloseStream", epoch, id });
        return;
      }
      this.#adopt(channel, id);
    }
    if (error || !channel) {
      this.#send(epoch, { type: "opened", name, id, error });
      if (channel && !channel.open) this.#dropChannel(channel, error);
      return;
    }
    for (const each of this.links.keys()) this.#openStream(each, channel);
    this.#send(epoch, { type: "opened", name, id: channel.id, window: channel.receiver.grant() });
    this.#opened(channel, window, true);
  }

  /** The other side's `open` of the same name holds: use its id. */
  #adopt(channel: Channel, id: number): void {
    this.#closeStreams(channel.id);
    this.byId.delete(channel.id);
    channel.id = id;
    channel.mine = false;
    this.byId.set(id, channel);
  }

  #closeStreams(id: number): void {
    for (const [epoch, link] of this.links) {
      if (link.streams.delete(id)) this.act({ type: "CloseStream", epoch, id });
    }
  }

  #handleOpened({ name, id, window = 0, error = "" }: messages.Opened, now: number): void {
    const channel = this.channels.get(name);
    if (!channel || channel.open) return;
    if (error) {
      this.#dropChannel(channel, error);
    } else if (id !== channel.id) {
      this.endByViolation(now, `channel ${quoted(name)} opened with id ${id} instead of ${channel.id}`);
    } else {
      for (const epoch of this.links.keys()) this.#openStream(epoch, channel);
      this.#opened(channel, window, false);
    }
  }

  #opened(channel: Channel, window: number, incoming: boolean): void {
    if (!channel.open) {
      channel.open = true;
      this.tell({ type: "ChannelOpened", name: channel.name, incoming });
    }
    channel.sender.granted(window);
    this.pump(channel);
  }

  #dropChannel(channel: Channel, message: string): void {
    this.channels.delete(channel.name);
    this.byId.delete(channel.id);
    this.hungry.delete(channel.name);
    channel.receiver.leave();
    this.feed();
    this.#closeStreams(channel.id);
    this.tell({ type: "ChannelFailed", name: channel.name, message });
  }

  /** A session channel's data channel stands. */
  streamOpened(epoch: number, id: number, now: number): void {
    this.now = now;
    const stream = this.links.get(epoch)?.streams.get(id);
    const channel = this.byId.get(id);
    if (stream && channel) {
      stream.open = true;
      this.pump(channel);
    }
  }

  /** A data channel of a connection is closed (id null: the control channel). */
  streamClosed(epoch: number, id: number | null, now: number): void {
    this.now = now;
    const link = this.links.get(epoch);
    if (!link) return;
    const expected = close.streamClosed(this, epoch, id);
    const known = id === null || link.streams.delete(id);
    if (known && !expected && epoch === this.active) {
      this.connectionLost(epoch, "left", "the other side closed a data channel of the session", now);
    }
    close.progress(this, now);
  }

  /** The answer to `AskDrained`. */
  drained(epoch: number, id: number, buffered: number, now: number): void {
    this.now = now;
    const link = this.links.get(epoch);
    const stream = link?.streams.get(id);
    const channel = this.byId.get(id);
    if (!link || !stream || !channel) return;
    const crowded = link.buffered >= this.options.linkHigh;
    stream.buffered = buffered;
    stream.asked = false;
    for (const other of crowded ? this.channels.values() : [channel]) this.pump(other);
  }

  /**
   * Accept a message: its sequence number. Ask `hasRoom` first.
   *
   * @throws ChannelError larger than `maxMessage`.
   * @throws SessionClosedError the session takes nothing new.
   */
  send(name: string, payload: Payload, now: number): number {
    this.now = now;
    this.#requireSendable("send");
    if (payload.data.length > this.options.maxMessage) {
      throw new ChannelError(
        `a message of ${payload.data.length} bytes on channel ${quoted(name)}; the limit is ` +
          `${this.options.maxMessage}. Send it in pieces, or as a file.`,
      );
    }
    const channel = this.channels.get(name)!;
    const seq = channel.sender.accept(payload);
    this.pump(channel);
    return seq;
  }

  /** Whether `send` may be called: what waits to go out is below the buffer's bound. */
  hasRoom(name: string): boolean {
    return (this.channels.get(name)?.sender.queued ?? 0) < this.options.sendBuffer;
  }

  #requireSendable(what: string): void {
    if (this.state === "closed" || (this.closing && !this.closing.maySend)) {
      const verb = this.state === "closed" ? "has ended" : "is closing";
      throw new SessionClosedError(`cannot ${what}: the session with ${this.peer} ${verb}`);
    }
  }

  /** Hand to the active connection what credit and buffer allow. */
  pump(channel: Channel): void {
    if (this.active === undefined || !channel.open || this.closing?.saidClosed) return;
    const link = this.links.get(this.active)!;
    const stream = link.streams.get(channel.id);
    if (!stream?.open || stream.asked) return;
    const { streamHigh, linkHigh } = this.options;
    const fragment = Math.min(control.MAX_FRAGMENT, link.maxMessage);
    const room = Math.min(streamHigh - stream.buffered, linkHigh - link.buffered);
    const full = !this.hasRoom(channel.name);
    for (const data of channel.sender.frames(room, fragment)) {
      stream.buffered += data.length;
      this.act({ type: "SendData", epoch: link.epoch, id: channel.id, data });
    }
    if (stream.buffered >= streamHigh) {
      this.#askDrained(link, channel.id);
    } else if (link.buffered >= linkHigh) {
      for (const [id, { buffered }] of link.streams) if (buffered) this.#askDrained(link, id);
    }
    if ((full && this.hasRoom(channel.name)) || (!channel.reliable && channel.sender.idle)) {
      this.tell({ type: "Acknowledged", name: channel.name });
    }
    const asks = channel.sender.wanted();
    if (!asks) return;
    const channels = new Map([[channel.name, asks.wanted]]);
    const turns = asks.turn && { turns: new Map([[channel.name, asks.turn]]) };
    this.#send(link.epoch, { type: "want", channels, ...turns });
  }

  #askDrained(link: Link, id: number): void {
    const stream = link.streams.get(id)!;
    if (stream.asked) return;
    stream.asked = true;
    // Less than was known: who asks because others are full would have the same answer at once, without end.
    const most = Math.min(this.options.streamLow, Math.floor(stream.buffered / 2));
    this.act({ type: "AskDrained", epoch: link.epoch, id, most });
  }

  /**
   * Feed an SCTP message of a session channel; get its message if a reader waits for it (`readerChanged`). The
   * application has taken what is returned. Otherwise `Readable` says that there is something to `take`.
   */
  dataReceived(epoch: number, id: number, data: Uint8Array, now: number): Payload | undefined {
    this.now = now;
    const channel = this.byId.get(id);
    if (!channel || !this.links.has(epoch)) return;
    liveness.heard(this, epoch, now);
    const { name, receiver } = channel;
    let complete: boolean;
    try {
      complete = receiver.receive(epoch, data, ([receipt, seq]) => this.remembered.has(receipt, name, seq, now));
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.endByViolation(now, `channel ${quoted(name)}: ${error.message}`);
      return;
    }
    close.progressed(this, now);
    const payload = complete && channel.readerWaits ? receiver.take() : undefined;
    this.feed();
    if (complete) {
      if (this.closing) close.keep(this);
      if (!payload || receiver.held) this.tell({ type: "Readable", name });
      close.progress(this, now);
      const { counted, line } = receiver;
      if (!payload && channel.reliable && !counted && line.length % SLOW_DOWN === 0) this.#sendAcks(false, channel);
    }
    if (payload || !complete) this.ackLater(channel, now);
    return payload;
  }

  /** Take the next message of this channel for the application, if there is one. */
  take(name: string, now: number): Payload | undefined {
    this.now = now;
    const channel = this.channels.get(name);
    if (channel) this.#claim(channel);
    const payload = channel?.receiver.take();
    this.feed();
    if (channel && payload) {
      if (this.closing) close.keep(this);
      this.ackLater(channel, now);
      close.progress(this, now);
    }
    return payload;
  }

  /**
   * Say whether a reader waits for the next message of this channel.
   *
   * While one waits, `dataReceived` returns the message that it completes, and counts it as taken: no `Readable` and no
   * `take` are needed. Call this with `waits` only after `take` has returned nothing; call it without as soon as the
   * reader is busy or has left. It stays as it is until then, over all resets.
   */
  readerChanged(name: string, waits: boolean, now: number): void {
    this.now = now;
    const channel = this.channels.get(name);
    if (!channel) return;
    channel.readerWaits = waits;
    if (waits) this.#claim(channel);
  }

  /** Acknowledge soon: after enough messages or bytes, or 20 ms; at once while closing. */
  ackLater({ receiver }: Channel, now: number): void {
    if (!receiver.ackWanted) return;
    const { ackMessages, ackBytes, ackDelay } = this.options;
    if (this.closing || receiver.ackDue(ackMessages, ackBytes)) this.#sendAcks();
    else if (!this.timers.has("ack")) this.timers.set("ack", now + ackDelay);
  }

  #sendAcks(every = false, also?: Channel): void {
    this.timers.delete("ack");
    if (this.active === undefined) return;
    let channels = new Map<string, messages.Acknowledged>();
    let ranges = 0;
    for (const channel of this.channels.values()) {
      const { name, open, reliable, receiver } = channel;
      if (!receiver.ackWanted && channel !== also && !(every && open && reliable)) continue;
      const ack = receiver.acknowledgement();
      channels.set(name, ack);
      ranges += ack.ranges?.length ?? 0;
      if (ranges > control.MAX_RANGES || channels.size === ACKS) {
        this.#send(this.active, { type: "ack", channels });
        channels = new Map();
        ranges = 0;
      }
    }
    if (channels.size) this.#send(this.active, { type: "ack", channels });
  }

  #handleWant({ channels, turns }: messages.Want): void {
    for (const [name, wanted] of channels) {
      const channel = this.channels.get(name);
      if (!channel?.open || !channel.reliable || !channel.receiver.counted) continue;
      channel.receiver.ask(wanted, turns?.get(name));
      if (!this.hungry.has(name)) this.hungry.set(name, channel);
    }
    this.feed();
  }

  /** Give credit to those that asked for it, in their order, as far as there is room. */
  feed(): void {
    let first = true;
    for (const [name, channel] of [...this.hungry]) {
      const { receiver } = channel;
      if (!receiver.hungry) {
        this.hungry.delete(name);
        continue;
      }
      const { edge } = receiver;
      receiver.grant();
      let given = receiver.edge > edge;
      if (receiver.stuck && first) {
        // Nobody behind it gets a turn before it: what is large would wait for ever.
        first = receiver.giveTurn();
        given ||= first;
      }
      if (receiver.waits && receiver.claimed && !receiver.stuck) {
        receiver.waits = undefined;
        given = true; // Said even if it was said before: the other side waits for it.
      }
      if (!given) continue;
      if (!receiver.stuck) this.hungry.delete(name);
      this.#sendAcks(false, channel);
    }
  }

  #handleAck(message: messages.Ack, now: number): void {
    for (const [name, ack] of message.channels) {
      const channel = this.channels.get(name);
      if (!channel?.reliable) continue;
      let news: boolean;
      try {
        news = channel.sender.acknowledge(ack);
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        this.endByViolation(now, `channel ${quoted(name)}: ${error.message}`);
        return;
      }
      if (news) close.progressed(this, now);
      this.pump(channel);
      if (news) this.tell({ type: "Acknowledged", name });
    }
  }

  /** A restarted server gave this side a new peer id: the session keeps its own. */
  sayMoved(peer: string, now: number): void {
    this.movedTo = peer;
    this.#sayInBand({ type: "moved", peer }, now);
  }

  /** A step of a file transfer, over the control channel. */
  sayFile(file: messages.FileMessage, now: number): void {
    this.#sayInBand(file, now);
  }

  /** What happens to this side's tracks, for notices. */
  sayMedia(media: Map<string, messages.MediaState>, now: number): void {
    this.#sayInBand({ type: "media", media }, now);
  }

  #sayInBand(message: messages.ControlMessage, now: number): void {
    this.now = now;
    const epoch = this.speaking();
    if (epoch !== undefined) this.#send(epoch, message);
  }

  // --- what the application asks -----------------------------------------------------------------------------

  /** Begin the five steps (or join them, if they have begun). */
  askClose(reason: messages.Reason, timeout: number, now: number): void {
    this.now = now;
    close.begin(this, reason, timeout, now);
    close.progress(this, now);
  }

  /** End at once; the receipt says what is not known. */
  abort(now: number, reason?: messages.Reason): void {
    this.now = now;
    close.abort(this, now, reason);
  }

  /** All `closing` handlers of the application have settled. */
  lastWordsOver(now: number): void {
    this.now = now;
    close.lastWordsOver(this);
    close.progress(this, now);
  }

  /** The other side has begun another session of the same two peers: this one is over there. */
  superseded(now: number): void {
    this.now = now;
    if (!this.closing) {
      close.end(this, now, "network", this.witness.cause(), "the other side has begun a new session");
    }
  }

  /** There is a sign that the other side is not there any more: ask it. */
  doubt(now: number): void {
    this.now = now;
    if (this.liveness.asked === undefined && this.active !== undefined) liveness.ask(this, now);
  }

  /** While the other side closes: ask for `eta` seconds more. */
  askWait(reason: string, eta: number, now: number): void {
    this.now = now;
    const etaMs = Math.min(Math.round(eta * 1000), Number.MAX_SAFE_INTEGER);
    this.say({ type: "wait", reason: sendable(reason, 1024), etaMs });
  }

  /** While this side closes: give the other side `eta` seconds from now. */
  grantWait(eta: number, now: number): void {
    this.now = now;
    close.extend(this, eta, now);
  }

  /** Begin a reset, join the running one, or raise its level. */
  askReset(level: Level, now: number): void {
    this.now = now;
    reset.ask(this, level, now);
  }
}

/** A peer that counts payload alone hears of its window again after so many messages that lie here. */
const SLOW_DOWN = 1024;
/** Channels in one `ack`: with long names and all their ranges it stays below what a connection carries. */
const ACKS = 64;

export const NOT_ADIEU = "the other side said no hello: it does not speak adieu";

function isSame(one: Kind, other: Kind): boolean {
  return worded(one) === worded(other);
}

function worded({ ordered, reliability: { maxRetransmits, maxPacketLifeTime } }: Kind): string {
  let reliability = "reliable";
  if (maxRetransmits != null) reliability = `maxRetransmits=${maxRetransmits}`;
  else if (maxPacketLifeTime != null) reliability = `maxPacketLifeTime=${maxPacketLifeTime}`;
  return `ordered=${ordered}, ${reliability}`;
}

function quoted(name: string): string {
  return JSON.stringify(name);
}
