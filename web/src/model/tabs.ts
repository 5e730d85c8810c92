/** Allows one tab of a browser in a room at a time, unless the person wants two. */

/** Milliseconds to wait for a reloading page that still holds the room. */
const RELOAD = 400;
/** Milliseconds that the other tab may take to say goodbye. */
const GOODBYE = 8000;

const keyOf = (room: string) => `adieu room ${room}`;

/** The lock of this tab on a room. */
export class Place {
  readonly #room: string;
  #release: (() => void) | undefined;
  #channel: BroadcastChannel | undefined;

  constructor(room: string) {
    this.#room = room;
  }

  /**
   * Take the lock.
   *
   * @param leave called when another tab wants the lock: leave the room.
   * @returns false if another tab of this browser has it.
   */
  async take(leave: () => Promise<void>, patience = RELOAD): Promise<boolean> {
    if (!(await this.#lock(patience))) return false;
    this.#channel = channelOf(this.#room);
    this.#channel?.addEventListener("message", () => {
      void leave().finally(() => this.free());
    });
    return true;
  }

  /** Make the other tab leave, and take its lock. */
  takeOver(leave: () => Promise<void>): Promise<boolean> {
    const channel = channelOf(this.#room);
    channel?.postMessage("leave");
    return this.take(leave, GOODBYE).finally(() => channel?.close());
  }

  /** Release the lock. */
  free(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  /** Without locks in the browser, no tab is kept out. */
  async #lock(patience: number): Promise<boolean> {
    const { locks } = navigator;
    if (!locks) return true;
    const taken = new Promise<void>((resolve, reject) => {
      locks
        .request(keyOf(this.#room), { signal: AbortSignal.timeout(patience) }, () => {
          resolve();
          return new Promise<void>((release) => {
            this.#release = release;
          });
        })
        .catch(reject);
    });
    try {
      await taken;
      return true;
    } catch (error) {
      return !["AbortError", "TimeoutError"].includes((error as Error).name);
    }
  }
}

function channelOf(room: string): BroadcastChannel | undefined {
  try {
    return new BroadcastChannel(keyOf(room));
  } catch {
    return undefined; // storage is blocked
  }
}
