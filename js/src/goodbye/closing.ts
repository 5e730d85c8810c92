/**
 * The close of one connection: announce, drain, channels, connection, clean-up.
 *
 * Proof of delivery needs no change to `send()`. Each side says how many messages it sent on each channel (`done`). It
 * waits until it has received as many as the other side sent, and says how many those were (`closed`).
 *
 * A side whose peer has no goodbye empties its own queues and waits until nothing has come for a while. Then it closes
 * each channel: when the stream reset ends, the other side's stack has everything.
 */

import { type Begin, type ChannelAccount, notice, type Receipt, type Seen } from "./receipt.js";
import { type Counts, MAX_DEADLINE, type Word } from "./words.js";

/** Milliseconds between two looks. Chromium counts again after 50: each look sees all that was sent before the last. */
const LOOK = 60;
/**
 * Milliseconds after which a peer without goodbye counts as silent, a guess: since our own queues were empty, and since
 * its last message. A browser whose packet is lost pauses for 0.4 s, and for 1.2 s if its repetition is lost too.
 */
const QUIET = 500;
const PAUSE = 2500;

/** Causes that look the same from outside. */
export const SILENT = "crashed or frozen or network-lost";

/** The connection, as a close uses it. */
export interface Host {
  /** The other side has goodbye: it counts what it receives. */
  readonly mutual: boolean;
  /** Until then a side with goodbye may not have shown that it has it. */
  readonly youngUntil: number;
  /** When the last message of the application came. */
  readonly messageAt: number;
  /** Say a word, if there is a way; return whether there was. */
  say(word: Word): boolean;
  /** Have the application send its last. */
  flush(): unknown;
  /** Look at the channels, by stream id. */
  count(): Promise<Map<number, Seen>>;
  /** Close the given channels, and with `talk` the talk channel. */
  closeChannels(talk: unknown): void;
  /** Whether there is no such channel, or its stream is reset both ways; undefined: the talk channel. */
  isClosed(id?: number): boolean;
  now(): number;
  sleep(milliseconds: number): Promise<unknown>;
}

/** The close of one connection; made when it begins, here or there. */
export class Closing {
  by: "local" | "remote" | "both";
  /** When all is over, whatever the other side does. */
  deadline = Number.POSITIVE_INFINITY;
  /** Messages that the other side has sent and received, as it says. */
  final: Counts | undefined;
  taken: Counts | undefined;
  /** Why the connection was over before its close was. */
  cause = "";
  readonly #begin: Begin;
  readonly #host: Host;
  #drainUntil = 0;
  #seen = new Map<number, Seen>();
  #late: boolean | undefined;
  #closing: boolean | undefined;
  #announced: boolean | undefined;

  constructor(host: Host, by: "local" | "remote", begin: Begin, timeout: number) {
    this.#host = host;
    this.#begin = begin;
    this.by = by;
    this.#limit(timeout);
  }

  /** The earliest deadline counts. A part of the time is kept for the steps after the drain. */
  #limit(timeout: number): void {
    const deadline = this.#host.now() + (this.by === "local" ? timeout : Math.min(timeout, MAX_DEADLINE));
    if (deadline >= this.deadline) return;
    this.deadline = deadline;
    this.#drainUntil = deadline - Math.min(Math.max(timeout / 10, 200), timeout / 2);
  }

  /** Both sides close at once: they agree on one receipt without another word. */
  join({ receipt, reason, reset }: Begin, timeout: number): void {
    if (this.by !== "local") return;
    this.by = "both";
    if (receipt < this.#begin.receipt) Object.assign(this.#begin, { receipt, reason });
    this.#begin.reset ||= reset;
    this.#limit(timeout);
  }

  /** Do it; the receipt is there at the deadline at the latest. */
  async run(): Promise<Receipt> {
    await this.#flush();
    if ((await this.#drain()) || !this.cause) {
      this.#closing = true;
      await this.#until(async () => {
        this.#host.closeChannels(this.taken);
        await this.#count(); // what was sent after `done`, too
        return [undefined, ...this.#seen.keys()].every((id) => this.#host.isClosed(id));
      });
    }
    return this.#receipt();
  }

  async #flush(): Promise<void> {
    let flushed = false;
    // The application's handlers of `closing` run first; what they throw is the application's.
    void Promise.resolve()
      .then(() => this.#host.flush())
      .finally(() => {
        flushed = true;
      });
    await this.#until(() => flushed);
  }

  /** Say that it begins, as soon as there is somebody to hear it. */
  #announce(): void {
    const deadlineMs = Math.max(0, Math.round(this.deadline - this.#host.now()));
    this.#announced ||=
      this.by === "remote" || (this.#host.mutual && this.#host.say({ type: "closing", ...this.#begin, deadlineMs }));
  }

  /** Return whether both sides have all that was sent, and know it. An end then takes nothing from this close. */
  async #drain(): Promise<unknown> {
    let said = false;
    let quietSince = this.#host.now();
    const through = await this.#until(async () => {
      await this.#count();
      if (this.#host.mutual) {
        said ||= this.#host.say({ type: "done", final: this.#counts("sent") });
        // A channel that is closed has received all that it ever will.
        const isWhole = ([id, { given, received }]: [number, Seen]) =>
          !given?.reliable || this.#host.isClosed(id) || received >= (this.final?.[id] ?? 0);
        return this.final && said && [...this.#seen].every(isWhole);
      }
      const all = [...this.#seen.values()].filter(({ given }) => given);
      const now = this.#host.now();
      if (all.some(({ given }) => given?.buffered)) quietSince = now;
      const quietFrom = Math.max(quietSince + QUIET, this.#host.messageAt + PAUSE, this.#host.youngUntil);
      return !all.length || now >= quietFrom;
    });
    if (said) {
      this.#host.say({ type: "closed", taken: this.#counts("received") });
      await this.#until(() => this.taken);
    }
    return said && through && this.taken;
  }

  async #count(): Promise<void> {
    for (const [id, each] of await this.#host.count()) this.#seen.set(id, each);
  }

  #counts(which: "sent" | "received"): Counts {
    return Object.fromEntries([...this.#seen].map(([id, each]) => [id, each[which]]));
  }

  #receipt(): Receipt {
    const { mutual } = this.#host;
    // After the drain this is how a close ends for the slower side, and under libraries that close their connection
    // with its channel. A silence proves nothing.
    const isEnd = this.#closing && this.cause !== SILENT && (this.taken || !mutual);
    const cause = isEnd ? "" : this.cause;
    const { receipt: id, reason, reset } = this.#begin;
    const made = {
      id,
      by: this.by,
      reason,
      reset,
      clean: !this.#late && !cause,
      confirmed: mutual && !!this.taken && (this.#host.isClosed() || cause !== this.cause),
      cause: cause || undefined,
      channels: [...this.#seen].map((each) => this.#account(...each, cause)),
    };
    return { ...made, notice: notice(made, mutual) };
  }

  #account(id: number, { label, sent, received, given }: Seen, cause: string): ChannelAccount {
    const count = this.taken?.[id];
    // A channel that broke with its connection proves nothing.
    const isReset = given?.reliable && this.#host.isClosed(id) && !cause;
    const delivered = count && Math.min(count, sent);
    return {
      label,
      id,
      sent,
      received,
      delivered,
      proof: delivered !== undefined ? "peer" : isReset ? "reset" : "none",
      drained: !!given,
    };
  }

  /** Return whether it holds before the end, or the time is over. */
  async #until(holds: () => unknown): Promise<unknown> {
    for (;;) {
      this.#announce();
      if (await holds()) return true;
      if (this.cause) return;
      if (this.#host.now() >= (this.#closing ? this.deadline : this.#drainUntil)) {
        this.#late = true;
        return;
      }
      await this.#host.sleep(LOOK);
    }
  }
}
