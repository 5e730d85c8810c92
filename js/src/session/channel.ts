/** A named channel: messages with receipts, which survives every reset of the connection under it. */

import { fromUtf8, utf8 } from "../bytes.js";
import { SessionClosedError, UndeliveredError } from "../errors.js";
import { abortable, Deferred, Wakeup } from "../promises.js";
import type { Level } from "../protocol/control.js";
import { Emitter, type Handler, type ListenerOptions } from "./emitter.js";
import type { StateName } from "./machine/actions.js";
import type { Payload } from "./machine/held.js";
import type { CloseReceipt, ResetReport } from "./receipt.js";
import { Message } from "./receipt.js";
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
   * @throws UndeliveredError the session ended first (`state` says whether it left), or the channel is unreliable.
   */
  delivered({ signal }: WaitOptions = {}): Promise<void> {
    return this.#channel.waitDelivered(this.seq, signal);
  }
}

interface ChannelEvents {
  message: string | Uint8Array;
}

/**
 * One of a session's named channels; made by `session.open()`.
 *
 * Receive with one of: `for await (const message of channel)`, `await channel.receive()`, or a handler of `message`,
 * which is called with the message itself. A message is taken, and acknowledged, when it is yielded or its handler is
 * entered. Text is a string, all else a `Uint8Array`.
 */
export class Channel extends Emitter<ChannelEvents> {
  readonly #changed = new Wakeup();
  #reading = false;
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
    super(`channel ${name}`, { message: true });
    this.#shell = shell;
  }

  // --- sending --------------------------------------------------------------------------------------------------

  /**
   * Send one message. Waits only for credit and space in the buffer.
   *
   * @param data text, bytes, or a `Message` that a receipt gave back.
   * @throws SessionClosedError the session has ended, or is closing and accepts no message from this side.
   * @throws ChannelError the message is larger than `maxMessage` (16 MiB).
   * @throws TypeError the data is neither text nor bytes.
   */
  async send(data: string | BufferSource | Message, { signal }: WaitOptions = {}): Promise<Sent> {
    const payload = payloadOf(data);
    const { machine } = this.#shell;
    signal?.throwIfAborted();
    while (!machine.hasRoom(this.name) && machine.state !== "closed") await this.#changed.wait(signal);
    return new Sent(
      this,
      this.#shell.step((now) => machine.send(this.name, payload, now)),
    );
  }

  /** See `Sent.delivered`. @internal */
  async waitDelivered(seq: number, signal?: AbortSignal): Promise<void> {
    const { machine } = this.#shell;
    const channel = machine.channels.get(this.name);
    if (!channel?.reliable) {
      throw new UndeliveredError(`channel ${this.name} is unreliable and keeps no account`, "unreliable");
    }
    while (!channel.sender.isAcknowledged(seq)) {
      if (machine.outcome) {
        // By the other side's word all up to its number was taken, or nobody knows.
        const account = machine.outcome.channels.get(this.name)?.sent;
        if (machine.outcome.confirmed && channel.ordered && account && seq <= account.delivered.messages) return;
        const left = seq <= channel.sender.started;
        const what = `message ${seq} on ${this.name} ${left ? "may not have arrived" : "never left"}`;
        throw new UndeliveredError(`${what}: the session has ended`, left ? "unknown" : "unsent");
      }
      await this.#changed.wait(signal);
    }
  }

  /** Bytes accepted and not yet handed to the connection. */
  get buffered(): number {
    return this.#shell.machine.channels.get(this.name)?.sender.queuedBytes ?? 0;
  }

  /** Bytes handed to the connection and not yet taken by the other application (reliable channels). */
  get unacknowledged(): number {
    return this.#shell.machine.channels.get(this.name)?.sender.flightBytes ?? 0;
  }

  // --- receiving ------------------------------------------------------------------------------------------------

  /**
   * The next message.
   *
   * @throws SessionClosedError the session has ended, and nothing is left; `receipt` says how.
   */
  async receive({ signal }: WaitOptions = {}): Promise<string | Uint8Array> {
    signal?.throwIfAborted();
    for (;;) {
      const message = this.#take();
      if (message !== undefined) return message;
      const { receipt } = this.#shell;
      if (receipt) throw new SessionClosedError(receipt.notice, receipt);
      await this.#changed.wait(signal);
    }
  }

  #take(): string | Uint8Array | undefined {
    const payload = this.#shell.step((now) => this.#shell.machine.take(this.name, now));
    return payload?.text ? fromUtf8(payload.data) : payload?.data;
  }

  /**
   * Messages, until the session closes cleanly.
   *
   * @throws SessionClosedError it ended otherwise; `receipt` says how.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<string | Uint8Array, void> {
    for (;;) {
      let message: string | Uint8Array;
      try {
        message = await this.receive();
      } catch (error) {
        if (error instanceof SessionClosedError && error.receipt?.clean) return;
        throw error;
      }
      yield message;
    }
  }

  /** Have a handler called with each message, one after the other. The only event is `message`. */
  override addEventListener<K extends "message">(
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

  // --- told by the session --------------------------------------------------------------------------------------

  /** Something about the channel has changed: everybody who waits for it looks again. @internal */
  changed(): void {
    this.#changed.wake();
    void this.#read();
  }

  /** Wait for a change, or for the end of the wait. @internal */
  waitOpened(signal?: AbortSignal): Promise<void> {
    return abortable(this.opened.promise, signal);
  }

  /** The session has ended and its handlers are done: forget them. */
  forget(): void {
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
