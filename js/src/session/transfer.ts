/**
 * Files: offered over the control channel, carried by a channel of their own, verified chunk by chunk.
 *
 * A file is offered at once, and hashed chunk by chunk while it is sent (capability `files2`, see `FileOffer`); for the
 * previous version it is hashed first. A reset in the middle does not disturb it: the channel sends lost messages
 * again, and control messages are repeated. When a session ends, the page keeps the received part of a file, and the
 * next transfer of the same file continues from there.
 */

import { checked, fromHex, hex, sendable } from "../bytes.js";
import { SessionClosedError, TransferError } from "../errors.js";
import { digest } from "../hashing.js";
import { abortable, Deferred, Turns } from "../promises.js";
import { CHUNK, FILE_CHANNEL, HASH, MAX_FILE_TEXT, MIN_CHUNK } from "../protocol/control.js";
import type { FileMessage, FileOffer } from "../protocol/messages.js";
import { over } from "../sha256.js";
import type { Channel, Sent } from "./channel.js";
import { Emitter, settleCurrent } from "./emitter.js";
import type { Cargo, Line, Received, Receiving } from "./files/cargo.js";
import type { AcceptFileOptions, AcceptFolderOptions } from "./files/folders.js";
import { Source } from "./files/parts.js";
import { whereMade } from "./ledger.js";
import { safe } from "./names.js";
import { checkWord } from "./options.js";
import type { FileReceipt, PartialFile } from "./receipt.js";
import type { Shell } from "./shell.js";

/** Offers of the other side that are not over. */
const MAX_OFFERS = 64;
/** Offers of this side that are not over; those beyond wait for one to end. Less than the other side takes. */
const MAX_OFFERED = 32;
/** Files of this side under way at once. */
const MAX_SENDING = 8;
/** Messages of a file that are read before the other side has taken them. */
const AHEAD = 8;
/** Last words that are kept, to be said again on a new connection. */
const MAX_FINAL = 128;
/** Files that the receipt names. */
const MAX_RECORDS = 1000;
/** Last words about files that arrived: a sender that has lost the word with its session offers them again. */
const DONE = new Map<string, FileMessage>();
const MAX_DONE = 1000;

type Bytes = Uint8Array<ArrayBuffer>;

/** The options of `Session.sendFile()`. */
export interface SendFileOptions {
  /** The name for the other side, 1 to 255 characters; by default the file's own name. */
  name?: string;
}

/** Options of `session.sendFolder()`. */
export interface SendFolderOptions extends SendFileOptions {
  /** Patterns of files and folders to leave out, as in a `.gitignore`: `["*.tmp", "cache/"]`. */
  exclude?: readonly string[];
}

/** A folder that the other side offers; given to the `folder` handlers of the session. See `IncomingFile`. */
export type IncomingFolder = Omit<IncomingFile, "accept" | "type" | "sha256" | "stream" | "count"> & {
  /** The number of files and folders in it. */
  readonly count: number;
  /**
   * Take it, and wait until it is here.
   *
   * @returns its files by their paths; with `to`, the folder on the disk.
   * @throws TransferError as `IncomingFile.accept`; or its list names what may not be.
   */
  accept(options?: { to?: undefined }): Promise<Map<string, File>>;
  accept(options: AcceptFolderOptions): Promise<FileSystemDirectoryHandle | Map<string, File>>;
};

/**
 * A file or a folder on its way to the other side; made by `session.sendFile()` and `session.sendFolder()`. The event
 * `progress` reports that more has arrived.
 */
export class Transfer extends Emitter<{ progress: Transfer }> {
  readonly id: string;
  /** Bytes that the other side is known to have taken. */
  done = 0;
  /**
   * Once it is sent, the SHA-256 over the hashes of its chunks, hex; the receiver has the same. For a folder it is over
   * its manifest and its files, for a peer of the first version of the file itself.
   */
  proof = "";
  /** @internal */
  channel = "";
  /** The line that sent it. @internal */
  readonly where = whereMade();
  /** Whether the close of its session has stopped it. @internal */
  cutOff = false;
  /** The last message over the channel. @internal */
  last: Sent | undefined;
  readonly #transfers: Transfers;
  readonly #what: Blob | Cargo;
  readonly #source: Source;
  readonly #type: string;
  #offer: FileOffer | undefined;
  #offset = 0;
  #underWay: Sent[] = [];
  readonly #accepted = new Deferred<number>();
  readonly #finished = new Deferred<void>();
  /** Ends all that waits for it, when it is over. */
  readonly #stop = new AbortController();

  constructor(
    transfers: Transfers,
    what: Blob | Cargo,
    /** The name that the other side sees. */
    readonly name: string,
    before?: Transfer,
  ) {
    super("a file on its way", { progress: true });
    this.id = before?.id ?? hex(crypto.getRandomValues(new Uint8Array(8)));
    if (before) this.proof = before.proof;
    this.#what = what;
    this.#transfers = transfers;
    const file = what instanceof Blob ? what : new Blob();
    this.#source = Source.of(file);
    this.#type = sendable(file.type, MAX_FILE_TEXT);
  }

  /** Bytes; of a stream those sent so far. */
  get size(): number {
    return this.#what.size;
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

  /** Cancel the transfer, and notify the other side. */
  cancel(): void {
    this.#giveUp("cancelled", "cancelled by the sender");
  }

  /** Whether it is over, one way or the other. @internal */
  get over(): boolean {
    return this.#finished.settled;
  }

  /** End the transfer as failed. @internal */
  fail(why: string): void {
    if (this.#finished.settled) return;
    const error = new TransferError(`${this.name} was not sent: ${why}`);
    error.recording = this.#transfers.shell.recording;
    this.#finished.reject(error);
    this.#stop.abort(error);
    (this.#what as Cargo).stop?.();
  }

  #giveUp(why: string, told = why): void {
    if (this.#offer && !this.#finished.settled) this.#transfers.say({ type: "file", id: this.id, failed: told });
    this.fail(why);
  }

  /** The connection is another: what may have been lost with the old one is said again. @internal */
  sayAgain(): void {
    if (this.#offer && !this.#accepted.settled && !this.over)
      this.#transfers.say({ type: "file", id: this.id, offer: this.#offer });
  }

  /** A word of the receiver. @internal */
  heard({ accept, refuse, failed, done, proof }: FileMessage): void {
    if (accept != null && !this.#accepted.settled) this.#mayBegin(accept);
    else if (refuse != null) this.fail(`refused${refuse && `: ${refuse}`}`);
    else if (failed != null) this.fail(`the other side could not save it: ${failed}`);
    else if (done && this.#offer && !this.#finished.settled) this.#arrived(this.#offer, proof);
  }

  #mayBegin(at: number): void {
    const chunk = this.#offer?.chunk;
    if (at > this.size || (chunk && at % chunk && at !== this.size)) {
      this.#giveUp(`the other side would go on at byte ${at} of ${this.size}`);
    } else {
      this.#offset = at;
      this.#accepted.resolve(at);
    }
  }

  #arrived({ chunk, sha256 = "" }: FileOffer, proof: string | null | undefined): void {
    if (!chunk && this.#accepted.settled && this.#offset === this.size) this.proof = sha256; // it had all of it already
    if (!this.proof || (chunk && proof !== this.proof)) {
      this.fail("the other side reports a file with another hash");
      return;
    }
    this.#finished.resolve();
    this.#stop.abort();
    this.#transfers.record(this, true, (this.#what as Cargo).files);
    this.#progress(this.size);
  }

  /** Wait for a turn, offer, wait for the answer, send. @internal */
  async run(): Promise<void> {
    const { session, offering } = this.#transfers;
    try {
      await session.waitOpen();
      await offering.do(async () => {
        if (this.#finished.settled) return;
        await this.#run(session);
        await this.#transfers.empty(this);
      });
    } catch (error) {
      if (error instanceof SessionClosedError) {
        this.cutOff = !this.over;
        this.fail("the session ended");
      } else this.#giveUp(wordsOf(error));
    }
  }

  async #run(session: TransferSession): Promise<void> {
    this.channel = this.#transfers.takeChannel();
    const offer = await this.#makeOffer(this.#transfers.shell);
    if (this.#finished.settled) return;
    this.#offer = offer;
    this.sayAgain();
    await abortable(this.#accepted.promise, this.#stop.signal);
    await this.#transfers.sending.do(async () => {
      if (this.#finished.settled) return;
      const channel = await session.open(this.channel, this.#stop);
      if ("send" in this.#what) await this.#what.send(this.#line(channel));
      else if (offer.chunk) await this.#sendChunks(channel, offer.chunk);
      else {
        const { sendFirst } = await import("./files/folders.js");
        const { maxMessage } = this.#transfers.shell.machine.options;
        await sendFirst(this.#line(channel), this.#what, this.#offset, offer.sha256!, maxMessage);
      }
    });
    await this.#finished.promise;
  }

  async #makeOffer({ machine }: Shell): Promise<FileOffer> {
    const { name, size, channel } = this;
    const offer = { name, size, type: this.#type, channel };
    if ("send" in this.#what) {
      if (!machine.capabilities.has("files3")) throw new Error("the other side takes neither folders nor streams");
      return { ...offer, ...this.#what.offer(machine.options.maxMessage) };
    }
    const chunk = Math.min(CHUNK, machine.options.maxMessage - HASH);
    if (machine.capabilities.has("files2") && chunk >= MIN_CHUNK)
      return { ...offer, chunk, key: this.#source.key(chunk) };
    return { ...offer, sha256: await (await import("./files/folders.js")).whole(this.#what) };
  }

  #line(channel: Channel): Line {
    return {
      digest,
      receive: () => channel.receive(this.#stop) as Promise<Bytes | string>,
      wait: (work) => abortable(work, this.#stop.signal),
      prove: (proof) => (this.proof = proof),
      send: async (message, position) => {
        await this.#send(channel, message);
        if (position) this.#came(channel, position);
      },
    };
  }

  async #sendChunks(channel: Channel, chunk: number): Promise<void> {
    const hashes: Bytes[] = [];
    for (let at = this.#offset; at < this.size; at += chunk) {
      const message = await this.#source.chunk(at, chunk);
      hashes.push(message.slice(-HASH));
      await this.#send(channel, message);
      this.#came(channel, at + chunk);
    }
    const before: Bytes[] = []; // what the other side had already is proved with the rest
    for (let at = 0; at < this.#offset && !this.over; at += chunk) {
      before.push(await this.#source.hash(at, chunk));
    }
    this.proof = over([...before, ...hashes]);
    await this.#send(channel, fromHex(this.proof));
  }

  /** Send a message; throws when the transfer is over. */
  async #send(channel: Channel, message: Bytes | string): Promise<void> {
    this.last = await channel.send(message, this.#stop);
    this.#underWay.push(this.last);
    if (this.#underWay.length > AHEAD) await this.#underWay.shift()!.delivered(this.#stop);
  }

  #came(channel: Channel, position: number): void {
    this.#progress(Math.max(Math.min(position, this.size) - channel.buffered - channel.unacknowledged, this.#offset));
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
 * it. Nothing of it is sent before it is accepted. It is refused when nobody has answered ten seconds after it was
 * offered (`filePatience`), no handler is at it, and it is not held.
 */
export class IncomingFile extends Emitter<IncomingEvents> {
  /** Without any folder, fit for any disk. */
  readonly name: string;
  /** Bytes. */
  size: number;
  /** The media type from the sender; may be empty. */
  readonly type: string;
  /** Hex; only where the sender is of the version before, else empty. */
  readonly sha256: string;
  /** Once it is here, the SHA-256 over the hashes of its chunks (or `sha256`), hex; the sender has the same. */
  proof = "";
  /** Bytes that are here. */
  done = 0;
  /** @internal */
  answered = false;
  /** The line that accepted it. @internal */
  where = "";
  /** The number of files and folders in a folder; undefined for a file. */
  readonly count: number | undefined;
  /** Whether it is a stream: `size` is 0 until all of it is here. */
  readonly stream: boolean;
  /** @internal */
  readonly channel: string;
  #held = false;
  #refused = false;
  #told = false;
  #handled = false;
  #late = false;
  #offset: number | undefined;
  readonly #transfers: Transfers;
  readonly #offer: FileOffer;
  readonly #chunk: number | null | undefined;
  /** Aborted when the sender gives up: it ends all waits for it. */
  readonly #failed = new AbortController();
  /** Settles the handler of the session that has it. @internal */
  settle: (() => void) | undefined;
  readonly #stopWaiting: () => void;

  constructor(
    transfers: Transfers,
    readonly id: string,
    offer: FileOffer,
  ) {
    super("a file that is offered", { progress: true, withdrawn: true });
    const { name, size, type = "", sha256 = "", channel, chunk } = offer;
    this.#offer = offer;
    this.count = offer.entries ?? undefined;
    this.stream = !!offer.stream;
    this.name = safe(name);
    this.size = size;
    this.type = type;
    this.sha256 = sha256;
    this.channel = channel;
    this.#chunk = chunk;
    this.#transfers = transfers;
    this.#stopWaiting = transfers.shell.platform.later(transfers.shell.machine.options.filePatience, () => {
      this.#late = true;
      this.#refuseIfLate();
    });
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
    if (this.#refused || this.over) return;
    this.#answer();
    this.#refused = true;
    this.#transfers.say({ type: "file", id: this.id, refuse: reason });
    this.#transfers.forget(this.id);
  }

  /** Have the handlers of the session look at it, if there are any and they have not. @internal */
  tell(): void {
    const { session } = this.#transfers;
    const kind = this.count === undefined ? "file" : "folder";
    if (!session.takesFiles(kind) || this.#told || this.answered) return;
    this.#told = true;
    void session.fire(kind, this).then(() => {
      this.#handled = true;
      if (this.over) this.#transfers.forget(this.id);
      this.#refuseIfLate();
    });
  }

  /** Nobody has answered in time, and nobody is at it. */
  #refuseIfLate(): void {
    if (!this.#late || this.answered || this.#held || this.#told !== this.#handled) return;
    this.refuse(this.#told ? "no handler accepted it" : "no handler for files on this side");
  }

  /**
   * Take it, and wait until it is here.
   *
   * @param options with `to`, its bytes go straight to a file on the disk, or into a stream. The result is that file, or
   * undefined. A file of a peer of the first version comes as without it.
   * @throws TransferError not all of it came, or it was answered already; what is here is kept for the next attempt.
   * @throws TypeError there is no such `exists`; it is not answered.
   */
  accept(options?: { to?: undefined }): Promise<File>;
  accept(options: AcceptFileOptions): Promise<File | undefined>;
  async accept(options: { to?: unknown; exists?: unknown } = {}): Promise<File> {
    settleCurrent();
    this.settle?.();
    checkWord("exists", options.exists ?? "rename", "rename", "overwrite", "skip");
    this.#failed.signal.throwIfAborted();
    this.#answer();
    try {
      const { receiveFile, receiveFirst, receiveFolder } = await import("./files/folders.js");
      const receive = !this.#chunk ? receiveFirst : this.count === undefined ? receiveFile : receiveFolder;
      return (await this.#receive<never>(receive, options as never)) as File;
    } catch (error) {
      const why = wordsOf(error);
      if (!this.over) this.#transfers.say({ type: "file", id: this.id, failed: why });
      if (this.#offset !== undefined) this.#transfers.drain(this.channel);
      throw error instanceof TransferError ? error : new TransferError(`${this.name} did not arrive: ${why}`);
    } finally {
      this.#transfers.forget(this.id);
    }
  }

  #answer(): void {
    if (this.answered) throw new TransferError(`${this.name} was answered already`);
    this.answered = true;
    this.where = whereMade();
    this.#stopWaiting();
  }

  async #receive<O>(
    receive: (from: Receiving, options: O) => Promise<Received<unknown>>,
    options: O,
  ): Promise<unknown> {
    let channel: Channel;
    const from: Receiving = {
      offer: this.#offer,
      name: this.name,
      digest,
      begin: async (at) => {
        channel = await this.#begin(at);
      },
      next: () => channel.receive(this.#failed) as Promise<Bytes | string>,
      send: (text) => channel.send(text),
      came: (done) => this.#came(done),
    };
    const { value, proof, size, files } = await receive(from, options);
    this.size = size;
    this.#arrived(proof, files);
    return value;
  }

  #came(done: number): void {
    this.done = done;
    void this.emit("progress", this);
  }

  #arrived(proof: string, files?: number): void {
    this.proof = proof;
    this.#transfers.say({ type: "file", id: this.id, done: true, ...(this.#chunk && { proof }) });
    this.#transfers.record(this, false, files);
  }

  /** Tell the sender to begin at this byte. */
  async #begin(at: number): Promise<Channel> {
    await this.#transfers.stopDraining(this.channel);
    this.#offset = at;
    this.sayAgain();
    return this.#transfers.session.open(this.channel, this.#failed);
  }

  /** Whether the sender has given up. @internal */
  get over(): boolean {
    return this.#failed.signal.aborted;
  }

  /** A word of the sender. @internal */
  heard({ failed }: FileMessage): void {
    if (failed == null || this.over) return;
    this.#failed.abort(new TransferError(`${this.name} did not arrive: ${failed}`));
    if (this.answered) return;
    this.#stopWaiting();
    // Until its turn with the handlers it counts: a peer could fill their line.
    if (this.#told === this.#handled) this.#transfers.forget(this.id);
    void this.emit("withdrawn", this);
  }

  /** The connection is another: what may have been lost with the old one is said again. @internal */
  sayAgain(): void {
    if (this.#offset !== undefined) this.#transfers.say({ type: "file", id: this.id, accept: this.#offset });
  }
}

/** The members of the `Session` that transfers use; the rest comes from its shell. @internal */
export interface TransferSession {
  waitOpen(): Promise<void>;
  open(name: string, options?: { signal?: AbortSignal }): Promise<Channel>;
  /** Whether the event has a handler. */
  takesFiles(kind: "file" | "folder"): boolean;
  /** Fire it, unless it is over when its turn has come; the promise is fulfilled when its handlers have settled. */
  fire(type: "file" | "folder", event: IncomingFile): Promise<void>;
}

/** All files of one session, both ways. @internal */
export class Transfers {
  readonly offering = new Turns(MAX_OFFERED);
  readonly sending = new Turns(MAX_SENDING);
  /** The last that arrived whole, for the receipt. */
  readonly arrived: FileReceipt[] = [];
  #out = new Map<string, Transfer>();
  #in = new Map<string, IncomingFile>();
  /** The last control messages about ended files, so that a sender that asks again gets the same answer. */
  #final = new Map<string, FileMessage>();
  #drains = new Map<string, { stop: AbortController; stopped: Promise<void> }>();
  #free: string[] = [];
  #made = 0;

  constructor(
    readonly shell: Shell,
    readonly session: TransferSession,
  ) {}

  /** Under way. */
  get held(): (Transfer | IncomingFile)[] {
    return [...this.#out.values(), ...this.#in.values()].filter(({ over }) => !over);
  }

  /** Not whole: sent and not all there, or accepted and not all here. */
  get partial(): PartialFile[] {
    const part = ({ name, size, done }: Transfer | IncomingFile, sent: boolean) => ({ name, size, done, sent });
    return [
      ...[...this.#out.values()].filter(({ over, cutOff }) => cutOff || !over).map((file) => part(file, true)),
      ...[...this.#in.values()].filter(({ over, answered }) => answered && !over).map((file) => part(file, false)),
    ];
  }

  /** Whether a channel carries files. */
  owns(channel: string): boolean {
    return channel.startsWith(FILE_CHANNEL);
  }

  /** Say a word about a file; its text is made sayable. */
  say(file: FileMessage): void {
    const said = { ...file };
    if (said.failed != null) said.failed = sendable(said.failed, 1024);
    if (said.refuse != null) said.refuse = sendable(said.refuse, 1024);
    if (!said.offer && said.accept == null) {
      remember(this.#final, said, MAX_FINAL);
      if (said.done) remember(DONE, said, MAX_DONE);
    }
    this.shell.step((now) => this.shell.machine.sayFile(said, now));
  }

  /** A file, or a folder with so many files, arrived whole. */
  record({ name, size, proof }: Transfer | IncomingFile, sent: boolean, files?: number): void {
    this.arrived.push({ name, size, proof, sent, ...(files !== undefined && { files }) });
    if (this.arrived.length > MAX_RECORDS) this.arrived.shift();
  }

  /** An incoming file is answered for good. */
  forget(id: string): void {
    this.#in.delete(id);
  }

  /** See `Session.sendFile`. `before`: the transfer of the same thing in a session that has ended. */
  async send(file: Blob | Cargo, { name }: SendFileOptions, own = "", before?: Transfer): Promise<Transfer> {
    const said =
      name === undefined
        ? sendable(file instanceof File ? file.name : own, MAX_FILE_TEXT) || "file"
        : checked("a file's name", name, 1, MAX_FILE_TEXT);
    const ended = this.shell.closedError();
    if (ended) throw ended;
    const transfer = new Transfer(this, file, said, before);
    this.#out.set(transfer.id, transfer);
    void this.#run(transfer);
    return transfer;
  }

  /** A channel that nothing else uses at the moment. */
  takeChannel(): string {
    return this.#free.pop() ?? `${FILE_CHANNEL}${this.shell.machine.me.slice(0, 32)} ${++this.#made}`;
  }

  async #run(transfer: Transfer): Promise<void> {
    await transfer.run();
    if (!transfer.cutOff) this.#out.delete(transfer.id);
    await this.empty(transfer); // after a failure: who receives no more still takes what comes
  }

  /** When nothing of this transfer is left in its channel, another may use it. */
  async empty(transfer: Transfer): Promise<void> {
    const name = transfer.channel;
    transfer.channel = "";
    if (!name) return;
    try {
      await transfer.last?.delivered();
      this.#free.push(name);
    } catch {
      // The session has ended.
    }
  }

  /** Discard the rest of an unwanted file. */
  drain(name: string): void {
    if (this.shell.receipt || this.#drains.has(name)) return;
    const stop = new AbortController();
    const stopped = (async () => {
      const { signal } = stop;
      const channel = await this.session.open(name, { signal });
      for (;;) await channel.receive({ signal });
    })().catch(() => undefined); // it was stopped, or the session has ended
    this.#drains.set(name, { stop, stopped });
  }

  /** Another file comes over this channel. */
  async stopDraining(name: string): Promise<void> {
    const drain = this.#drains.get(name);
    this.#drains.delete(name);
    drain?.stop.abort();
    await drain?.stopped;
  }

  /** A word of the other side. */
  said(file: FileMessage): void {
    if (file.offer) this.#offered(file.id, file.offer);
    else (this.#out.get(file.id) ?? this.#in.get(file.id))?.heard(file);
  }

  #offered(id: string, offer: FileOffer): void {
    const final = this.#final.get(id) ?? DONE.get(id);
    const known = this.#in.get(id);
    const why = this.#unwanted(offer);
    if (final) this.say(final);
    else if (known) known.sayAgain();
    else if (why) this.say({ type: "file", id, refuse: why });
    else {
      const incoming = new IncomingFile(this, id, offer);
      this.#in.set(id, incoming);
      incoming.tell();
    }
  }

  /** Why an offer is refused before anybody looks at it. */
  #unwanted({ channel, sha256, chunk, key, entries, stream }: FileOffer): string {
    const most = this.shell.machine.options.maxMessage;
    if (this.#in.size >= MAX_OFFERS) return "too many files at once";
    if (!this.owns(channel)) return `a file's channel begins with "${FILE_CHANNEL}"`;
    if ([...this.#in.values()].some((each) => each.channel === channel && !each.over)) {
      return `channel "${channel}" carries another file`;
    }
    if (!chunk === !sha256 || !chunk === !!key || (!chunk && (stream || entries != null)))
      return "an offer needs a hash, or the size of its chunks and a key";
    if (entries! > 100_000) return `the folder has ${entries} files; 100000 at most`;
    if (chunk && chunk + (entries == null ? HASH : 32768) > most)
      return `its chunks have ${chunk} bytes; this side accepts messages of ${most}`;
    return "";
  }

  /** Somebody handles files now: those that wait are shown, and their code is loaded while the server is there. */
  handlerAdded(): void {
    import("./files/folders.js").catch(() => undefined);
    for (const incoming of [...this.#in.values()]) incoming.tell();
  }

  /** Another connection carries the session: what may have been lost with the old one is said again. */
  reconnected(): void {
    for (const transfer of this.#out.values()) transfer.sayAgain();
    for (const incoming of this.#in.values()) incoming.sayAgain();
    for (const final of [...this.#final.values()]) this.say(final);
  }

  /** The session is over. */
  end(why: string): void {
    for (const transfer of this.#out.values()) transfer.fail(`the session ended: ${why}`);
    for (const incoming of [...this.#in.values()]) {
      incoming.heard({ type: "file", id: incoming.id, failed: `the session ended: ${why}` });
    }
  }
}

function remember(words: Map<string, FileMessage>, said: FileMessage, most: number): void {
  words.set(said.id, said);
  if (words.size > most) words.delete(words.keys().next().value!);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
