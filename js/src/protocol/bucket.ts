/** At the very time that `readyAt` names, `take` succeeds. */
const ROUNDING = 1e-6;

/** Tokens: full at the start, refilled at a steady rate. The same measures a client at the server. */
export class Bucket {
  #level: number;

  /**
   * @param rate tokens a second.
   * @param capacity how many it holds.
   * @param at seconds, on any clock that does not go back.
   */
  constructor(
    private readonly rate: number,
    private readonly capacity: number,
    private at: number,
  ) {
    this.#level = capacity;
  }

  /** Take one, if there is one. */
  take(now: number): boolean {
    this.#level = Math.min(this.capacity, this.#level + Math.max(0, now - this.at) * this.rate);
    this.at = Math.max(this.at, now);
    if (this.#level < 1 - ROUNDING) return false;
    this.#level--;
    return true;
  }

  /** Return the time from which `take` succeeds. */
  readyAt(): number {
    return this.at + Math.max(0, 1 - this.#level) / this.rate;
  }
}
