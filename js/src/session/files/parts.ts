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
    const data = new Uint8Array(await this.file.slice(at, at + size).arrayBuffer());
    return concat([data, await this.#hash(`${at} ${size}`, () => digest(data))]);
  }

  /** The hash of a chunk that the other side has already. */
  skip(at: number, size: number): Promise<Bytes> {
    return this.#hash(`${at} ${size}`, async () =>
      digest(new Uint8Array(await this.file.slice(at, at + size).arrayBuffer())),
    );
  }

  #hash(at: string, make: () => Promise<Bytes>): Promise<Bytes> {
    const hash = this.#chunks.get(at) ?? make();
    this.#chunks.set(at, hash);
    hash.catch(() => this.#chunks.delete(at));
    return hash;
  }
}

const sources = new WeakMap<Blob, Source>();
