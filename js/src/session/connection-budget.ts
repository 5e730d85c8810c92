/**
 * Chromium allows a page 500 connections, and counts closed ones until it has collected them, which it does not do for
 * their sake. So they are counted here, collection is provoked in time, and before the limit there is a clear error.
 */

import { TooManyConnectionsError } from "../errors.js";
import { CHROMIUM } from "../platform.js";

/** The number from which garbage collection is provoked. */
export const PROVOKE = 350;
/** The number from which no connection is made. */
export const LIMIT = 480;
/** Connections made since the last attempt to collect, before the next. */
const AGAIN = 25;
/** Provoke it with small objects that live for a while, until the browser collects. */
const SLICE_MS = 25;
const BATCH = 10_000;
const ENOUGH = 800;

export interface BudgetInit {
  /** Connections that a page may have; Infinity where the browser does not count. */
  limit?: number;
  /** Run a piece of work soon, after what waits. */
  soon?: (work: () => void) => void;
  now?: () => number;
}

/** The connections of one page: made and not yet collected. */
export class ConnectionBudget {
  /** Made and not collected: those that are open, and those that are closed and not gone. */
  used = 0;
  readonly limit: number;
  readonly #soon: (work: () => void) => void;
  readonly #now: () => number;
  readonly #registry = new FinalizationRegistry<void>(() => this.used--);
  #made = 0;
  #provokedAt = Number.NEGATIVE_INFINITY;
  #provoking = false;

  constructor({
    limit = LIMIT,
    soon = (work) => void setTimeout(work),
    now = () => performance.now(),
  }: BudgetInit = {}) {
    this.limit = limit;
    this.#soon = soon;
    this.#now = now;
  }

  /** Whether so few connections are left that an open one should be kept. */
  get tight(): boolean {
    return this.used >= PROVOKE && this.limit < Number.POSITIVE_INFINITY;
  }

  /**
   * Make one and count it.
   *
   * @throws TooManyConnectionsError the page has used up what the browser gives it: reload it.
   */
  make(connect: () => RTCPeerConnection): RTCPeerConnection {
    if (this.tight) this.#provoke();
    if (this.used >= this.limit) throw new TooManyConnectionsError(tooMany(this.used));
    let pc: RTCPeerConnection;
    try {
      pc = connect();
    } catch (error) {
      // The page may have made others of its own.
      if ((error as Error).name === "UnknownError") throw new TooManyConnectionsError(tooMany(this.used));
      throw error;
    }
    this.used++;
    this.#made++;
    this.#registry.register(pc, undefined);
    return pc;
  }

  #provoke(): void {
    if (this.#provoking || this.#made < this.#provokedAt + AGAIN) return;
    this.#provoking = true;
    this.#provokedAt = this.#made;
    const before = this.used;
    const garbage: object[][] = [];
    let batches = 0;
    const slice = () => {
      const until = this.#now() + SLICE_MS;
      while (this.#now() < until && batches < ENOUGH) {
        garbage.push(Array.from({ length: BATCH }, (_, index) => ({ index })));
        if (garbage.length > ENOUGH / 8) garbage.length = 0;
        batches++;
      }
      if (batches < ENOUGH && this.used > before - AGAIN) this.#soon(slice);
      else this.#provoking = false;
    };
    this.#soon(slice);
  }
}

function tooMany(used: number): string {
  return (
    `this page has made ${used} connections that the browser still counts, though most are closed; ` +
    "reload the page, which starts the count again"
  );
}

/** The budget of this page. */
export const connectionBudget = new ConnectionBudget({
  limit: CHROMIUM ? LIMIT : Number.POSITIVE_INFINITY,
});
