/** Web addresses in chat messages. */

/** A part of a text; with `href`, a link. */
export interface Part {
  text: string;
  href?: string;
}

// No control characters and no marks that change the reading direction: the shown address is the real one.
const ADDRESS = /https?:\/\/[^\s\p{C}<>"“”«»]+/giu;
/** Punctuation that belongs to the sentence if it ends an address. */
const AFTER = /[.,:;!?'’…*_]$/u;
const PAIRS: Record<string, string> = { ")": "(", "]": "[", "}": "{" };
/** The most letters of an address. */
const MAX = 2048;

/** Return the parts of a text; addresses have `href`. Only http and https count, and no address with a user name. */
export function parts(text: string): Part[] {
  const found: Part[] = [];
  let end = 0;
  for (const { index, 0: match } of text.matchAll(ADDRESS)) {
    const address = trimmed(match);
    const href = address.length > MAX ? undefined : target(address);
    if (!href) continue;
    if (index > end) found.push({ text: text.slice(end, index) });
    found.push({ text: address, href });
    end = index + address.length;
  }
  if (end < text.length) found.push({ text: text.slice(end) });
  return found;
}

/** Without what belongs to the sentence: "(see https://example.org/a_(b))." has "https://example.org/a_(b)". */
function trimmed(match: string): string {
  const open = new Map(Object.values(PAIRS).map((one) => [one, 0]));
  for (const letter of match) if (open.has(letter)) open.set(letter, open.get(letter)! + 1);
  const closed = new Map<string, number>();
  for (const letter of match) if (letter in PAIRS) closed.set(letter, (closed.get(letter) ?? 0) + 1);
  let end = match.length;
  for (; end > 0; end--) {
    const last = match[end - 1]!;
    if (AFTER.test(last)) continue;
    const pair = PAIRS[last];
    if (pair === undefined || closed.get(last)! <= open.get(pair)!) break;
    closed.set(last, closed.get(last)! - 1);
  }
  return match.slice(0, end);
}

/** "https://bank.example@evil.example" looks like another place than it is. */
function target(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const { protocol, username, password, href } = new URL(address);
  return ["http:", "https:"].includes(protocol) && !username && !password ? href : undefined;
}
