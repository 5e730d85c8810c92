/**
 * One connection of an application: its channels, what it says to the other side, and how it ends.
 *
 * The application's objects stay its own. Goodbye listens to them, replaces `createDataChannel()` and
 * `close()`, and gives both back at the end.
 *
 * Two sides with goodbye find each other without SDP and without signaling, by two negotiated data channels. The knock
 * is closed as soon as it is open; nothing is ever sent on it. When its stream is reset both ways, the other side has a
 * knock too, and only then something is sent, on the talk channel. A side without goodbye sees one reset of a stream
 * that it never knew, which no stack minds; some would mind data there.
 */

import type { Leaver } from "../leaving.js";
import { CHROMIUM } from "../platform.js";
import { Closing, type Host, SILENT } from "./closing.js";
import type { GoodbyeEvent, GoodbyeOptions } from "./options.js";
import type { Begin, Receipt, Seen } from "./receipt.js";
import { decode, encode, type Word } from "./words.js";

/** The owner of a connection. */
export interface Owner {
  fire(type: string, members?: Partial<GoodbyeEvent>): void;
  /** The connection is closed: nothing follows. */
  over(receipt: Receipt): void;
  options: GoodbyeOptions;
}

/** Stream ids: the last two that every browser can use. */
const TALK = 1023;
const KNOCK = 1022;
const PROTOCOL = "goodbye.v1";
/** SCTP cause code: the other side called close(). */
const CLOSED_THERE = 12;

/** Milliseconds. Two looks for signs of life are so far apart. */
const LOOK = 500;
/** A timer that is this late was stopped with its page. */
const FROZEN = 2500;
/** After so much silence a sign of life is asked for. */
const ASK = 1000;
/** After so much silence the other side is gone, if it would have answered; else, if browsers leave no such gap. */
const UNANSWERED = 3000;
const UNHEARD = CHROMIUM ? 4000 : 7000;
/** The time in which a side with goodbye answers the knock, also on a busy machine. */
const YOUNG = 2000;
/** The time after the end of a connection in which the browser may still hand out its last words. */
const WORDS = 100;
/** The time in which a channel may have closed because the other side left: that is known then. */
const SETTLED = 1000;
/** The time for which a page is kept from going away, so that a word leaves before the queue. */
const HELD = 200;

export class Connection implements Host, Leaver {
  readonly pc: RTCPeerConnection;
  readonly channels = new Set<RTCDataChannel>();
  /** The other side has goodbye. */
  mutual = false;
  youngUntil = 0;
  messageAt = Number.NEGATIVE_INFINITY;
  readonly #owner: Owner;
  readonly #close: () => void;
  readonly #create: RTCPeerConnection["createDataChannel"];
  /** Channels whose stream was reset both ways. */
  readonly #reset = new WeakSet<RTCDataChannel>();
  readonly #stop = new AbortController();
  /** Aborted when goodbye lets go of the connection. */
  readonly signal = this.#stop.signal;
  #talk: RTCDataChannel | undefined;
  #greeted = false;
  #closing: Closing | undefined;
  /** Why the other side is gone. */
  #gone = "";
  /** When a sign of life was last heard, and looked for; what had come by then. */
  #heardAt = this.now();
  #lookedAt = this.now();
  #fresh: number | undefined;

  constructor(pc: RTCPeerConnection, owner: Owner) {
    this.pc = pc;
    this.#owner = owner;
    const { signal } = this;
    this.#close = pc.close.bind(pc);
    this.#create = pc.createDataChannel.bind(pc);
    pc.createDataChannel = (...given) => this.watch(this.#create(...given));
    pc.close = () => this.abandon();
    pc.addEventListener("datachannel", ({ channel }) => this.watch(channel), { signal });
    for (const name of ["signalingstatechange", "connectionstatechange"])
      pc.addEventListener(name, () => this.#look(), { signal });
    const looks = setInterval(() => this.#listen(), LOOK);
    signal.addEventListener("abort", () => clearInterval(looks));
    this.#look();
  }

  /** Take note of one more channel of the application. */
  watch(channel: RTCDataChannel): RTCDataChannel {
    if (!this.channels.has(channel)) {
      this.#follow(channel);
      channel.addEventListener("message", () => {
        this.messageAt = this.now();
      });
    }
    this.channels.add(channel);
    return channel;
  }

  /** A channel that closes on a connection that is not, was reset both ways. One that ends by itself is not kept. */
  #follow(channel: RTCDataChannel): void {
    channel.addEventListener("close", () => {
      if (this.#isAlive()) this.#reset.add(channel);
      setTimeout(() => this.#gone || this.#closing || this.channels.delete(channel), SETTLED);
    });
  }

  /** Close it; what is under way already goes on. */
  close(begin: Begin, timeout: number): void {
    const cause = this.#gone || (/connected/.test(this.pc.connectionState) ? "" : "not-connected");
    if (!this.#closing) this.#end("local", begin, timeout, cause);
  }

  async #end(by: "local" | "remote", begin: Begin, timeout: number, cause = ""): Promise<void> {
    this.#closing = new Closing(this, by, begin, timeout);
    this.#closing.cause = cause;
    const receipt = await this.#closing.run();
    this.#stop.abort();
    // The replacements were properties of this object alone.
    delete (this.pc as Partial<RTCPeerConnection>).close;
    delete (this.pc as Partial<RTCPeerConnection>).createDataChannel;
    this.#close();
    this.#owner.over(receipt);
  }

  // --- what the close needs --------------------------------------------------------------------------------------

  now(): number {
    return performance.now();
  }

  sleep(milliseconds: number): Promise<unknown> {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  flush(): unknown {
    return this.#owner.options.flush?.();
  }

  async count(): Promise<Map<number, Seen>> {
    const seen = new Map<number, Seen>();
    for (const each of (await this.#statistics()).values()) {
      const { dataChannelIdentifier: id, label, messagesSent: sent, messagesReceived: received } = each;
      if (!(id >= 0) || id === TALK || id === KNOCK) continue;
      const channel = this.#channel(id);
      const given = channel && {
        reliable: channel.maxRetransmits === null && channel.maxPacketLifeTime === null,
        buffered: channel.bufferedAmount,
      };
      seen.set(id, { label, sent, received, given });
    }
    return seen;
  }

  // biome-ignore lint/suspicious/noExplicitAny: TypeScript's types of statistics name no members
  #statistics(): Promise<Map<string, any>> {
    const none = () => new Map();
    // Firefox never answers if the connection is closed meanwhile.
    return Promise.race([this.sleep(LOOK).then(none), this.pc.getStats().catch(none)]) as Promise<Map<string, never>>;
  }

  /** The newest with this stream id. */
  #channel(id: number): RTCDataChannel | undefined {
    return [...this.channels].findLast((channel) => channel.id === id);
  }

  closeChannels(talk: unknown): void {
    for (const channel of this.channels) channel.close();
    if (talk) this.#talk?.close();
  }

  isClosed(id?: number): boolean {
    const channel = id === undefined ? this.mutual && this.#talk : this.#channel(id);
    return !channel || this.#reset.has(channel);
  }

  // --- the other side --------------------------------------------------------------------------------------------

  /** Look for data, for transports, and for their ends. */
  #look(): void {
    const { pc } = this;
    if (pc.signalingState === "closed") return;
    if ((pc.sctp || this.#owner.options.channel) && pc.signalingState === "stable") this.#knock();
    // The options are this object's `signal`.
    for (const transport of this.#transports()) transport.addEventListener("statechange", this.#checkEnd, this);
    this.#checkEnd();
  }

  /** Those in use now: bundling, a rollback and the end of a section close others. */
  #transports(): RTCDtlsTransport[] {
    const { pc } = this;
    return [pc.sctp ?? [], pc.getSenders(), pc.getReceivers()].flat().flatMap(({ transport }) => transport ?? []);
  }

  #knock(): void {
    if (this.#talk) return;
    try {
      const init = { negotiated: true, protocol: PROTOCOL };
      const talk = this.#create("goodbye", { ...init, id: TALK });
      this.#talk = talk;
      this.#follow(talk);
      talk.onmessage = ({ data }) => this.heard(data);
      talk.onerror = this.#checkEnd;
      const knock = this.#create("goodbye knock", { ...init, id: KNOCK });
      knock.onopen = () => {
        knock.close();
        this.youngUntil = this.now() + YOUNG;
      };
      // Firefox may close the knock, because the other side's is closed, before it opens the talk channel.
      talk.onopen = knock.onclose = () => this.#isAlive() && knock.readyState === "closed" && this.#greet();
    } catch {
      // The application uses these stream ids itself, or the other side has fewer streams.
    }
  }

  #isAlive(): boolean {
    return this.pc.signalingState !== "closed" && this.#transports().every(({ state }) => state !== "closed");
  }

  /** A transport that is closed, of a connection that is not, was closed by the other side. */
  readonly #checkEnd = (event?: Event): void => {
    // A browser may tell of the end before it hands out the words that came before.
    setTimeout(() => {
      const ended = !this.#isAlive() || (event as RTCErrorEvent)?.error?.sctpCauseCode === CLOSED_THERE;
      if (ended && !this.signal.aborted) this.#left("left");
    }, WORDS);
  };

  /** Say hello, once. */
  #greet(): void {
    this.#greeted ||= this.say({ type: "hello", version: 1 });
  }

  /** Say a word, if there is a way; return whether there was. */
  say(word: Word): boolean {
    const { say } = this.#owner.options;
    const text = encode(word);
    if (this.#talk?.readyState === "open") this.#talk.send(text);
    else if (say)
      (async () => say(text))(); // what it throws is the application's, and stops no close
    else return false;
    return true;
  }

  /** Hear a word of the other side, however it came. Anything else is ignored. */
  heard(text: unknown): void {
    const word = decode(text);
    if (!word || this.signal.aborted) return;
    this.#live();
    const closing = this.#closing;
    if (word.type === "hello") {
      this.mutual = true;
      this.#greet();
    } else if (word.type === "ping") this.say({ type: "pong" });
    else if (word.type === "bye") this.#left(word.cause);
    else if (word.type === "closing") {
      const { deadlineMs, ...begin } = word;
      const { reason, reset } = begin;
      this.mutual = true;
      if (closing) return closing.join(begin, deadlineMs);
      void this.#end("remote", begin, deadlineMs);
      this.#owner.fire("closing", { reason, reset, deadline: this.#closing!.deadline });
    } else if (word.type === "done" && closing) closing.final ??= word.final;
    else if (word.type === "closed" && closing) closing.taken ??= word.taken;
  }

  /** Note that it is gone. After a silence it may come back, else not. */
  #left(cause: string): void {
    if (this.#gone === cause || (this.#gone && this.#gone !== SILENT)) return;
    this.#gone = cause;
    if (this.#closing) this.#closing.cause ||= cause;
    else this.#owner.fire("gone", { cause, silence: this.now() - this.#heardAt });
  }

  /** Here is a sign of life. */
  #live(): void {
    this.#heardAt = this.now();
    if (this.#gone !== SILENT) return;
    this.#gone = "";
    this.#owner.fire("back");
  }

  /** Listen for signs of life: while there are some, there is nothing to ask. */
  async #listen(): Promise<void> {
    const now = this.now();
    const frozen = now - this.#lookedAt > FROZEN;
    this.#lookedAt = now;
    if (frozen || /new|connecting/.test(this.pc.connectionState)) this.#heardAt = now;
    if (now - this.#heardAt < ASK) return;
    const fresh = await this.#count();
    const answers = this.mutual && this.#talk?.readyState === "open";
    if (this.signal.aborted) return;
    // Where nothing is counted and nobody answers, nothing tells.
    if (fresh !== this.#fresh || (fresh === undefined && !answers)) this.#live();
    else if (now - this.#heardAt >= (answers ? UNANSWERED : UNHEARD)) this.#left(SILENT);
    this.#fresh = fresh;
    if (answers) this.say({ type: "ping" });
  }

  /** Count what came over the path, in bytes and checks; undefined: the statistics do not say. */
  async #count(): Promise<number | undefined> {
    const all = await this.#statistics();
    const { selectedCandidatePairId } = [...all.values()].find(({ selectedCandidatePairId: id }) => id) ?? {};
    const { bytesReceived, responsesReceived = 0, requestsReceived = 0 } = all.get(selectedCandidatePairId) ?? {};
    return bytesReceived === undefined ? undefined : bytesReceived + responsesReceived + requestsReceived;
  }

  // --- an end that nobody waits for ------------------------------------------------------------------------------

  /** The application calls `pc.close()`: close it at once, and tell the other side if a word still goes out. */
  abandon(): void {
    if (!this.signal.aborted) this.say({ type: "bye", cause: "left" });
    this.#close();
    this.#gone ||= "left";
    this.close({ receipt: makeId(), reason: "", reset: false }, 0);
    this.#closing!.cause ||= this.#gone;
  }

  leave(cause: string): void {
    this.say({ type: "bye", cause });
    const queued = [...this.channels].some(({ bufferedAmount }) => bufferedAmount > 0);
    // The word is behind the queue. It needs time, and only a busy page gets it.
    for (const until = this.now() + HELD; queued && this.now() < until; );
    // Chromium drops the queue when it closes; the page's end closes the connection all the same.
    if (!queued || !CHROMIUM) this.#close();
  }
}

/** An id for a receipt: no secret, and never twice. */
export function makeId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("x");
}
