/**
 * What happens to the page that a session lives in (closing rule S7): it goes away, is put aside to come back later, or
 * is frozen. `pagehide` is the last moment at which every browser still lets a page speak.
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

/** Follow the page. The function returned stops it. Where there is no page, nothing happens. */
export function watchPage(watcher: PageWatcher): () => void {
  if (typeof document === "undefined") return () => undefined;
  const stop = new AbortController();
  const { signal } = stop;
  let announced: { cause: string; at: number } | undefined;
  // Some browsers say beforehand where the page goes; without that it counts as closed.
  const navigation = (globalThis as { navigation?: EventTarget }).navigation;
  navigation?.addEventListener(
    "navigate",
    (event) => {
      const { navigationType, destination, downloadRequest } = event as Event & {
        navigationType: string;
        destination: { sameDocument: boolean };
        downloadRequest: string | null;
      };
      if (destination.sameDocument || downloadRequest !== null) return;
      announced = { cause: navigationType === "reload" ? "reloaded" : "navigated", at: performance.now() };
    },
    { signal },
  );
  const cause = () =>
    announced && performance.now() - announced.at < ANNOUNCED * 1000 ? announced.cause : "tab-closed";
  let done: Event | undefined;
  const hide = (event: PageTransitionEvent) => {
    if (done === event) return;
    // Chromium says that it keeps the page, and then drops it if it has connections.
    if (event.persisted && !(CHROMIUM && watcher.connected())) return stopTime();
    watcher.leave(cause());
    done = event;
  };
  // Firefox stops, without an error, the script that runs when a tab is closed: mostly the first handler, at its start.
  // So the first one does nothing, and what has not come to its end is begun again.
  addEventListener("pagehide", () => undefined, { signal });
  addEventListener("pagehide", hide, { signal });
  addEventListener("pagehide", (event) => hide(event), { signal });
  // Chromium asks a page that calls close() whether it may be closed, and then ends it without `pagehide`.
  if (CHROMIUM) addEventListener("beforeunload", () => watcher.mayLeave?.(cause()), { signal });
  addEventListener(
    "pageshow",
    ({ persisted }) => {
      if (!persisted) return;
      goOn();
      watcher.resume(true);
    },
    { signal },
  );
  document.addEventListener("freeze", stopTime, { signal });
  document.addEventListener(
    "resume",
    () => {
      goOn();
      watcher.resume(false);
    },
    { signal },
  );
  return () => stop.abort();
}
