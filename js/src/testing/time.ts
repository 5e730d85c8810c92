/** Time for tests: it passes only when a test says so, and only when everything that waits for nothing else is done. */

import type { Platform } from "../platform.js";

interface Timer {
  when: number;
  number: number;
  call: () => void;
}

/** Time that passes only when a test says so. */
export class VirtualTime {
  /** Seconds since the beginning. */
  now = 0;
  #timers: Timer[] = [];
  #count = 0;

  /** Call back after so many seconds; the function returned cancels it. */
  later(seconds: number, call: () => void): () => void {
    const timer = { when: this.now + Math.max(0, seconds), number: this.#count++, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.length;
  }

  /** Let `seconds` pass. */
  async pass(seconds: number): Promise<void> {
    const end = this.now + seconds;
    for (;;) {
      await settled();
      const next = this.#timers.sort((a, b) => a.when - b.when || a.number - b.number)[0];
      if (!next || next.when > end) break;
      this.#timers.shift();
      this.now = Math.max(this.now, next.when);
      next.call();
    }
    this.now = end;
  }

  /** Let time pass until a promise is settled; its value. */
  async until<T>(promise: Promise<T>, limit = 120): Promise<T> {
    let done = false;
    const mark = () => {
      done = true;
    };
    promise.then(mark, mark);
    for (const end = this.now + limit; !done && this.now < end; ) {
      await settled();
      if (!done) await this.pass(0.005);
    }
    if (!done) throw new Error(`not settled within ${limit} s`);
    return promise;
  }

  /** Return a platform on this time; the services that it does not have throw. */
  platform(more: Partial<Platform> = {}): Platform {
    const absent = (): never => {
      throw new Error("this test has no such service");
    };
    return {
      now: () => this.now,
      later: (seconds, call) => this.later(seconds, call),
      makeConnection: absent,
      openSocket: absent,
      getUserMedia: absent,
      beacon: absent,
      random: () => 0.5,
      ...more,
    };
  }
}

/** A turn of the event loop, after all promises that wait for nothing. */
const turn: (call: () => void) => unknown =
  (globalThis as { setImmediate?: (call: () => void) => unknown }).setImmediate ?? ((call) => setTimeout(call));

/** Everything that waits for nothing but its turn is done. */
export function settled(): Promise<void> {
  return new Promise((resolve) => turn(resolve));
}
