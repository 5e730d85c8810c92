/** The hashes of files that are sent: each is made once. */

import { concat, hex } from "../../bytes.js";
import { digest } from "../../hashing.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** The hashes of a file that is sent: each chunk is hashed once, for all its receivers. */
export class Source {
  /** Equal only for the same bytes: a `Blob` does not change. */
  readonly key = hex(crypto.getRandomValues(new Uint8Array(16)));
  readonly #chunks = new Map<number, Promise<Bytes>>();

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
}

const sources = new WeakMap<Blob, Source>();
