/** The entries of the conversation, from top to bottom. */

import type { CloseReceipt, Message } from "adieu-rtc";
import type { SharedFile } from "./file.js";
import type { Present, Who } from "./who.js";
import type { Tone } from "./words.js";

/** How a message got to one of the others. */
export interface Mark {
  who: Who;
  /** `owed`: it did not arrive, or may not have, and can be sent again. */
  state: "sending" | "delivered" | "owed";
  /** Its number on the session's channel, since it was accepted. */
  seq?: number;
  /** What to send again, in the place of the text. */
  again?: Message;
}

/** Words of somebody; without `from`, this person's own. */
export interface Said {
  readonly kind: "said";
  readonly from?: string;
  readonly text: string;
  readonly at: Date;
  readonly marks: Mark[];
}

/** What the page says. */
export interface Note {
  readonly kind: "note";
  readonly text: string;
  readonly tone: Tone;
  readonly at: Date;
}

/** A file. */
export interface FileEntry {
  readonly kind: "file";
  readonly shared: SharedFile;
  readonly at: Date;
}

/** Somebody has gone, or this person has. */
export interface Farewell {
  readonly kind: "farewell";
  readonly who: string;
  readonly receipt: CloseReceipt;
  readonly at: Date;
}

export type Entry = Said | Note | FileEntry | Farewell;

/** A message that somebody did not get. */
export interface Owed {
  entry: Said;
  mark: Mark;
}

/**
 * What somebody did not get, in the order it was written: over this session, or before, under this name. Who was there
 * when it was said is not taken for another person of that name who missed it.
 */
export function owedTo(entries: readonly Entry[], { name, session }: Present): Owed[] {
  return allOwed(entries).filter(
    ({ entry, mark }) =>
      mark.who.name === name && (mark.who.to === session.id || entry.marks.every(({ who }) => who.to !== session.id)),
  );
}

/** What anybody did not get. */
export function allOwed(entries: readonly Entry[]): Owed[] {
  return entries.flatMap((entry) =>
    entry.kind === "said" ? entry.marks.filter(({ state }) => state === "owed").map((mark) => ({ entry, mark })) : [],
  );
}
