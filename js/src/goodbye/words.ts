/** The words of the talk channel: JSON, bounded before they are believed. */

/** A count of messages for each stream id. */
export type Counts = Record<number, number>;

export type Word =
  | { type: "hello"; version: number }
  | { type: "ping" | "pong" }
  /** The sender begins to close. `reset`: it means to come back on another connection. */
  | { type: "closing"; receipt: string; reason: string; reset: boolean; deadlineMs: number }
  /** The sender's application sends nothing after this. It has sent these numbers of messages. */
  | { type: "done"; final: Counts }
  /** These numbers of messages have reached the sender's application. */
  | { type: "closed"; taken: Counts }
  /** The sender goes at once and hears no answer. */
  | { type: "bye"; cause: string };

export const MAX_WORD = 64 * 1024;
export const MAX_REASON = 1024; // and in WORDS
/** Milliseconds; a later deadline of a peer counts as this. */
export const MAX_DEADLINE = 60_000;
const MAX_STREAMS = 1024;

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const matches = (pattern: RegExp) => (value: unknown) => typeof value === "string" && pattern.test(value);
const isCounts = (value: unknown) => {
  const entries = Object.entries(Object(value));
  return entries.length <= MAX_STREAMS && entries.every(([id, count]) => /^\d{1,5}$/.test(id) && isCount(count));
};

/** The members of each word, and what they may be. */
const WORDS: Record<string, Record<string, (value: unknown) => boolean>> = {
  __proto__: null as never,
  hello: { version: isCount },
  ping: {},
  pong: {},
  closing: {
    receipt: matches(/^\w{16,64}$/),
    reason: matches(/^.{0,1024}$/s),
    reset: (value) => value === !!value,
    deadlineMs: isCount,
  },
  done: { final: isCounts },
  closed: { taken: isCounts },
  bye: { cause: matches(/^(left|tab-closed|reloaded|navigated)$/) },
};

export const encode = (word: Word): string => JSON.stringify(word);

/** Return the word that a text says; undefined if it is not one, or is beyond its bounds. */
export function decode(text: unknown): Word | undefined {
  if (typeof text !== "string" || text.length > MAX_WORD) return;
  try {
    const word = JSON.parse(text);
    const members = Object.entries(WORDS[word.type]!);
    if (members.every(([name, fits]) => fits(word[name]))) return word;
  } catch {
    // It is not JSON, or not a word.
  }
  return;
}
