/** The services of the browser: time, connections, sockets, devices. Tests replace them. */

import { AdieuError } from "./errors.js";

export interface Platform {
  /** Seconds. The clock stops while the page is frozen, so that nothing is overdue when it wakes. */
  now(): number;
  /** Call back after so many seconds; the function returned cancels it. */
  later(seconds: number, call: () => void): () => void;
  makeConnection(configuration: RTCConfiguration): RTCPeerConnection;
  openSocket(url: string, protocol: string): WebSocket;
  /**
   * Wait until something answers there, or nothing can. Where it is missing, a socket is opened at once.
   *
   * Firefox goes on with a WebSocket that was closed before it was open: it tries again ever more rarely, and a new one
   * may have to wait for it. A request that is aborted is gone.
   */
  reach?: ((url: string, signal: AbortSignal) => Promise<unknown>) | undefined;
  getUserMedia(constraints: MediaStreamConstraints): Promise<MediaStream>;
  /** Send something that outlives the page. */
  beacon(url: string, body: string): void;
  /** Return a random number from [0, 1). */
  random(): number;
}

export const CHROMIUM = /Chrom(e|ium)\//.test(globalThis.navigator?.userAgent ?? "");

/** Milliseconds, 24 days: a timer of a browser that is longer ends at once. */
const MAX_TIMER = 2 ** 31 - 1;

let lost = 0;
let stoppedAt: number | undefined;

const clock = () => performance.now() / 1000;

/** Note that the page is frozen: its time stops. */
export function stopTime(): void {
  stoppedAt ??= clock();
}

/** The page is awake again. */
export function goOn(): void {
  if (stoppedAt !== undefined) lost += clock() - stoppedAt;
  stoppedAt = undefined;
}

/** Return the services of a browser; not every other program has them. */
function missing(what: string, remedy: string): AdieuError {
  return new AdieuError(`there is no ${what} here: this is no browser. ${remedy}`);
}

export const browser: Platform = {
  now: () => (stoppedAt ?? clock()) - lost,
  later(seconds, call) {
    const timer = setTimeout(call, Math.min(seconds * 1000, MAX_TIMER));
    return () => clearTimeout(timer);
  },
  makeConnection(configuration) {
    if (typeof RTCPeerConnection === "undefined") throw missing("RTCPeerConnection", "give `connect`, or a `platform`");
    return new RTCPeerConnection(configuration);
  },
  openSocket(url, protocol) {
    if (typeof WebSocket === "undefined")
      throw missing("WebSocket", "Node has it from version 22 on; or give a `platform`");
    return new WebSocket(url, protocol);
  },
  reach: CHROMIUM
    ? undefined
    : (url, signal) => fetch(url, { mode: "no-cors", cache: "no-store", signal }).catch(() => undefined),
  getUserMedia: (constraints) => navigator.mediaDevices.getUserMedia(constraints),
  beacon: (url, body) => void navigator.sendBeacon(url, body),
  random: Math.random,
};
