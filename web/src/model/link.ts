/** Links to rooms. The room stands behind the `#`, which browsers keep to themselves: no server reads or logs it. */

// No letters that look or sound alike.
const LETTERS = "abcdefghkmnpqrstuvwxyz23456789";
const GROUPS = 3;
const GROUP = 4;
/** What a server takes. */
export const MAX_ROOM = 128;

/** The name of the room that an address names; empty if it names none. */
export function roomOf({ hash }: { hash: string }): string {
  try {
    return decodeURIComponent(hash.slice(1)).trim().slice(0, MAX_ROOM);
  } catch {
    return ""; // no text that was ever encoded so
  }
}

/** The address to give to others. */
export function linkTo(room: string, place: { href: string }): string {
  const url = new URL(place.href);
  url.search = "";
  url.hash = encodeURIComponent(room);
  return url.href;
}

/** A name that nobody guesses, and that can be read out: `k3fp-9xqa-m2ht`. */
export function newRoom(): string {
  const group = () => Array.from({ length: GROUP }, letter).join("");
  return Array.from({ length: GROUPS }, group).join("-");
}

function letter(): string {
  // Each letter is as likely as any other: draws beyond the last whole run of them do not count.
  const runs = Math.floor(256 / LETTERS.length) * LETTERS.length;
  for (;;) {
    const [draw = 0] = crypto.getRandomValues(new Uint8Array(1));
    if (draw < runs) return LETTERS[draw % LETTERS.length]!;
  }
}

/** The server that the page came from. */
export function serverOf(place: { href: string }): string {
  const url = new URL("ws", place.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url.href;
}

/** Whether an address works on this computer only. */
export function isLocal({ hostname }: { hostname: string }): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}
