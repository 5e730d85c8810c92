/**
 * Files: offered over the control channel, carried by a channel of their own, resumed at the byte.
 *
 * A reset in the middle is not noticed: the channel replays what was lost, and the words are said again. What a session
 * that ended has left of a file is kept by the page, and the next transfer of the same file goes on from there.
 */

import { hex, sendable } from "../bytes.js";
import { SessionClosedError, TransferError } from "../errors.js";
import { Deferred } from "../promises.js";
import type { FileMessage, FileOffer } from "../protocol/messages.js";
import { Sha256 } from "../sha256.js";
import type { Channel } from "./channel.js";
import { Emitter, settleCurrent } from "./emitter.js";
import type { Session } from "./session.js";

const CHUNK = 256 * 1024;
/** Channels whose names begin so belong to transfers. */
const PREFIX = "file ";
/** Offers of the other side that nobody has answered yet. */
const MAX_OFFERS = 64;
/** Halves of files that the page keeps. */
const MAX_HALVES = 4;

export interface SendFileOptions {
  /** What the other side is told; by default the file's own name. */
  name?: string;
}

/** What is here of a file. */
class Half {
  pieces: Blob[] = [];
  size = 0;
  readonly digest = new Sha256();

  add(chunk: Uint8Array): void {
    // A Blob: the browser may keep it elsewhere than in memory.
    this.pieces.push(new Blob([chunk as BlobPart]));
    this.size += chunk.length;
    this.digest.add(chunk);
  }
}

/** By hash: what sessions that ended have left. */
const halves = new Map<string, Half>();

function keep(sha256: string, half: Half): void {
  halves.set(sha256, half);
  for (const oldest of halves.keys()) {
    if (halves.size <= MAX_HALVES) break;
    halves.delete(oldest);
  }
}

/** A file on its way to the other side; made by `session.sendFile()`. The event `progress` tells that more has arrived. */
export class Transfer extends Emitter<{ progress: Transfer }> {
  readonly id = hex(crypto.getRandomValues(new Uint8Array(8)));
  /** As the other side is told. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes that the other side is known to have taken. */
  done = 0;
  readonly #transfers: Transfers;
  readonly #file: Blob;
  readonly #offer: FileOffer;
  readonly #accepted = new Deferred<number>();
  readonly #finished = new Deferred<void>();

  constructor(transfers: Transfers, file: Blob, offer: FileOffer) {
    super("a file on its way", { progress: true });
    this.name = offer.name;
    this.size = offer.size;
    this.#transfers = transfers;
    this.#file = file;
    this.#offer = offer;
  }

  /**
   * Wait until the other side has all of it, checked against its hash.
   *
   * @throws TransferError it was refused, failed, or the session ended; the message says which.
   */
  wait(): Promise<void> {
    settleCurrent();
    return this.#finished.promise;
  }

  /** Give it up; the other side is told. */
  cancel(): void {
    if (this.#finished.settled) return;
    this.#transfers.say({ type: "file", id: this.id, failed: "cancelled by the sender" });
    this.fail("cancelled");
  }

  /** It is over, and did not succeed. @internal */
  fail(why: string): void {
    if (this.#finished.settled) return;
    const error = new TransferError(`${this.name} was not sent: ${why}`);
    this.#finished.reject(error);
    this.#accepted.reject(error);
  }

  /** The connection is another: what may have been lost with the old one is said again. @internal */
  sayAgain(): void {
    if (!this.#accepted.settled) this.#transfers.say({ type: "file", id: this.id, offer: this.#offer });
  }

  /** A word of the receiver. @internal */
  heard({ accept, refuse, failed, done }: FileMessage): void {
    if (accept != null && !this.#accepted.settled) {
      if (accept <= this.size) this.#accepted.resolve(accept);
      else this.fail(`the other side would go on at byte ${accept} of ${this.size}`);
    } else if (refuse != null) {
      this.fail(`refused${refuse && `: ${refuse}`}`);
    } else if (failed != null) {
      this.fail(`the other side could not keep it: ${failed}`);
    } else if (done && !this.#finished.settled) {
      this.#finished.resolve();
      this.#progress(this.size);
    }
  }

  /** Offer, wait for the answer, send. @internal */
  async run(): Promise<void> {
    this.sayAgain();
    try {
      const offset = await this.#accepted.promise;
      await this.#send(await this.#transfers.session.open(this.#offer.channel), offset);
      await this.#finished.promise;
    } catch (error) {
      if (this.#finished.settled) return;
      const ended = error instanceof SessionClosedError;
      const why = ended ? "the session ended" : String(error);
      if (!ended) this.#transfers.say({ type: "file", id: this.id, failed: sendable(why, 1024) });
      this.fail(why);
    }
  }

  async #send(channel: Channel, offset: number): Promise<void> {
    for (let at = offset; at < this.size && !this.#finished.settled; at += CHUNK) {
      const end = Math.min(at + CHUNK, this.size);
      await channel.send(await this.#file.slice(at, end).arrayBuffer());
      this.#progress(Math.max(end - channel.buffered - channel.unacknowledged, offset));
    }
  }

  #progress(done: number): void {
    if (done <= this.done) return;
    this.done = done;
    void this.emit("progress", this);
  }
}

interface IncomingEvents {
  /** More of it is here. */
  progress: IncomingFile;
  /** The sender has given up, or the session has ended, before it was answered. */
  withdrawn: IncomingFile;
}

/**
 * A file that the other side offers; given to the `file` handlers of the session, one of which accepts, refuses or holds
 * it. Nothing of it is sent before it is accepted.
 */
export class IncomingFile extends Emitter<IncomingEvents> {
  /** Without any folder. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Its media type, as the sender says; may be empty. */
  readonly type: string;
  /** Hex. */
  readonly sha256: string;
  /** Bytes that are here. */
  done = 0;
  /** @internal */
  answered = false;
  #held = false;
  #refused = false;
  #offset: number | undefined;
  readonly #transfers: Transfers;
  readonly #channel: string;
  readonly #failed = new Deferred<never>();

  constructor(
    transfers: Transfers,
    readonly id: string,
    { name, size, type = "", sha256, channel }: FileOffer,
  ) {
    super("a file that is offered", { progress: true, withdrawn: true });
    this.name = safe(name);
    this.size = size;
    this.type = type;
    this.sha256 = sha256;
    this.#transfers = transfers;
    this.#channel = channel;
  }

  /** The answer comes later, when a person has been asked: the handler may return without one. */
  hold(): void {
    this.#held = true;
  }

  /**
   * Do not take it; a second time does nothing.
   *
   * @throws TransferError it was accepted already.
   */
  refuse(reason = ""): void {
    if (this.#refused || this.#failed.settled) return;
    this.#answer();
    this.#refused = true;
    this.#transfers.say({ type: "file", id: this.id, refuse: sendable(reason, 1024) });
    this.#transfers.forget(this.id);
  }

  /** The handlers are done with it, and none has answered. @internal */
  refuseUnlessAnswered(): void {
    if (!this.answered && !this.#held) this.refuse("nobody took it");
  }

  /**
   * Take it, and wait until it is here.
   *
   * @throws TransferError not all of it came, or it was answered already; what is here is kept for the next attempt.
   */
  async accept(): Promise<File> {
    settleCurrent();
    if (this.#failed.settled) await this.#failed.promise;
    this.#answer();
    try {
      return await this.#receive();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#transfers.say({ type: "file", id: this.id, failed: sendable(why, 1024) });
      throw error instanceof TransferError ? error : new TransferError(`${this.name} did not arrive: ${why}`);
    } finally {
      this.#transfers.forget(this.id);
    }
  }

  #answer(): void {
    if (this.answered) throw new TransferError(`${this.name} was answered already`);
    this.answered = true;
  }

  async #receive(): Promise<File> {
    const known = halves.get(this.sha256);
    halves.delete(this.sha256); // one transfer at a time goes on with it
    const half = known && known.size <= this.size ? known : new Half();
    this.done = this.#offset = half.size;
    this.sayAgain();
    try {
      const channel = await this.#orFailed(this.#transfers.session.open(this.#channel));
      while (this.done < this.size) {
        const chunk = await this.#orFailed(channel.receive());
        if (typeof chunk === "string" || this.done + chunk.length > this.size) {
          throw new TransferError(`${this.name}: the sender sent something else`);
        }
        half.add(chunk);
        this.done = half.size;
        void this.emit("progress", this);
      }
    } catch (error) {
      keep(this.sha256, half);
      throw error;
    }
    if (half.digest.hex() !== this.sha256) {
      throw new TransferError(`${this.name} arrived damaged: its hash is not the one announced`);
    }
    this.#transfers.say({ type: "file", id: this.id, done: true });
    return new File(half.pieces, this.name, { type: this.type });
  }

  /** Wait, unless the sender gives up first. */
  #orFailed<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed.promise]);
  }

  /** A word of the sender. @internal */
  heard({ failed }: FileMessage): void {
    if (failed == null || this.#failed.settled) return;
    this.#failed.reject(new TransferError(`${this.name} did not arrive: ${failed}`));
    if (this.answered) return;
    this.#transfers.forget(this.id);
    void this.emit("withdrawn", this);
  }

  /** The connection is another: what may have been lost with the old one is said again. @internal */
  sayAgain(): void {
    if (this.#offset !== undefined) this.#transfers.say({ type: "file", id: this.id, accept: this.#offset });
  }
}

/** All files of one session, both ways. @internal */
export class Transfers {
  #out = new Map<string, Transfer>();
  #in = new Map<string, IncomingFile>();
  /** Files that are here: a sender that asks again is told again. */
  #finished = new Set<string>();
  #free: string[] = [];
  #made = 0;

  constructor(readonly session: Session) {}

  /** Under way. */
  get count(): number {
    return this.#out.size + this.#in.size;
  }

  /** Whether a channel carries files. */
  owns(channel: string): boolean {
    return channel.startsWith(PREFIX);
  }

  /** Say a word about a file. */
  say(file: FileMessage): void {
    if (file.done) {
      this.#finished.add(file.id);
      if (this.#finished.size > MAX_OFFERS) this.#finished.delete(this.#finished.values().next().value!);
    }
    this.session.step((now) => this.session.machine.sayFile(file, now));
  }

  /** An incoming file is answered for good. */
  forget(id: string): void {
    this.#in.delete(id);
  }

  /** See `Session.sendFile`. */
  async send(file: Blob, { name = file instanceof File ? file.name : "file" }: SendFileOptions): Promise<Transfer> {
    const digest = new Sha256();
    for (let at = 0; at < file.size; at += CHUNK) {
      digest.add(new Uint8Array(await file.slice(at, at + CHUNK).arrayBuffer()));
    }
    const { receipt } = this.session;
    if (receipt) throw new SessionClosedError(receipt.notice, receipt);
    const channel = this.#free.pop() ?? `${PREFIX}${this.session.me.slice(0, 32)} ${++this.#made}`;
    const type = sendable(file.type, 255);
    const offer = { name: sendable(name, 255) || "file", size: file.size, type, sha256: digest.hex(), channel };
    const transfer = new Transfer(this, file, offer);
    this.#out.set(transfer.id, transfer);
    void transfer.run().finally(() => {
      this.#out.delete(transfer.id);
      // Nothing is left in it; after a failure something may be.
      if (transfer.done === transfer.size) this.#free.push(channel);
    });
    return transfer;
  }

  /** A word of the other side. */
  said(file: FileMessage): void {
    if (file.offer) this.#offered(file.id, file.offer);
    else (this.#out.get(file.id) ?? this.#in.get(file.id))?.heard(file);
  }

  #offered(id: string, offer: FileOffer): void {
    const refuse = (why: string) => this.say({ type: "file", id, refuse: why });
    const known = this.#in.get(id);
    if (this.#finished.has(id)) this.say({ type: "file", id, done: true });
    else if (known) known.sayAgain();
    else if (this.#in.size >= MAX_OFFERS) refuse("too many files at once");
    else if (!this.session.takesFiles) refuse("nobody takes files here");
    else if (!this.owns(offer.channel)) refuse(`a file's channel begins with "${PREFIX}"`);
    else {
      const incoming = new IncomingFile(this, id, offer);
      this.#in.set(id, incoming);
      void this.session.tellFile(incoming).then(() => incoming.refuseUnlessAnswered());
    }
  }

  /** Another connection carries the session: what may have been lost with the old one is said again. */
  reconnected(): void {
    for (const transfer of this.#out.values()) transfer.sayAgain();
    for (const incoming of this.#in.values()) incoming.sayAgain();
    for (const id of this.#finished) this.say({ type: "file", id, done: true });
  }

  /** The session is over. */
  end(why: string): void {
    for (const transfer of this.#out.values()) transfer.fail(`the session ended: ${why}`);
    for (const incoming of this.#in.values()) {
      incoming.heard({ type: "file", id: incoming.id, failed: `the session ended: ${why}` });
    }
  }
}

/** A name without folders, control characters, or a leading dot. */
function safe(name: string): string {
  const last = name.replaceAll("\\", "/").split("/").at(-1) ?? "";
  const cleaned = last
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")
    .replace(/^\.+/, "")
    .trim();
  return cleaned.slice(0, 200) || "file";
}
