/** Promises that can be ended from outside, and waits that an `AbortSignal` ends. */

interface Clock {
  later(seconds: number, call: () => void): () => void;
}

/** A promise and its two ends. A rejection that nobody waits for is no error of the page. */
export class Deferred<T> {
  readonly promise: Promise<T>;
  settled = false;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.promise.catch(() => undefined);
  }

  resolve(value: T): void {
    this.settled = true;
    this.#resolve(value);
  }

  reject(error: unknown): void {
    this.settled = true;
    this.#reject(error);
  }
}

/** Wait for a promise, but no longer than until `signal` says so; then the reason of the signal is thrown. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  const aborted = new Deferred<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([aborted.promise, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Wait for a promise, but no longer than so many seconds of this clock. */
export async function within(seconds: number, clock: Clock, promise: Promise<unknown>): Promise<void> {
  const over = new Deferred<void>();
  const cancel = clock.later(seconds, () => over.resolve());
  await Promise.race([promise, over.promise]);
  cancel();
}

/** Wakes all who wait; then they look again. */
export class Wakeup {
  #next = new Deferred<void>();

  wake(): void {
    const woken = this.#next;
    this.#next = new Deferred();
    woken.resolve();
  }

  wait(signal?: AbortSignal): Promise<void> {
    return abortable(this.#next.promise, signal);
  }
}

/** A limit on concurrent tasks; the others wait for their turn, in order. */
export class Turns {
  #free: number;
  #waiting: Deferred<void>[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  /** Have a turn. */
  async do<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free) {
      this.#free--;
    } else {
      const turn = new Deferred<void>();
      this.#waiting.push(turn);
      await turn.promise;
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next.resolve();
      else this.#free++;
    }
  }
}

/** Tell the page about an error that belongs to nobody who waits. */
export function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else console.error(error);
}
