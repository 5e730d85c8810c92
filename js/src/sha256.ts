/**
 * SHA-256 (FIPS 180-4), a piece at a time, for ids, which are needed at once, and for workers (`hashing.ts`). The
 * platform's own takes whole messages only, answers later, and is absent on pages without TLS.
 */

import { hex } from "./bytes.js";

/** Takes bytes; the digest ends it. */
export interface Hash {
  add(data: Uint8Array): void;
  digest(): Uint8Array<ArrayBuffer>;
}

/**
 * Makes hashes. A worker gets the text of this function: it uses nothing from outside of itself, and no class, which a
 * compiler for old browsers would turn into calls of helpers.
 */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: it is a module of its own, as a worker's text
export function hasher(): () => Hash {
  const BLOCK = 64;
  // Sections 4.2.2 and 5.3.3: of the first primes, the fractional parts of the cube and square roots.
  const K = new Int32Array(64);
  const H = new Int32Array(8);
  const fraction = (x: number) => ((x - Math.floor(x)) * 2 ** 32) | 0;
  for (let candidate = 2, found = 0; found < 64; candidate++) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor) divisor++;
    if (divisor * divisor <= candidate) continue;
    if (found < 8) H[found] = fraction(Math.sqrt(candidate));
    K[found++] = fraction(Math.cbrt(candidate));
  }
  const w = new Int32Array(64);

  // Section 6.2.2, with the rotations written out: this is where the time goes.
  const blocks = (state: Int32Array, data: Uint8Array, from: number, to: number) => {
    for (let at = from; at + BLOCK <= to; at += BLOCK) {
      for (let t = 0, p = at; t < 16; t++, p += 4) {
        w[t] = (data[p]! << 24) | (data[p + 1]! << 16) | (data[p + 2]! << 8) | data[p + 3]!;
      }
      for (let t = 16; t < 64; t++) {
        const x = w[t - 15]!;
        const y = w[t - 2]!;
        const zero = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
        const one = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
        w[t] = (w[t - 16]! + zero + w[t - 7]! + one) | 0;
      }
      let a = state[0]!;
      let b = state[1]!;
      let c = state[2]!;
      let d = state[3]!;
      let e = state[4]!;
      let f = state[5]!;
      let g = state[6]!;
      let h = state[7]!;
      for (let t = 0; t < 64; t++) {
        const sum1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const one = (h + sum1 + ((e & f) ^ (~e & g)) + K[t]! + w[t]!) | 0;
        const sum0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const two = (sum0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        h = g;
        g = f;
        f = e;
        e = (d + one) | 0;
        d = c;
        c = b;
        b = a;
        a = (one + two) | 0;
      }
      state[0]! += a;
      state[1]! += b;
      state[2]! += c;
      state[3]! += d;
      state[4]! += e;
      state[5]! += f;
      state[6]! += g;
      state[7]! += h;
    }
  };

  return () => {
    const state = H.slice();
    const rest = new Uint8Array(BLOCK);
    let filled = 0;
    let length = 0;
    const add = (data: Uint8Array) => {
      length += data.length;
      let at = 0;
      if (filled) {
        at = Math.min(BLOCK - filled, data.length);
        rest.set(data.subarray(0, at), filled);
        filled += at;
        if (filled < BLOCK) return;
        blocks(state, rest, 0, BLOCK);
      }
      const end = data.length - ((data.length - at) % BLOCK);
      blocks(state, data, at, end);
      rest.set(data.subarray(end));
      filled = data.length - end;
    };
    const digest = () => {
      // Section 5.1.1: a one bit, zeros, and the length in bits as 64 bits.
      const padding = new Uint8Array((filled < 56 ? 56 : 120) - filled + 8);
      const view = new DataView(padding.buffer);
      padding[0] = 0x80;
      view.setUint32(padding.length - 8, Math.floor(length / 2 ** 29));
      view.setUint32(padding.length - 4, length * 8);
      add(padding);
      const result = new DataView(new ArrayBuffer(32));
      for (let n = 0; n < 8; n++) result.setInt32(4 * n, state[n]!);
      return new Uint8Array(result.buffer);
    };
    return { add, digest };
  };
}

const make = hasher();

/** An incremental hash. */
export class Sha256 {
  readonly #hash = make();

  /** Add bytes. */
  add(data: Uint8Array): this {
    this.#hash.add(data);
    return this;
  }

  /** The hash, in hex; nothing may be added after it. */
  hex(): string {
    return hex(this.#hash.digest());
  }
}

/** The hash over some hashes, hex: the proof of a file is that over its chunks. */
export function over(hashes: Iterable<Uint8Array>): string {
  const proof = new Sha256();
  for (const hash of hashes) proof.add(hash);
  return proof.hex();
}
