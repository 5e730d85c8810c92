/**
 * Folders, streams, and files that go straight to the disk: loaded when one is used. It gets what it needs of the
 * session from `Line` and `Receiving`, so that it can be a bundle of its own.
 */

import { concat, fromHex, hex } from "../../bytes.js";
import {
  AT_ONCE,
  decode,
  decodePieces,
  encode,
  encodePieces,
  MAX_ENTRIES,
  MAX_HEAD,
  MAX_PATH,
  type Piece,
  proofOf,
} from "../../protocol/folders.js";
import type { FileOffer, FolderEntry, FolderMessage } from "../../protocol/messages.js";
import { over, Sha256 } from "../../sha256.js";
import type { Cargo, Digest, Line, Received, Receiving } from "./cargo.js";
import { excludes } from "./excludes.js";
import { Half, keepHalf, takeHalf } from "./halves.js";
import { Manifest, numbered, pages } from "./manifest.js";

export { elsewhere } from "../../hashing-worker.js";
export { receiveFirst, sendFirst, whole } from "./first.js";

type Bytes = Uint8Array<ArrayBuffer>;
export type Exists = "rename" | "overwrite" | "skip";

const HASH = 32;
const CHUNK = 1024 * 1024;
const MIN_CHUNK = 16 * 1024;

// --- what is sent -------------------------------------------------------------------------------------------------

/** A folder on the disk (`showDirectoryPicker()`), or the files of `<input webkitdirectory>`. */
export type FolderSource = FileSystemDirectoryHandle | Iterable<File>;
/** Bytes that come one after the other, and whose number is known at their end. */
export type StreamSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** Return the cargo of a stream. */
export function streamCargo(stream: StreamSource): Cargo {
  if (!(stream instanceof ReadableStream) && typeof stream?.[Symbol.asyncIterator] !== "function") {
    throw new TypeError(`sendFile() takes a File, a Blob or a stream of Uint8Array, not ${String(stream)}`);
  }
  let chunk = CHUNK;
  let source: AsyncIterator<Uint8Array> | undefined;
  const open = () => (source ??= opened(stream));
  return {
    size: 0,
    stop() {
      (async () => open().return?.())().catch(() => undefined); // it failed itself, or somebody else reads it
    },
    offer(most) {
      chunk = Math.min(CHUNK, most - HASH);
      return { size: 0, chunk, key: hex(crypto.getRandomValues(new Uint8Array(16))), stream: true };
    },
    async send(line) {
      const proof = new Sha256();
      for await (const data of chunks(() => line.wait(open().next()), chunk)) {
        const hash = await line.digest(data);
        proof.add(hash);
        this.size += data.length;
        await line.send(concat([data, hash]), this.size);
      }
      const whole = proof.hex();
      line.prove(whole);
      await line.send(fromHex(whole));
    },
  };
}

/** Yield chunks; all are whole but the last. */
async function* chunks(next: () => Promise<IteratorResult<Uint8Array>>, size: number): AsyncGenerator<Bytes> {
  let gathered: Uint8Array[] = [];
  let length = 0;
  for (let part = await next(); !part.done; part = await next()) {
    const data = part.value;
    if (!(data instanceof Uint8Array)) throw new TypeError(`a stream must give Uint8Array, not ${typeof data}`);
    gathered.push(data);
    length += data.length;
    while (length >= size) {
      const whole = concat(gathered);
      yield whole.slice(0, size);
      gathered = [whole.subarray(size)];
      length -= size;
    }
  }
  if (length) yield concat(gathered);
}

/** Not every browser iterates streams. */
function opened(stream: StreamSource): AsyncIterator<Uint8Array> {
  if (!(stream instanceof ReadableStream)) return stream[Symbol.asyncIterator]();
  const reader = stream.getReader();
  return { next: () => reader.read() as never, return: () => reader.cancel() as never };
}

/**
 * Look at a folder, and return its name and cargo.
 *
 * @throws TypeError it is no folder, or too much for one transfer.
 */
export async function folderCargo(source: FolderSource, patterns: readonly string[]): Promise<[string, Cargo]> {
  const found = new Map<string, File | undefined>();
  const excluded = excludes(patterns);
  let name = "folder";
  if (typeof source !== "object" || source === null || !("kind" in source || Symbol.iterator in source)) {
    throw new TypeError(`sendFolder() takes a folder of showDirectoryPicker(), or files, not ${String(source)}`);
  }
  if ("kind" in source) {
    name = source.name;
    await look(source, "", excluded, found);
  } else {
    for (const file of source) name = add(file, excluded, found) ?? name;
  }
  if (found.size > MAX_ENTRIES) throw new TypeError(`more than ${MAX_ENTRIES} files and folders: send an archive`);
  const paths = [...found.keys()].sort();
  for (const path of paths)
    if ([...path].length > MAX_PATH) throw new TypeError(`the path ${path.slice(0, 99)}… is too long`);
  return [name, new FolderCargo(paths.map((path) => [path, found.get(path)]))];
}

type Excluded = (path: string, folder: boolean) => boolean;

async function look(
  folder: FileSystemDirectoryHandle,
  before: string,
  excluded: Excluded,
  found: Map<string, File | undefined>,
) {
  for await (const handle of (folder as unknown as { values(): AsyncIterable<FileSystemHandle> }).values()) {
    const path = before + handle.name;
    if (excluded(path, handle.kind === "directory")) continue;
    if (handle.kind === "file") {
      found.set(path, await (handle as FileSystemFileHandle).getFile());
    } else {
      found.set(path, undefined);
      await look(handle as FileSystemDirectoryHandle, `${path}/`, excluded, found);
    }
  }
}

/** Take a file of `<input webkitdirectory>`, with the folders that its path names; return the name of the root. */
function add(file: File, excluded: Excluded, found: Map<string, File | undefined>): string | undefined {
  const parts = (file.webkitRelativePath || file.name).split("/");
  const root = parts.length > 1 ? parts.shift() : undefined;
  for (let end = 1; end < parts.length; end++) {
    const path = parts.slice(0, end).join("/");
    if (excluded(path, true)) return root;
    found.set(path, undefined);
  }
  const path = parts.join("/");
  if (!excluded(path, false)) found.set(path, file);
  return root;
}

class FolderCargo implements Cargo {
  readonly size: number;
  readonly files: number;
  readonly entries: FolderEntry[];
  #chunk = CHUNK;

  constructor(private readonly found: [string, File | undefined][]) {
    this.entries = found.map(([path, file]) =>
      file ? { path, size: file.size, modified: Math.min(Math.max(0, file.lastModified * 1000), 9e15) } : { path },
    );
    this.size = this.entries.reduce((sum, { size }) => sum + (size ?? 0), 0);
    this.files = found.filter(([, file]) => file).length;
  }

  offer(most: number): Partial<FileOffer> {
    this.#chunk = Math.min(CHUNK, most - MAX_HEAD);
    if (this.#chunk < MIN_CHUNK) throw new TypeError("maxMessage is too small for folders");
    // The same list is the same folder: what is different in it is found by the proofs of its parts.
    const key = new Sha256().add(new TextEncoder().encode(JSON.stringify(this.entries))).hex();
    return { size: this.size, chunk: this.#chunk, key: key.slice(0, 32), entries: this.entries.length };
  }

  async send(line: Line): Promise<void> {
    const manifest = new Sha256();
    for (const text of pages(this.entries)) {
      manifest.add(new TextEncoder().encode(text));
      await line.send(text);
    }
    const { had, skip } = await this.#hear(line);
    let position = 0;
    for (const [size] of had.values()) position += size;
    for (const n of skip) position += this.entries[n]!.size ?? 0;
    const proofs: Bytes[] = [];
    let some: Piece[] = [];
    let size = 0;
    const flush = async () => {
      if (some.length) await line.send(encodePieces(some), (position = Math.min(position + size, this.size)));
      some = [];
      size = 0;
    };
    for (let n = 0; n < this.found.length; n++) {
      const file = this.found[n]![1];
      if (!file || skip.has(n)) continue;
      for await (const piece of this.#pieces(n, file, had.get(n), proofs, line.digest)) {
        if (some.length >= AT_ONCE || size + piece.data.length > this.#chunk) await flush();
        some.push(piece);
        size += piece.data.length;
      }
    }
    await flush();
    const proof = proofOf(fromHex(manifest.hex()), proofs);
    line.prove(proof);
    await line.send(encode({ type: "proof", proof }));
  }

  async *#pieces(n: number, file: File, had: [number, string] | undefined, proofs: Bytes[], digest: Digest) {
    const chunk = this.#chunk;
    const read = async (at: number, end: number) => new Uint8Array(await file.slice(at, end).arrayBuffer());
    let hashes: Bytes[] = [];
    let begin = 0;
    if (had) {
      begin = had[0];
      for (let at = 0; at < begin; at += chunk) hashes.push(await digest(await read(at, Math.min(at + chunk, begin))));
      if (over(hashes) !== had[1]) {
        begin = 0; // other bytes: all of it is sent
        hashes = [];
      }
    }
    for (let at = begin; at < file.size; at += chunk) {
      const data = await read(at, at + chunk);
      const hash = await digest(data);
      hashes.push(hash);
      yield { n, at, data, hash };
    }
    proofs.push(fromHex(over(hashes)));
  }

  /** Hear which parts the receiver has, and what it does not want. */
  async #hear(line: Line): Promise<{ had: Map<number, [number, string]>; skip: Set<number> }> {
    const had = new Map<number, [number, string]>();
    const skip = new Set<number>();
    for (let last = false, before = -1; !last; ) {
      const { message } = await texts(line.receive, "have");
      for (const { n, size, proof } of message.files ?? []) {
        if (n <= before) throw new TypeError("the other side names a file twice, or not in order");
        before = n;
        had.set(n, [size, proof]);
      }
      for (const n of message.skip ?? []) skip.add(n);
      last = message.last ?? false;
    }
    for (const n of [...had.keys(), ...skip]) {
      const whole = this.entries[n]?.size;
      const part = had.get(n)?.[0];
      if (whole == null || (part !== undefined && part !== whole && (part > whole || part % this.#chunk))) {
        throw new TypeError(`the other side has a part of entry ${n} that cannot be`);
      }
    }
    return { had, skip };
  }
}

async function texts<K extends FolderMessage["type"]>(
  next: () => Promise<Bytes | string>,
  type: K,
): Promise<{ text: string; message: Extract<FolderMessage, { type: K }> }> {
  const text = await next();
  return { text: text as string, message: read(text, type) };
}

function read<K extends FolderMessage["type"]>(text: Bytes | string, type: K): Extract<FolderMessage, { type: K }> {
  if (typeof text === "string") {
    const message = decode(text);
    if (message.type === type) return message as Extract<FolderMessage, { type: K }>;
  }
  throw new TypeError("the other side sent something else than its list of files");
}

// --- what is received ---------------------------------------------------------------------------------------------

/** Options of `IncomingFile.accept()`. */
export interface AcceptFileOptions {
  /**
   * Where the bytes go as they come, instead of the page's memory: a file on the disk (`showSaveFilePicker()`), or any
   * stream. The result is then the file, or nothing.
   */
  to?: FileSystemFileHandle | WritableStream<Uint8Array>;
}

/** Options of `IncomingFolder.accept()`. */
export interface AcceptFolderOptions {
  /** A folder on the disk (`showDirectoryPicker()`), in which it gets its name, instead of the page's memory. */
  to?: FileSystemDirectoryHandle;
  /** Number the new folder if `to` has one of its name (the default), or merge both. */
  exists?: Exists;
}

/** Receive a file, or a stream: into memory, or to the disk. A half in memory is kept, and the next transfer goes on. */
export async function receiveFile(from: Receiving, { to }: AcceptFileOptions): Promise<Received<File | undefined>> {
  const { offer, name } = from;
  const chunk = offer.chunk!;
  const sink = to && (to instanceof WritableStream ? to : await to.createWritable());
  const writer = sink?.getWriter();
  // A stream is not sent again, and a file on the disk begins anew.
  let key = to || offer.stream ? "" : (offer.key ?? "");
  const half = takeHalf(key, offer.size);
  let { size } = half;
  try {
    await from.begin(size);
    let message = await bytes(from);
    while (offer.stream ? message.length > HASH : size < offer.size) {
      const data = message.slice(0, -HASH);
      const hash = message.slice(-HASH);
      const most = offer.stream ? chunk : Math.min(chunk, offer.size - size);
      const fits = offer.stream ? data.length <= most && !(size % chunk) : data.length === most;
      if (!fits || hex(await from.digest(data)) !== hex(hash)) damaged("a piece is not what its hash says");
      await writer?.write(data);
      half.add(data, hash, !writer);
      size += data.length;
      from.came(size);
      message = await bytes(from);
    }
    key = ""; // what is not as it was announced is not kept
    const { proof } = half;
    if (hex(message) !== proof) damaged("its hash is not the one announced");
    await writer?.close();
    const options = { type: offer.type ?? "", ...time(offer.modified) };
    const value = !to ? new File(half.pieces, name, options) : "getFile" in to ? await to.getFile() : undefined;
    return { value, proof, size };
  } catch (error) {
    keepHalf(key, half);
    await writer?.abort(error).catch(() => undefined);
    throw error;
  }
}

async function bytes(from: Receiving): Promise<Bytes> {
  const message = await from.next();
  if (typeof message === "string") throw new TypeError("the sender sent something else");
  return message;
}

function time(modified: number | null | undefined): { lastModified?: number } {
  return modified == null ? {} : { lastModified: Math.floor(modified / 1000) };
}

function damaged(how: string): never {
  throw new Error(`it arrived damaged: ${how}`);
}

/** The parts that ended transfers have left, by the key of the folder, and the path in it. */
const kept = new Map<string, Map<string, Half>>();
const MAX_KEPT = 2;

/** Receive a folder. */
export async function receiveFolder(
  from: Receiving,
  { to, exists = "rename" }: AcceptFolderOptions,
): Promise<Received<Map<string, File> | FileSystemDirectoryHandle>> {
  const { offer } = from;
  const key = offer.key!;
  const parts = (!to && kept.get(key)) || new Map<string, Half>();
  kept.delete(key); // one transfer at a time goes on with it
  let store: Store | undefined;
  try {
    await from.begin(0);
    const manifest = new Manifest(offer.entries!, offer.size);
    for (let last = false; !last; ) {
      const { text, message } = await texts(from.next, "entries");
      manifest.add(text, message);
      last = message.last ?? false;
    }
    store = to
      ? await Disk.open(to, from.name, exists, manifest, offer.chunk!, from.digest)
      : new Memory(parts, manifest);
    const taking = new Taking(from, manifest, store);
    await taking.sayWhatIsHere();
    await taking.pieces();
    const files = manifest.entries.filter(({ size }) => size != null).length;
    return { value: store.result(), proof: taking.proof, size: offer.size, files };
  } catch (error) {
    await store?.stop();
    if (parts.size) keep(key, parts);
    throw error;
  }
}

function keep(key: string, parts: Map<string, Half>): void {
  kept.set(key, parts);
  for (const oldest of kept.keys()) {
    if (kept.size <= MAX_KEPT) break;
    kept.delete(oldest);
  }
}

/** Where the files of a folder go. */
interface Store {
  /** Return the part of an entry that is there: bytes, and the hashes of their chunks. */
  had(n: number): Promise<{ size: number; hashes: Bytes[] } | undefined>;
  skips(n: number): boolean;
  /** Begin a file, or go on with it: its first `at` bytes stay. */
  begin(n: number, at: number): Promise<void>;
  write(data: Bytes, hash: Bytes): Promise<void>;
  end(n: number): Promise<void>;
  stop(): Promise<void>;
  result(): Map<string, File> | FileSystemDirectoryHandle;
}

class Memory implements Store {
  #now = new Half();

  constructor(
    private readonly parts: Map<string, Half>,
    private readonly manifest: Manifest,
  ) {
    const paths = new Set(manifest.entries.map(({ path }) => path));
    for (const path of parts.keys()) if (!paths.has(path)) parts.delete(path);
  }

  async had(n: number) {
    const { path, size } = this.manifest.entries[n]!;
    const part = this.parts.get(path);
    return part && part.size <= size! ? part : undefined;
  }

  skips(): boolean {
    return false;
  }

  async begin(n: number, at: number): Promise<void> {
    const { path } = this.manifest.entries[n]!;
    const known = this.parts.get(path);
    this.#now = known && at ? known : new Half();
    this.parts.set(path, this.#now);
  }

  async write(data: Bytes, hash: Bytes): Promise<void> {
    this.#now.add(data, hash);
  }

  async end(): Promise<void> {}
  async stop(): Promise<void> {}

  result(): Map<string, File> {
    const { entries, paths } = this.manifest;
    return new Map(
      entries.flatMap(({ path, size, modified }, n) => {
        if (size == null) return [];
        const name = paths[n]!.split("/").at(-1)!;
        return [[paths[n]!, new File(this.parts.get(path)?.pieces ?? [], name, time(modified))]];
      }),
    );
  }
}

/** A folder on the disk of the person. A file is there when it is whole; those that are there are not sent again. */
class Disk implements Store {
  #writer: WritableStreamDefaultWriter | undefined;

  static async open(
    to: FileSystemDirectoryHandle,
    name: string,
    exists: Exists,
    manifest: Manifest,
    chunk: number,
    digest: Digest,
  ): Promise<Disk> {
    let free = name;
    for (let number = 1; exists === "rename" && (await isThere(to, free)); number++) free = numbered(name, number);
    const root = await to.getDirectoryHandle(free, { create: true });
    const disk = new Disk(root, exists, manifest, chunk, digest);
    for (const [n, { size }] of manifest.entries.entries()) {
      const { folder, last } = await disk.#place(n);
      if (size == null) await folder.getDirectoryHandle(last, { create: true });
      else if (exists === "skip" && (await isThere(folder, last))) disk.#skip.add(n);
    }
    return disk;
  }

  readonly #skip = new Set<number>();

  private constructor(
    private readonly root: FileSystemDirectoryHandle,
    private readonly exists: Exists,
    private readonly manifest: Manifest,
    private readonly chunk: number,
    private readonly digest: Digest,
  ) {}

  async #place(n: number): Promise<{ folder: FileSystemDirectoryHandle; last: string }> {
    const parts = this.manifest.paths[n]!.split("/");
    let folder = this.root;
    for (const part of parts.slice(0, -1)) folder = await folder.getDirectoryHandle(part);
    return { folder, last: parts.at(-1)! };
  }

  async had(n: number) {
    if (this.exists !== "overwrite") return undefined;
    const { folder, last } = await this.#place(n);
    if (!(await isThere(folder, last))) return undefined;
    const file = await (await folder.getFileHandle(last)).getFile();
    if (file.size !== this.manifest.entries[n]!.size) return undefined;
    const hashes: Bytes[] = [];
    for (let at = 0; at < file.size; at += this.chunk) {
      hashes.push(await this.digest(new Uint8Array(await file.slice(at, at + this.chunk).arrayBuffer())));
    }
    return { size: file.size, hashes };
  }

  skips(n: number): boolean {
    return this.#skip.has(n);
  }

  async begin(n: number): Promise<void> {
    const { folder, last } = await this.#place(n);
    this.#writer = (await (await folder.getFileHandle(last, { create: true })).createWritable()).getWriter();
  }

  async write(data: Bytes): Promise<void> {
    await this.#writer!.write(data);
  }

  async end(): Promise<void> {
    await this.#writer?.close();
    this.#writer = undefined;
  }

  async stop(): Promise<void> {
    await this.#writer?.abort().catch(() => undefined);
  }

  result(): FileSystemDirectoryHandle {
    return this.root;
  }
}

async function isThere(folder: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    await folder.getFileHandle(name);
    return true;
  } catch (error) {
    return (error as DOMException).name === "TypeMismatchError"; // it is a folder
  }
}

/** The pieces of a folder as they come, in order. */
class Taking {
  proof = "";
  #done = 0;
  readonly #had = new Map<number, { size: number; hashes: Bytes[] }>();
  readonly #proofs: Bytes[] = [];
  /** The first entry after those that were looked at. */
  #next = 0;
  /** The file that is being received. */
  #now: { n: number; at: number; hashes: Bytes[] } | undefined;

  constructor(
    private readonly from: Receiving,
    private readonly manifest: Manifest,
    private readonly store: Store,
  ) {}

  async sayWhatIsHere(): Promise<void> {
    const files: { n: number; size: number; proof: string }[] = [];
    const skip: number[] = [];
    for (const [n, { size }] of this.manifest.entries.entries()) {
      if (size == null) continue;
      if (this.store.skips(n)) {
        skip.push(n);
        this.#done += size;
        continue;
      }
      const had = size ? await this.store.had(n) : undefined;
      if (!had?.size) continue;
      this.#had.set(n, { size: had.size, hashes: [...had.hashes] });
      files.push({ n, size: had.size, proof: over(had.hashes) });
      this.#done += had.size;
    }
    const most = Math.max(files.length, skip.length, 1);
    for (let at = 0; at < most; at += AT_ONCE) {
      const end = at + AT_ONCE;
      const have = { files: files.slice(at, end), skip: skip.slice(at, end), last: end >= most };
      await this.from.send(encode({ type: "have", ...have }));
    }
    this.from.came(this.#done);
  }

  /** Take all pieces, up to the proof. */
  async pieces(): Promise<void> {
    let message = await this.from.next();
    for (; typeof message !== "string"; message = await this.from.next()) {
      const pieces = decodePieces(message);
      const hashes = await Promise.all(pieces.map(({ data }) => this.from.digest(data.slice())));
      for (const [index, piece] of pieces.entries()) {
        if (hex(hashes[index]!) !== hex(piece.hash)) damaged("a piece is not what its hash says");
        await this.#take(piece);
      }
      this.from.came(this.#done);
    }
    const { proof } = read(message, "proof");
    if (this.#now) damaged("a file is not complete");
    await this.#passTo(this.manifest.entries.length);
    this.proof = proofOf(this.manifest.proof, this.#proofs);
    if (this.proof !== proof) damaged("its hash is not the one announced");
  }

  async #take({ n, at, data, hash }: Piece): Promise<void> {
    if (this.#now?.n !== n) await this.#begin(n, at);
    const now = this.#now!;
    const size = this.manifest.entries[n]!.size!;
    if (now.at !== at || data.length !== Math.min(this.from.offer.chunk!, size - at)) {
      damaged("a piece is not the next one");
    }
    await this.store.write(data.slice(), hash.slice());
    now.at += data.length;
    this.#done += data.length;
    now.hashes.push(hash.slice());
    if (now.at < size) return;
    await this.store.end(n);
    this.#proofs.push(fromHex(over(now.hashes)));
    this.#now = undefined;
  }

  async #begin(n: number, at: number): Promise<void> {
    if (this.#now || n < this.#next || n >= this.manifest.entries.length) damaged("a piece of another file came");
    await this.#passTo(n);
    if (!this.manifest.entries[n]!.size || this.store.skips(n)) damaged("a piece came that was not asked for");
    const had = this.#had.get(n);
    const goesOn = had !== undefined && at === had.size;
    if (had && !goesOn) this.#done -= had.size; // the sender has other bytes
    this.#next = n + 1;
    this.#now = { n, at: goesOn ? at : 0, hashes: goesOn ? had.hashes : [] };
    await this.store.begin(n, this.#now.at);
  }

  /** Note the files before this one: they are empty, whole here, or skipped. */
  async #passTo(end: number): Promise<void> {
    for (; this.#next < end; this.#next++) {
      const n = this.#next;
      const { size, path } = this.manifest.entries[n]!;
      if (size == null || this.store.skips(n)) continue;
      const had = this.#had.get(n);
      if ((had?.size ?? 0) !== size) damaged(`${path.slice(0, 100)} is missing`);
      if (!had) {
        await this.store.begin(n, 0);
        await this.store.end(n);
      }
      this.#proofs.push(fromHex(over(had?.hashes ?? [])));
    }
  }
}
