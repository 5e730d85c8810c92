/** Links to rooms. The room comes after the `#`. Browsers do not send that part, so no server reads or logs it. */

// No letters that look or sound alike.
const LETTERS = "abcdefghkmnpqrstuvwxyz23456789";
const GROUPS = 3;
const GROUP = 4;
/** The longest name that a server accepts. */
export const MAX_ROOM = 128;

/** Return the room that an address names; empty if it names no room. */
export function roomOf({ hash }: { hash: string }): string {
  try {
    return decodeURIComponent(hash.slice(1)).trim().slice(0, MAX_ROOM);
  } catch {
    return ""; // not an encoded text
  }
}

/** Return the address to give to others. */
export function linkTo(room: string, place: { href: string }): string {
  const url = new URL(place.href);
  url.search = "";
  url.hash = encodeURIComponent(room);
  return url.href;
}

/** Make a name that nobody can guess and people can read aloud: `k3fp-9xqa-m2ht`. */
export function newRoom(): string {
  const group = () => Array.from({ length: GROUP }, letter).join("");
  return Array.from({ length: GROUPS }, group).join("-");
}

function letter(): string {
  // Every letter is equally likely: draws beyond the last whole run of letters are discarded.
  const runs = Math.floor(256 / LETTERS.length) * LETTERS.length;
  for (;;) {
    const [draw = 0] = crypto.getRandomValues(new Uint8Array(1));
    if (draw < runs) return LETTERS[draw % LETTERS.length]!;
  }
}

/** Return the server of the page. */
export function serverOf(place: { href: string }): string {
  const url = new URL("ws", place.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  return url.href;
}

/** Return the address of this page for other devices in the network, if the server listens there; otherwise nothing. */
export async function networkAddress(place: { href: string }, load: typeof fetch = fetch): Promise<string> {
  try {
    const answer = await load(new URL("v1/address", place.href));
    const { address } = answer.ok ? ((await answer.json()) as { address?: unknown }) : {};
    return typeof address === "string" && /^https?:\/\//.test(address) && URL.canParse(address) ? address : "";
  } catch {
    return ""; // another server, or it is away
  }
}

/** Whether an address works on this computer only. */
export function isLocal({ hostname }: { hostname: string }): boolean {
  return hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
}
