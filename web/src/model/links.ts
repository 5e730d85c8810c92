/** Addresses in what somebody wrote. */

/** Some text; with `href`, an address to go to. */
export interface Part {
  text: string;
  href?: string;
}

// No controls, nor marks that turn the direction of reading: an address that is shown is the one that is meant.
const ADDRESS = /https?:\/\/[^\s\p{C}<>"“”«»]+/giu;
/** Belongs to the sentence, not to the address, when it stands at the end. */
const AFTER = /[.,:;!?'’…*_]$/u;
const PAIRS: Record<string, string> = { ")": "(", "]": "[", "}": "{" };
/** Letters: what is longer is no address that anybody wrote. */
const MAX = 2048;

/** The parts of a text, those that are addresses with `href`. Only http and https, and none that names a user. */
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
