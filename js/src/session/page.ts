/**
 * Watches the page of a session (closing rule S7): it goes away, is cached to return later, or is frozen. `pagehide` is
 * the last event in which every browser still lets a page send.
 */

import { CHROMIUM, goOn, stopTime } from "../platform.js";

export interface PageWatcher {
  /** Whether there is a connection at this moment. */
  connected(): boolean;
  /** The page goes away for good: say so now. `cause` is one of `CAUSES`. */
  leave(cause: string): void;
  /** The page may go away, without another word. */
  mayLeave?(cause: string): void;
  /** The page is back, after it was put aside or frozen. `restored`: it was put aside, and its connections are gone. */
  resume(restored: boolean): void;
}

/** Seconds: a navigation that was announced so long ago is the reason why the page goes away. */
const ANNOUNCED = 10;

interface Navigation extends Event {
  navigationType: string;
  destination: { sameDocument: boolean };
  downloadRequest: string | null;
}

/** Follow the page. The function returned stops it. Where there is no page, nothing happens. */
export function watchPage(watcher: PageWatcher): () => void {
  if (typeof document === "undefined") return () => undefined;
  const watch = new PageWatch(watcher);
  return () => watch.stop();
}

class PageWatch {
  readonly #watcher: PageWatcher;
  readonly #stop = new AbortController();
  /** The browser's announcement of where the page goes. */
  #announced: { cause: string; at: number } | undefined;
  /** The last event that was handled to its end. */
  #done: Event | undefined;

  constructor(watcher: PageWatcher) {
    this.#watcher = watcher;
    const { signal } = this.#stop;
    // Some browsers say beforehand where the page goes; without that it counts as closed.
    const { navigation } = globalThis as { navigation?: EventTarget };
    navigation?.addEventListener("navigate", (event) => this.#announce(event as Navigation), { signal });
    // Firefox stops, without an error, the script that runs when a tab is closed: mostly the first handler, at its
    // start. So the first one does nothing, and what has not come to its end is begun again.
    addEventListener("pagehide", () => undefined, { signal });
    addEventListener("pagehide", (event) => this.#hide(event), { signal });
    addEventListener("pagehide", (event) => this.#hide(event), { signal });
    // Chromium asks a page that calls close() whether it may be closed, and then ends it without `pagehide`.
    if (CHROMIUM) addEventListener("beforeunload", () => watcher.mayLeave?.(this.#cause), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#resume(true), { signal });
    document.addEventListener("freeze", stopTime, { signal });
    document.addEventListener("resume", () => this.#resume(false), { signal });
  }

  stop(): void {
    this.#stop.abort();
  }

  #announce({ navigationType, destination, downloadRequest }: Navigation): void {
    if (destination.sameDocument || downloadRequest !== null) return;
    this.#announced = { cause: navigationType === "reload" ? "reloaded" : "navigated", at: performance.now() };
  }

  get #cause(): string {
    const announced = this.#announced;
    return announced && performance.now() - announced.at < ANNOUNCED * 1000 ? announced.cause : "tab-closed";
  }

  #hide(event: PageTransitionEvent): void {
    if (this.#done === event) return;
    // Chromium says that it keeps the page, and then drops it if it has connections.
    if (event.persisted && !(CHROMIUM && this.#watcher.connected())) return stopTime();
    this.#watcher.leave(this.#cause);
    this.#done = event;
  }

  #resume(restored: boolean): void {
    goOn();
    this.#watcher.resume(restored);
  }
}
