/**
 * A graceful end, and a new beginning, for any `RTCPeerConnection`: one line in an application that has its own
 * connections and its own signaling.
 */

import { leaveWithPage } from "../leaving.js";
import { Connection, makeId } from "./connection.js";
import type { GoodbyeEvent, GoodbyeEventName, GoodbyeOptions } from "./options.js";
import type { Receipt } from "./receipt.js";
import { MAX_REASON } from "./words.js";

/** The options of `close()`. */
export interface CloseOptions {
  /** The other side reads it; at most 1024 characters. */
  reason?: string;
  /** Milliseconds for everything. */
  timeout?: number;
}

/** The new connection, and the data channels that it has already: the result of `make()`. */
export type Made = RTCPeerConnection | { pc: RTCPeerConnection; channels?: Iterable<RTCDataChannel> };

/** The result of `Goodbye.reset()`. */
export interface Reset {
  /** The receipt of the old connection. */
  receipt: Receipt;
  pc: RTCPeerConnection;
  /** The new stream, if `devices` were given. */
  stream: MediaStream | undefined;
  /** The new data channels by the labels of the old ones. */
  channels: Map<string, RTCDataChannel>;
  /** Labels whose channel did not come back in time. */
  missing: string[];
}

/** Marks the connections of adieu's own sessions. */
const SESSION = Symbol.for("adieu.session");

const ends = new WeakMap<RTCPeerConnection, Goodbye>();

/**
 * Give a connection a graceful end. It works with goodbye on both sides, and as well as it can with this one alone.
 * Called twice for one connection, it returns the same object, which takes the channels and tracks of both calls.
 *
 * @throws TypeError the connection belongs to an adieu session, which has an end of its own.
 */
export function goodbye(pc: RTCPeerConnection, options: GoodbyeOptions = {}): Goodbye {
  const end = ends.get(pc) ?? new Goodbye(pc, options);
  end.add(options);
  return end;
}

/** Listeners of its events, by name. */
export interface Goodbye {
  addEventListener(
    type: GoodbyeEventName,
    listener: ((event: GoodbyeEvent) => unknown) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/**
 * The end of a connection, and of each that follows it by `reset()`.
 *
 * Events:
 * - `closing`: the other side begins to close; this is the last moment to send;
 * - `closed`;
 * - `reset`: the other side has closed, to come back;
 * - `gone`: the other side left without a close, or nothing is heard of it;
 * - `back`: it is heard again.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface above
export class Goodbye extends EventTarget {
  /** @internal */
  readonly options: GoodbyeOptions;
  readonly #tracks = new Set<MediaStreamTrack>();
  #connection!: Connection;
  #ended!: Promise<Receipt>;
  #resolve!: (receipt: Receipt) => void;
  #receipt: Receipt | undefined;
  #resetting: Promise<Reset> | undefined;
  /** A reset makes the next connection, if no close() came. */
  #goesOn = false;

  /** @internal */
  constructor(pc: RTCPeerConnection, options: GoodbyeOptions) {
    super();
    this.options = options;
    this.#attach(pc);
  }

  /** The connection of this moment. */
  get pc(): RTCPeerConnection {
    return this.#connection.pc;
  }

  /** The other side has goodbye too, and has shown it: then a close proves what arrived. */
  get mutual(): boolean {
    return this.#connection.mutual;
  }

  /** How the connection ended; undefined while it has not. */
  get receipt(): Receipt | undefined {
    return this.#receipt;
  }

  /** Take more channels and tracks into account. */
  add({ channels = [], tracks = [] }: Pick<GoodbyeOptions, "channels" | "tracks">): void {
    for (const channel of channels) this.#connection.watch(channel);
    for (const track of tracks) this.#tracks.add(track);
  }

  /** Hear a word of the other side that came over the application's own signaling. */
  said(text: string): void {
    this.#connection.heard(text);
  }

  /**
   * End it: announce, drain and close the data channels, close the connection, stop the tracks. A second call, and one
   * after the end, gives the same receipt. It resolves when `timeout` is over at the latest.
   *
   * @throws RangeError the reason is too long, or the timeout is no time.
   */
  async close(options: CloseOptions = {}): Promise<Receipt> {
    return this.#close(false, options);
  }

  #close(reset: boolean, { reason = "", timeout = 5000 }: CloseOptions): Promise<Receipt> {
    if (reason.length > MAX_REASON || !(timeout >= 0 && timeout < Infinity))
      throw new RangeError(`reason: ${reason.length}; timeout: ${timeout}`);
    this.#goesOn = reset;
    this.#connection.close({ receipt: makeId(), reason, reset }, timeout);
    return this.#ended;
  }

  /**
   * Close the connection, have the application make another, and go on with it. The other side sees `reset`, and calls
   * `reset()` itself. Tracks are stopped, and the devices asked again; `make()` is given the new stream.
   *
   * @returns when every channel is open again under its label, or the time is over.
   * @throws whatever `make()` and `getUserMedia()` throw, and TypeError if `close()` was called before `make()`. The
   * old connection is closed then, and the new tracks are stopped. A connection that `make()` returns after a `close()`
   * is closed at once.
   */
  reset(
    make: (old: { receipt: Receipt; stream: MediaStream | undefined }) => Made | Promise<Made>,
    options: CloseOptions = {},
  ): Promise<Reset> {
    this.#resetting ??= this.#reset(make, options).finally(() => {
      this.#resetting = undefined;
    });
    return this.#resetting;
  }

  async #reset(make: Parameters<Goodbye["reset"]>[0], options: CloseOptions): Promise<Reset> {
    const until = performance.now() + (options.timeout ?? 5000);
    const before = [...this.#connection.channels];
    const receipt = await this.#close(true, options);
    const devices = this.#goesOn && this.options.devices;
    const stream = devices ? await navigator.mediaDevices.getUserMedia(devices) : undefined;
    const tracks = stream?.getTracks() ?? [];
    try {
      if (!this.#goesOn) throw new TypeError("it was closed");
      const made = await make({ receipt, stream });
      const { pc, channels = [] } = "pc" in made ? made : { pc: made };
      this.#attach(pc);
      this.add({ channels, tracks });
      if (!this.#goesOn) pc.close();
    } catch (error) {
      for (const track of tracks) track.stop();
      throw error;
    }
    return { receipt, pc: this.pc, stream, ...(await this.#comeBack(before, until)) };
  }

  /** Wait until the channels are open again. */
  async #comeBack(before: RTCDataChannel[], until: number): Promise<Pick<Reset, "channels" | "missing">> {
    for (;;) {
      const found = match(before, [...this.#connection.channels]);
      const open = [...found.channels.values()].every(({ readyState }) => readyState === "open");
      if ((open && !found.missing.length) || this.#receipt || performance.now() >= until) return found;
      await this.#connection.sleep(25);
    }
  }

  #attach(pc: RTCPeerConnection): void {
    if (SESSION in pc) throw new TypeError("a session of adieu has it: close that");
    this.#connection = new Connection(pc, this);
    this.#receipt = undefined;
    this.#ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    ends.set(pc, this);
    leaveWithPage(this.#connection);
  }

  /** @internal */
  over(receipt: Receipt): void {
    this.#receipt = receipt;
    for (const track of this.#tracks) track.stop();
    this.#tracks.clear();
    this.#resolve(receipt);
    this.fire(receipt.reset && receipt.by === "remote" ? "reset" : "closed", { receipt });
  }

  /** @internal */
  fire(type: string, members: Partial<GoodbyeEvent> = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), members));
  }
}

/** Find each channel among the new ones: by its label, else by its place among those whose labels are new. */
function match(before: RTCDataChannel[], after: RTCDataChannel[]): Pick<Reset, "channels" | "missing"> {
  const channels = new Map<string, RTCDataChannel>();
  const missing: string[] = [];
  for (const { label, protocol } of before) {
    const alone = (all: RTCDataChannel[], others: RTCDataChannel[]) =>
      all.filter((each) => each.protocol === protocol && !others.some((other) => other.label === each.label));
    const [olds, news] = [alone(before, after), alone(after, before)];
    const isIt = (each: RTCDataChannel) => each.label === label;
    // More or fewer than before: which is which cannot be known.
    const channel = after.find(isIt) ?? (olds.length === news.length && news[olds.findIndex(isIt)]);
    if (channel) channels.set(label, channel);
    else missing.push(label);
  }
  return { channels, missing };
}
