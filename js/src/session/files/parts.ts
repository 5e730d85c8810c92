/** The bytes of single files, on both sides: hashes that are made once, and the parts that the page keeps. */

import { concat, hex } from "../../bytes.js";
import { digest, digestOf } from "../../hashing.js";
import { Sha256 } from "../../sha256.js";

/** Halves of files that the page keeps. */
const MAX_HALVES = 4;

type Bytes = Uint8Array<ArrayBuffer>;

/** The hashes of a file that is sent: each chunk is hashed once, for all its receivers. */
export class Source {
  /** Equal only for the same bytes: a `Blob` does not change. */
  readonly key = hex(crypto.getRandomValues(new Uint8Array(16)));
  readonly #chunks = new Map<number, Promise<Bytes>>();
  #whole: Promise<string> | undefined;

  static of(file: Blob): Source {
    let source = sources.get(file);
    if (!source) sources.set(file, (source = new Source(file)));
    return source;
  }

  private constructor(readonly file: Blob) {}

  /** One chunk, with its hash after it. */
  async chunk(at: number, size: number): Promise<Bytes> {
    const data = new Uint8Array(await this.file.slice(at, at + size).arrayBuffer());
    return concat([data, await this.#hash(at, () => digest(data))]);
  }

  /** The hash of a chunk that the other side has already. */
  skip(at: number, size: number): Promise<Bytes> {
    return this.#hash(at, async () => digest(new Uint8Array(await this.file.slice(at, at + size).arrayBuffer())));
  }

  /** All chunks of this page but a file's last are of one size. */
  #hash(at: number, make: () => Promise<Bytes>): Promise<Bytes> {
    const hash = this.#chunks.get(at) ?? make();
    this.#chunks.set(at, hash);
    hash.catch(() => this.#chunks.delete(at));
    return hash;
  }

  /** The hash of all of it, as the first version of the protocol offers it. */
  whole(): Promise<string> {
    this.#whole ??= digestOf(this.file);
    this.#whole.catch(() => (this.#whole = undefined));
    return this.#whole;
  }
}

const sources = new WeakMap<Blob, Source>();

/** The verified part of a file. */
export class Half {
  pieces: Blob[] = [];
  size = 0;
  readonly hashes: Bytes[] = [];

  add(data: Uint8Array, hash?: Bytes): void {
    // A Blob: the browser may keep it elsewhere than in memory.
    this.pieces.push(new Blob([data as BlobPart]));
    this.size += data.length;
    if (hash) this.hashes.push(hash);
  }

  /** The hash over the hashes of the chunks. */
  get proof(): string {
    return proofOf(this.hashes);
  }
}

export function proofOf(hashes: Iterable<Bytes>): string {
  const proof = new Sha256();
  for (const hash of hashes) proof.add(hash);
  return proof.hex();
}

/** The parts that ended sessions have left, by the key of the file. */
export const halves = new Map<string, Half>();

export function keep(key: string, half: Half): void {
  if ((halves.get(key)?.size ?? 0) >= half.size) return;
  halves.set(key, half);
  for (const oldest of halves.keys()) {
    if (halves.size <= MAX_HALVES) break;
    halves.delete(oldest);
  }
}
