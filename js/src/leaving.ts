/** How a page goes away. `pagehide` is the last event in which every browser still lets a page send. */

import { CHROMIUM } from "./platform.js";

/** Milliseconds: a navigation that was announced so long ago is the reason why the page goes away. */
const ANNOUNCED = 10_000;

/** An object that leaves with the page. */
export interface Leaver {
  /** The page goes away for good: say so now. */
  leave(cause: string): void;
  readonly signal: AbortSignal;
}

interface Navigation extends Event {
  navigationType: string;
  destination: { sameDocument: boolean };
  downloadRequest: string | null;
}

/**
 * Have an object leave with the page, until its signal is aborted. Where there is no page, nothing happens.
 *
 * @param isKept whether a page stays that the browser says it caches; Chromium caches no page that has connections
 * @returns the cause, if the page went away now.
 */
export function leaveWithPage(leaver: Leaver, isKept = () => !CHROMIUM): () => string {
  const { signal } = leaver;
  let announced: { cause: string; at: number } | undefined;
  const cause = () => (announced && performance.now() - announced.at < ANNOUNCED ? announced.cause : "tab-closed");
  if (typeof document === "undefined") return cause;
  // Some browsers say beforehand where the page goes; without that it counts as closed.
  (globalThis as { navigation?: EventTarget }).navigation?.addEventListener(
    "navigate",
    (event) => {
      const { navigationType, destination, downloadRequest } = event as Navigation;
      if (destination.sameDocument || downloadRequest !== null) return;
      announced = { cause: navigationType === "reload" ? "reloaded" : "navigated", at: performance.now() };
    },
    { signal },
  );
  let done: Event | undefined;
  const hide = (event: PageTransitionEvent) => {
    if (done === event || (event.persisted && isKept())) return;
    leaver.leave(cause());
    done = event;
  };
  // Firefox stops, without an error, the script that runs when a tab is closed: mostly the first handler, at its start.
  // So the first one does nothing, and a handler that did not come to its end is run again.
  for (const handler of [() => undefined, hide, (event: PageTransitionEvent) => hide(event)])
    addEventListener("pagehide", handler, { signal });
  return cause;
}
