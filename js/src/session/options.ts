/** Options and timeouts as callers give them. */

/** Return the options of `close` or `reset`; a text alone sets the main option. */
export function optionsOf<T extends object>(call: string, member: keyof T & string, given: T | string): T {
  if (typeof given === "string") return { [member]: given } as T;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`${call}(${String(given)}): an object with options, or the ${member} as text`);
  }
  return given;
}

/**
 * Return a timeout in seconds.
 *
 * @throws RangeError it is negative, or has no end.
 */
export function secondsOf(milliseconds: number | undefined, otherwise: number): number {
  const seconds = milliseconds === undefined ? otherwise : milliseconds / 1000;
  if (seconds >= 0 && seconds < Number.POSITIVE_INFINITY) return seconds;
  throw new RangeError(`timeout=${milliseconds}: 0 or more milliseconds`);
}
