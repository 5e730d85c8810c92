/** The hashes of files that are sent: each is made once. */

import { concat, hex } from "../../bytes.js";
import { digest } from "../../hashing.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** The hashes of a file that is sent: each chunk is hashed once, for all its receivers. */
export class Source {
  readonly #key = hex(crypto.getRandomValues(new Uint8Array(12)));
  readonly #chunks = new Map<string, Promise<Bytes>>();

  static of(file: Blob): Source {
    let source = sources.get(file);
    if (!source) sources.set(file, (source = new Source(file)));
    return source;
  }

  private constructor(readonly file: Blob) {}

  /** Equal only for the same bytes in chunks of the same size: a `Blob` does not change. */
  key(chunk: number): string {
    return this.#key + chunk.toString(16).padStart(8, "0");
  }

  /** One chunk, with its hash after it. */
  async chunk(at: number, size: number): Promise<Bytes> {
    const data = await this.#read(at, size);
    return concat([data, await this.hash(at, size, data)]);
  }

  /** The hash of a chunk; `data` is the chunk, if it is read already. */
  hash(at: number, size: number, data?: Bytes): Promise<Bytes> {
    const chunk = `${at} ${size}`;
    const hash = this.#chunks.get(chunk) ?? Promise.resolve(data ?? this.#read(at, size)).then(digest);
    this.#chunks.set(chunk, hash);
    hash.catch(() => this.#chunks.delete(chunk));
    return hash;
  }

  async #read(at: number, size: number): Promise<Bytes> {
    return new Uint8Array(await this.file.slice(at, at + size).arrayBuffer());
  }
}

const sources = new WeakMap<Blob, Source>();
