/** A named channel: messages with receipts, which survives every reset of the connection under it. */

import { utf8 } from "../bytes.js";
import { ChannelError, SessionClosedError, UndeliveredError } from "../errors.js";
import { abortable, Deferred, Wakeup, within } from "../promises.js";
import type { Level } from "../protocol/control.js";
import { Emitter, type Handler, type ListenerOptions, settleCurrent } from "./emitter.js";
import { whereMade } from "./ledger.js";
import type { ChannelClosing, StateName } from "./machine/actions.js";
import type { Payload } from "./machine/held.js";
import { type Account, type ChannelEndReceipt, lacksNothing, type Outcome } from "./machine/receipt.js";
import type { Channel as Inside } from "./machine/state.js";
import { closeOptionsOf } from "./options.js";
import { type CloseReceipt, Message, messageOf, type ResetReport } from "./receipt.js";
import type { Shell } from "./shell.js";

/** The session of a channel, as its users see it. */
export interface ChannelSession {
  readonly id: string;
  readonly name: string;
  readonly peer: string;
  readonly state: StateName;
  readonly receipt: CloseReceipt | undefined;
  close(options?: { reason?: string; timeout?: number; signal?: AbortSignal } | string): Promise<CloseReceipt>;
  waitClosed(options?: WaitOptions): Promise<CloseReceipt>;
  reset(options?: { level?: Level; signal?: AbortSignal } | Level): Promise<ResetReport>;
}

/** The options of every wait. */
export interface WaitOptions {
  /** Ends the wait; nothing else is affected. */
  signal?: AbortSignal | undefined;
}

/** A message that `send()` has accepted. */
export class Sent {
  readonly #channel: Channel;

  constructor(
    channel: Channel,
    /** The number on the channel, from 1. */
    readonly seq: number,
  ) {
    this.#channel = channel;
  }

  /**
   * Wait until the other application has taken it, or, while closing, has it safe in its queue.
   *
   * @throws UndeliveredError the session or the channel ended first (`state` says whether it left), or the channel is
   * unreliable.
   */
  delivered({ signal }: WaitOptions = {}): Promise<void> {
    return this.#channel.waitDelivered(this.seq, signal);
  }
}

/** The other side closes a channel. Last words may be sent until all handlers have settled, or the deadline. */
export interface ChannelClosingEvent {
  reason: string;
  /** Milliseconds until the deadline. */
  timeout: number;
}

/** The end of a channel, once: by itself or with its session. */
export interface ChannelClosedEvent {
  receipt: ChannelEndReceipt;
}

export interface ChannelEvents {
  /** The message itself. */
  message: string | Uint8Array;
  closing: ChannelClosingEvent;
  closed: ChannelClosedEvent;
}

/** The options of `Channel.close()`. */
export interface ChannelCloseOptions extends WaitOptions {
  /** A few words for the other side. */
  reason?: string;
  /** Milliseconds for the whole close, 5000 by default. The receipt has what has not arrived by then. */
  timeout?: number;
}

/** Seconds: after the end, handlers that still run may finish. */
export const HANDLERS_FINISH = 1;
const none = { messages: 0, bytes: 0 };
const NOTHING: Account = { accepted: none, delivered: none, unread: none, unknown: none, unsent: none };

/**
 * One of a session's named channels; made by `session.open()`.
 *
 * Receive with one of: `for await (const message of channel)`, `await channel.receive()`, or a handler of `message`,
 * which is called with the message itself. A message is taken, and acknowledged, when it is yielded or its handler is
 * entered. Text is a string, all else a `Uint8Array`.
 *
 * `close()` ends it, and the session goes on. Delivered messages that were not read before the end stay readable after it.
 */
export class Channel extends Emitter<ChannelEvents> {
  readonly #changed = new Wakeup();
  readonly #here: Inside;
  readonly #closed = new Deferred<ChannelEndReceipt>();
  #reading = false;
  #withSession = false;
  /** The error for its users when it has ended by itself, or could not be opened. */
  #gone: ChannelError | undefined;
  /** The line that opened it. @internal */
  readonly where = whereMade();
  /** How it ended; undefined before. */
  receipt: ChannelEndReceipt | undefined;
  /** Settled by the session. @internal */
  readonly opened = new Deferred<void>();

  readonly #shell: Shell;

  constructor(
    shell: Shell,
    /** The session that it belongs to. */
    readonly session: ChannelSession,
    /** The same on both sides. */
    readonly name: string,
  ) {
    super(`channel ${name}`, { message: true, closing: true, closed: true });
    this.#shell = shell;
    this.#here = shell.machine.channels.get(name)!;
  }

  // --- sending --------------------------------------------------------------------------------------------------

  /**
   * Send one message. Waits only for credit and space in the buffer.
   *
   * @param data text, bytes, or a `Message` that a receipt gave back.
   * @throws SessionClosedError the session has ended, or is closing and accepts no message from this side.
   * @throws ChannelError the message is larger than `maxMessage` (16 MiB); or the channel has ended, or is closing and
   * accepts no message from this side.
   * @throws TypeError the data is neither text nor bytes.
   */
  async send(data: string | BufferSource | Message, { signal }: WaitOptions = {}): Promise<Sent> {
    const payload = payloadOf(data);
    const { machine } = this.#shell;
    signal?.throwIfAborted();
    this.#requireHere();
    while (!machine.hasRoom(this.name) && machine.state !== "closed") {
      await this.#changed.wait(signal);
      this.#requireHere();
    }
    return new Sent(
      this,
      this.#shell.step((now) => machine.send(this.name, payload, now)),
    );
  }

  /** See `Sent.delivered`. @internal */
  async waitDelivered(seq: number, signal?: AbortSignal): Promise<void> {
    const { reliable, ordered, sender } = this.#here;
    if (!reliable) {
      throw new UndeliveredError(`channel ${this.name} is unreliable and keeps no account`, "unreliable");
    }
    while (!sender.isAcknowledged(seq)) {
      if (this.#closed.settled) {
        const { receipt } = this;
        // By the other side's word all up to its number was taken, or nobody knows.
        if (receipt?.confirmed && ordered && seq <= receipt.sent.delivered.messages) return;
        const left = seq <= sender.started;
        const what = `message ${seq} on ${this.name} ${left ? "may not have arrived" : "never left"}`;
        const whose = this.#withSession ? "session" : "channel";
        const error = new UndeliveredError(`${what}: the ${whose} has ended`, left ? "unknown" : "unsent");
        error.recording = this.#shell.recording;
        throw error;
      }
      await this.#changed.wait(signal);
    }
  }

  /** Bytes accepted and not yet handed to the connection. */
  get buffered(): number {
    return this.#here.sender.queuedBytes;
  }

  /** Bytes handed to the connection and not yet taken by the other application (reliable channels). */
  get unacknowledged(): number {
    return this.#here.sender.flightBytes;
  }

  /** Return the messages that were accepted and never left, in order. After the channel's end it is safe to send it again. */
  unsent(): Message[] {
    const { receipt } = this.#shell.machine;
    return this.#here.sender.unsent().map(({ seq, payload }) => new Message(messageOf(payload), seq, receipt, false));
  }

  // --- receiving ------------------------------------------------------------------------------------------------

  /**
   * The next message.
   *
   * @throws SessionClosedError the session has ended, and nothing is left; `receipt` says how.
   * @throws ChannelError the channel has ended, and nothing is left; `receipt` says how.
   */
  async receive({ signal }: WaitOptions = {}): Promise<string | Uint8Array> {
    signal?.throwIfAborted();
    for (;;) {
      const message = this.#take();
      if (message !== undefined) return message;
      const ended = this.#withSession && this.#shell.closedError();
      if (ended) throw ended;
      this.#requireHere();
      await this.#changed.wait(signal);
    }
  }

  #take(): string | Uint8Array | undefined {
    const payload = this.#gone
      ? this.#here.receiver.take()
      : this.#shell.step((now) => this.#shell.machine.take(this.name, now));
    return payload && messageOf(payload);
  }

  /**
   * Messages, until the channel or its session closes cleanly.
   *
   * @throws SessionClosedError the session ended otherwise; `receipt` says how.
   * @throws ChannelError the channel ended otherwise; `receipt` says how.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string | Uint8Array, void> {
    for (;;) {
      let message: string | Uint8Array;
      try {
        message = await this.receive();
      } catch (error) {
        if (error instanceof SessionClosedError && error.receipt?.clean) return;
        if (error instanceof ChannelError && error.receipt?.confirmed && lacksNothing(error.receipt)) return;
        throw error;
      }
      yield message;
    }
  }

  /** Have a handler called with each event, one after the other. That of `message` is the message itself. */
  override addEventListener<K extends keyof ChannelEvents>(
    type: K,
    handler: Handler<ChannelEvents[K]>,
    options?: ListenerOptions,
  ): void {
    super.addEventListener(type, handler, options);
    void this.#read();
  }

  /** Take a message only when its handler is about to be entered: what waits is not taken. */
  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    while (this.has("message")) {
      const message = this.#take();
      if (message === undefined) break;
      await this.emit("message", message);
    }
    this.#reading = false;
  }

  // --- its end --------------------------------------------------------------------------------------------------

  /**
   * Close the channel gracefully, and leave the session open: what was sent arrives, then its place is free.
   *
   * The other side gets `closing`, and may send last words; then both get `closed`. In a session that is closing, the
   * channel ends with it.
   *
   * @param options options, or the reason alone: `close("enough")`.
   * @returns the receipt; the same again if it has ended already. A peer of a version that knows no close of a channel
   * learns nothing of it: then `path` is `untold`, and the name stays taken until the session ends.
   * @throws RangeError the timeout is negative. TypeError: the reason is not text.
   */
  async close(options: ChannelCloseOptions | string = {}): Promise<ChannelEndReceipt> {
    const { machine } = this.#shell;
    const { reason, seconds, signal } = closeOptionsOf(options, machine.options.closeTimeout);
    settleCurrent();
    if (!this.#closed.settled) this.#shell.step((now) => machine.closeChannel(this.name, reason, seconds, now));
    return abortable(this.#closed.promise, signal);
  }

  /** Wait for the end, by itself or with the session, and return the receipt. */
  waitClosed({ signal }: WaitOptions = {}): Promise<ChannelEndReceipt> {
    settleCurrent();
    return abortable(this.#closed.promise, signal);
  }

  /** How far it is: `closing` from the call of `close()` on either side, and in a session that closes. */
  get state(): "connecting" | "open" | "closing" | "closed" {
    if (this.#closed.settled) return "closed";
    if (this.#here.end || this.#shell.machine.state === "closing") return "closing";
    return this.#here.open ? "open" : "connecting";
  }

  /** Whether it is being closed while its session goes on. @internal */
  get isClosing(): boolean {
    return !this.#closed.settled && !!this.#here.end;
  }

  #requireHere(): void {
    if (this.#gone) throw this.#gone;
  }

  // --- told by the session --------------------------------------------------------------------------------------

  /** Something about the channel has changed: everybody who waits for it looks again. @internal */
  changed(): void {
    this.#changed.wake();
    void this.#read();
  }

  /** Note that the other side closes it. @internal */
  otherCloses({ reason, deadline }: ChannelClosing): void {
    const { platform, machine } = this.#shell;
    const timeout = Math.max(deadline - platform.now(), 0) * 1000;
    void this.emit("closing", { reason, timeout }).then(() =>
      this.#shell.step((now) => machine.channelLastWordsOver(this.name, now)),
    );
  }

  /** Note that it cannot be opened. @internal */
  failed(error: ChannelError): void {
    this.#gone = error;
    this.opened.reject(error);
    this.#closed.reject(error);
    this.changed();
  }

  /** Note that it has ended, by itself: each waiter looks again. @internal */
  end(receipt: ChannelEndReceipt): void {
    if (this.receipt) return;
    this.receipt = receipt;
    const why = receipt.reason && `: ${receipt.reason}`;
    const error = new ChannelError(`channel ${this.name} was closed${why}; open it again to go on`, receipt);
    if (!this.#withSession) this.#gone = error;
    this.opened.reject(error);
    this.#closed.resolve(receipt);
    void this.emit("closed", { receipt });
    this.changed();
  }

  /** Note that it has ended with its session. @internal */
  endWithSession({ by, reason, confirmed, channels }: Outcome, error: Error): void {
    this.#withSession = true;
    this.opened.reject(error);
    const { name } = this;
    const { reliable } = this.#here;
    const account = channels.get(name) ?? { sent: NOTHING, received: NOTHING, reliable };
    this.end({ ...account, name, by, reason: reason.text ?? "", path: "session", duration: 0, confirmed });
  }

  /** Wait for a change, or for the end of the wait. @internal */
  waitOpened(signal?: AbortSignal): Promise<void> {
    return abortable(this.opened.promise, signal);
  }

  /** The session has ended: forget the handlers, once what is here is handed to them. @internal */
  async forget(): Promise<void> {
    while (this.#reading && this.#here.receiver.held) await this.settled;
    await within(HANDLERS_FINISH, this.#shell.platform, this.settled);
    this.clear();
  }
}

function payloadOf(data: string | BufferSource | Message): Payload {
  if (typeof data === "string") return { data: utf8(data), text: true };
  if (data instanceof Message) {
    const payload = payloadOf(data.data as string | BufferSource);
    return data.sent ? { ...payload, again: [data.receipt, data.seq] } : payload;
  }
  // A copy: who sends may change its buffer afterwards.
  if (data instanceof ArrayBuffer) return { data: new Uint8Array(data).slice(), text: false };
  if (ArrayBuffer.isView(data)) {
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice(), text: false };
  }
  throw new TypeError(`send() takes text or bytes, not ${typeof data}`);
}
