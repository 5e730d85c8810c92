/** Texts of the other side that people read: one line, without what a terminal, a log or a page would obey. */

/** Characters of a line; what is longer is cut. */
export const MOST = 1024;

const BREAKS = /[\t-\r\x85\u2028\u2029]+/gu;
// Written out, not by category: both languages clean alike, whatever version of Unicode each knows.
const UNSEEN =
  /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e007f}]/gu;
const HALVES = /\p{Surrogate}/gu;

/**
 * Return the text on one line of at most `most` characters.
 *
 * Line breaks and tabs become a blank. Other control characters are removed, as are invisible characters and those that
 * change the direction of writing. Characters that join the letters of a script or the parts of an emoji stay. Half of
 * a surrogate pair becomes U+FFFD.
 */
export function line(text: string, most = MOST): string {
  const cleaned = text.replace(BREAKS, " ").replace(UNSEEN, "").replace(HALVES, "\ufffd");
  // A character may be two units long, so only a text that looks too long is counted.
  return cleaned.length > most ? [...cleaned].slice(0, most).join("") : cleaned;
}
