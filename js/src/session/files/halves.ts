/** The parts of received files that the page keeps. */

import { over } from "../../sha256.js";

const MAX_HALVES = 4;

type Bytes = Uint8Array<ArrayBuffer>;

/** The verified part of a file. */
export class Half {
  pieces: Blob[] = [];
  size = 0;
  readonly hashes: Bytes[] = [];

  /** `held`: it is not written elsewhere. */
  add(data: Uint8Array, hash?: Bytes, held = true): void {
    // A Blob: the browser may keep it elsewhere than in memory.
    if (held) this.pieces.push(new Blob([data as BlobPart]));
    this.size += data.length;
    if (hash) this.hashes.push(hash);
  }

  /** The hash over the hashes of the chunks. */
  get proof(): string {
    return over(this.hashes);
  }
}

/** The parts that ended sessions have left, by the key of the file. */
const halves = new Map<string, Half>();

/** Return what is here of a file, and a new half if that is nothing: one transfer at a time goes on with it. */
export function takeHalf(key: string, size: number): Half {
  const known = halves.get(key);
  halves.delete(key);
  return known && known.size <= size ? known : new Half();
}

/** Keep it for the next transfer; one without a key is not kept. */
export function keepHalf(key: string, half: Half): void {
  if (!key || (halves.get(key)?.size ?? 0) >= half.size) return;
  halves.set(key, half);
  for (const oldest of halves.keys()) {
    if (halves.size <= MAX_HALVES) break;
    halves.delete(oldest);
  }
}
