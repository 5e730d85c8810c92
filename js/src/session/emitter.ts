/** Handlers of a session, a room, a transfer: `addEventListener`, plain or async functions, one after the other. */

import { Deferred, report } from "../promises.js";
import { type Held, held, whereMade } from "./ledger.js";

export type Handler<E> = (event: E) => unknown;

export interface ListenerOptions {
  /** Removes the handler when it is aborted. */
  signal?: AbortSignal;
  /** Removes the handler after its first event. */
  once?: boolean;
}

interface Listener {
  type: PropertyKey;
  handler: Handler<never>;
  once: boolean;
  where: string;
}

/** Something that handlers get, and one of them answers. */
interface HandedOut {
  readonly over: boolean;
  /** Set while a handler has it: the handler need not be waited for any longer, it may have waited itself before. */
  settle?: (() => void) | undefined;
}

/** Settles the handler that runs at this moment. */
let settleRunning: (() => void) | undefined;

/** The handler that calls this waits for the session itself: do not wait for it. */
export function settleCurrent(): void {
  settleRunning?.();
}

/**
 * Keeps handlers by the name of their event, and runs those of one event after those of the event before. A promise
 * that a handler returns is awaited. An exception of a handler is reported to the page, and stops no other handler.
 */
export class Emitter<Events extends object> {
  #listeners: Listener[] = [];
  #running: Promise<void> = Promise.resolve();
  readonly #owner: string;
  readonly #names: readonly string[];

  /**
   * @param owner whose events these are, for errors.
   * @param names of all of its events.
   */
  constructor(owner: string, names: Record<keyof Events, true>) {
    this.#owner = owner;
    this.#names = Object.keys(names);
  }

  /**
   * Add a handler.
   *
   * @throws TypeError there is no such event (the message lists those there are), or the handler is no function.
   */
  addEventListener<K extends keyof Events>(
    type: K,
    handler: Handler<Events[K]>,
    { signal, once = false }: ListenerOptions = {},
  ): void {
    if (!this.#names.includes(String(type))) {
      throw new TypeError(`${this.#owner} has no event ${String(type)}; it has ${this.#names.join(", ")}`);
    }
    if (typeof handler !== "function") throw new TypeError(`a handler is a function, not ${typeof handler}`);
    if (signal?.aborted || this.#listeners.some((known) => known.type === type && known.handler === handler)) return;
    this.#listeners.push({ type, handler, once, where: whereMade() });
    signal?.addEventListener("abort", () => this.removeEventListener(type, handler), { once: true });
  }

  /** Remove a handler; one that is not there is no error. */
  removeEventListener<K extends keyof Events>(type: K, handler: Handler<Events[K]>): void {
    this.#listeners = this.#listeners.filter((known) => known.type !== type || known.handler !== handler);
  }

  /** Whether anybody listens. */
  protected has(type: keyof Events): boolean {
    return this.#listeners.some((known) => known.type === type);
  }

  /** The handlers, each with the line that added it. */
  get handlers(): Held[] {
    return this.#listeners.map(({ type, where }) => held("listener", `of ${String(type)} of ${this.#owner}`, where));
  }

  /** Forget all handlers. */
  protected clear(): void {
    this.#listeners = [];
  }

  /**
   * Have the handlers run, soon; the promise is fulfilled when all of them have settled.
   *
   * @param apart they need not wait for the handlers of the events before.
   * @param thing what is handed out: if it is over when their turn has come, no handler is called.
   */
  protected emit<K extends keyof Events>(type: K, event: Events[K], apart = false, thing?: HandedOut): Promise<void> {
    const running = (apart ? Promise.resolve() : this.#running).then(async () => {
      if (thing?.over) return;
      for (const listener of this.#listeners.filter((known) => known.type === type)) {
        if (listener.once) this.#listeners = this.#listeners.filter((known) => known !== listener);
        await handle(listener.handler as Handler<Events[K]>, event, thing);
      }
    });
    if (!apart) this.#running = running;
    return running;
  }

  /** All that was emitted has been handled. */
  protected get settled(): Promise<void> {
    return this.#running;
  }
}

async function handle<E>(handler: Handler<E>, event: E, thing: Partial<HandedOut> = {}): Promise<void> {
  const settled = new Deferred<void>();
  settleRunning = thing.settle = () => settled.resolve();
  let result: unknown;
  try {
    result = handler(event);
  } catch (error) {
    report(error);
  } finally {
    settleRunning = undefined;
  }
  await Promise.race([settled.promise, Promise.resolve(result).catch(report)]);
}
