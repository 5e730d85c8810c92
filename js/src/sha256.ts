/**
 * SHA-256 (FIPS 180-4), a piece at a time. The platform's own takes whole messages only, answers later, and is absent
 * on pages without TLS; a file is hashed while it is read, and ids are needed at once.
 */

const BLOCK = 64;
/** Section 4.2.2 and 5.3.3: of the first primes, the fractional parts of the cube and square roots. */
const K = new Uint32Array(64);
const H = new Uint32Array(8);
fill();

function fill(): void {
  const fraction = (x: number) => (x - Math.floor(x)) * 2 ** 32;
  for (let candidate = 2, found = 0; found < 64; candidate++) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor) divisor++;
    if (divisor * divisor <= candidate) continue;
    if (found < 8) H[found] = fraction(Math.sqrt(candidate));
    K[found++] = fraction(Math.cbrt(candidate));
  }
}

/** A hash that grows with what is added to it. */
export class Sha256 {
  #state = H.slice();
  #rest = new Uint8Array(BLOCK);
  #filled = 0;
  #length = 0;
  #words = new Uint32Array(64);

  /** Add bytes. */
  add(data: Uint8Array): this {
    this.#length += data.length;
    let at = 0;
    if (this.#filled) {
      at = Math.min(BLOCK - this.#filled, data.length);
      this.#rest.set(data.subarray(0, at), this.#filled);
      this.#filled += at;
      if (this.#filled < BLOCK) return this;
      this.#block(this.#rest, 0);
    }
    for (; at + BLOCK <= data.length; at += BLOCK) this.#block(data, at);
    this.#rest.set(data.subarray(at));
    this.#filled = data.length - at;
    return this;
  }

  /** The hash, in hex; nothing may be added after it. */
  hex(): string {
    // Section 5.1.1: a one bit, zeros, and the length in bits as 64 bits.
    const length = this.#length;
    const padding = new Uint8Array((this.#filled < 56 ? 56 : 120) - this.#filled + 8);
    padding[0] = 0x80;
    const view = new DataView(padding.buffer);
    view.setUint32(padding.length - 8, Math.floor(length / 2 ** 29));
    view.setUint32(padding.length - 4, length * 8);
    this.add(padding);
    return Array.from(this.#state, (word) => word.toString(16).padStart(8, "0")).join("");
  }

  /** Section 6.2.2. */
  #block(data: Uint8Array, at: number): void {
    const w = this.#words;
    const view = new DataView(data.buffer, data.byteOffset + at, BLOCK);
    for (let t = 0; t < 16; t++) w[t] = view.getUint32(4 * t);
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15]!;
      const y = w[t - 2]!;
      w[t] =
        w[t - 16]! +
        (rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3)) +
        w[t - 7]! +
        (rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = this.#state as unknown as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    for (let t = 0; t < 64; t++) {
      const one = (h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & f) ^ (~e & g)) + K[t]! + w[t]!) | 0;
      const two = ((rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, index) => {
      this.#state[index]! += word;
    });
  }
}

function rotated(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
