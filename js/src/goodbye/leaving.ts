/** How a page goes away. `pagehide` is the last moment at which every browser still lets a page speak. */

import { CHROMIUM } from "../platform.js";

/** Milliseconds: a navigation that was announced so long ago is the reason why the page goes away. */
const ANNOUNCED = 10_000;

/** Somebody who leaves with the page. */
export interface Leaver {
  /** The page goes away for good: say so now. */
  leave(cause: string): void;
  readonly signal: AbortSignal;
}

/** Have somebody leave with the page, as long as its signal is not aborted. */
export function leaveWithPage(leaver: Leaver): void {
  const { signal } = leaver;
  let announced: { cause: string; at: number } | undefined;
  // Some browsers say beforehand where the page goes; without that it counts as closed.
  (globalThis as { navigation?: EventTarget }).navigation?.addEventListener(
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
  const cause = () => (announced && performance.now() - announced.at < ANNOUNCED ? announced.cause : "tab-closed");
  let done: Event | undefined;
  const hide = (event: PageTransitionEvent) => {
    // A page that is kept may come back. Chromium says that it keeps it, and then drops it if it has connections.
    if (done === event || (event.persisted && !CHROMIUM)) return;
    leaver.leave(cause());
    done = event;
  };
  // Firefox stops, without an error, the script that runs when a tab is closed: mostly the first handler, at its start.
  // So the first one does nothing, and what has not come to its end is begun again.
  for (const handler of [() => undefined, hide, (event: PageTransitionEvent) => hide(event)])
    addEventListener("pagehide", handler, { signal });
}
