/** Options and timeouts as callers give them. */

import { sendable } from "../bytes.js";

/** Return the options of `close` or `reset`; a text alone sets the main option. */
export function optionsOf<T extends object>(call: string, member: keyof T & string, given: T | string): T {
  if (typeof given === "string") return { [member]: given } as T;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${call}(${String(given)}): an object with options, or the ${member} as text`);
  }
  return given;
}

/** The options of a close; that of a channel has no `media`. */
interface Closing {
  reason?: string;
  media?: "finish" | "cut";
  timeout?: number;
  signal?: AbortSignal | undefined;
}

/**
 * Return the options of a close: the reason as it can be sent, the time as seconds.
 *
 * @param otherwise seconds, where no timeout is given.
 * @throws RangeError the timeout is negative, or has no end. TypeError: the reason is not text, or there is no such
 * `media`.
 */
export function closeOptionsOf(given: Closing | string, otherwise: number) {
  const options = optionsOf<Closing>("close", "reason", given);
  const { reason = "", timeout, signal, media = "finish" } = options;
  const seconds = timeout === undefined ? otherwise : secondsOf("timeout", timeout);
  if (typeof reason !== "string") throw new TypeError(`a reason must be text, not ${typeof reason}`);
  checkWord("media", media, "finish", "cut");
  return { reason: sendable(reason, 1024), seconds, signal, media };
}

/**
 * Return milliseconds as seconds.
 *
 * @throws RangeError they are negative, or have no end.
 */
export function secondsOf(what: string, milliseconds: number): number {
  if (milliseconds >= 0 && milliseconds < Number.POSITIVE_INFINITY) return milliseconds / 1000;
  throw new RangeError(`${what}=${milliseconds}: 0 or more milliseconds`);
}

/**
 * Require one of some words.
 *
 * @throws TypeError it is another; says the value, and the words.
 */
export function checkWord(what: string, given: unknown, ...words: string[]): void {
  if (words.includes(given as string)) return;
  throw new TypeError(`${what} must be "${words.join('" or "')}", not "${String(given)}"`);
}
