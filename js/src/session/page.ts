/**
 * Watches the page of a session (closing rule S7): it goes away, is cached to return later, or is frozen.
 */

import { leaveWithPage } from "../leaving.js";
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

/** Follow the page. The function returned stops it. Where there is no page, nothing happens. */
export function watchPage(watcher: PageWatcher): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const isKept = () => {
    const kept = !(CHROMIUM && watcher.connected());
    if (kept) stopTime();
    return kept;
  };
  const cause = leaveWithPage({ leave: (cause) => watcher.leave(cause), signal }, isKept);
  if (typeof document === "undefined") return () => undefined;
  const resume = (restored: boolean) => {
    goOn();
    watcher.resume(restored);
  };
  // Chromium asks a page that calls close() whether it may be closed, and then ends it without `pagehide`.
  if (CHROMIUM) addEventListener("beforeunload", () => watcher.mayLeave?.(cause()), { signal });
  addEventListener("pageshow", ({ persisted }) => persisted && resume(true), { signal });
  document.addEventListener("freeze", stopTime, { signal });
  document.addEventListener("resume", () => resume(false), { signal });
  return () => stop.abort();
}
