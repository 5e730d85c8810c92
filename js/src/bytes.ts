/** Small things that bytes and text need everywhere. */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** UTF-8. Half of a surrogate pair becomes U+FFFD. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text) as Uint8Array<ArrayBuffer>;
}

/** Decode UTF-8; malformed bytes become U+FFFD. */
export function fromUtf8(data: Uint8Array): string {
  return decoder.decode(data);
}

/** A text that can be sent: at most `most` units long, no half of a surrogate pair. */
export function sendable(text: string, most = text.length): string {
  return fromUtf8(utf8(text.slice(0, most)));
}

export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

/** The same for all texts in a value that JSON can hold. */
export function sendableJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value), (_, member) => {
    if (typeof member === "string") return sendable(member);
    if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).map(([name, inner]) => [sendable(name), inner]));
  });
}

/**
 * A name of the page's choice, as it can be sent.
 *
 * @param what it is, for the error.
 * @throws TypeError it is no text, too short, or too long; says the value and the bound.
 */
export function checked(what: string, name: string, least: number, most: number): string {
  if (typeof name !== "string") throw new TypeError(`${what} must be text, not ${typeof name}`);
  const { length } = [...name];
  if (length < least || length > most) {
    const bound = least ? `${least} to ${most}` : `at most ${most}`;
    throw new TypeError(`${what} must have ${bound} characters, not ${length}: ${sendable(name, 40)}`);
  }
  return sendable(name);
}

export function hex(data: Uint8Array): string {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function concat(pieces: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** The order of Unicode's code points, which is not that of JavaScript's units. */
export function compare(one: string, other: string): number {
  const a = [...one];
  const b = [...other];
  for (let at = 0; at < a.length && at < b.length; at++) {
    const difference = a[at]!.codePointAt(0)! - b[at]!.codePointAt(0)!;
    if (difference) return difference;
  }
  return a.length - b.length;
}
