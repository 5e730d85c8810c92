/** The entries of the conversation, from top to bottom. */

import type { CloseReceipt, Message } from "adieu-rtc";
import type { SharedFile } from "./file.js";
import type { Present, Who } from "./who.js";
import type { Tone } from "./words.js";

/** The delivery of a message to one peer. */
export interface Mark {
  who: Who;
  /** `owed`: it did not arrive, or may not have arrived, and can be sent again. */
  state: "sending" | "delivered" | "owed";
  /** The number on the session's channel, once it is accepted. */
  seq?: number;
  /** The message to send again, in place of the text. */
  again?: Message;
}

/** A chat message; without `from`, this person's own. */
export interface Said {
  readonly kind: "said";
  readonly from?: string;
  readonly text: string;
  readonly at: Date;
  readonly marks: Mark[];
}

/** A note of the page. */
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

/** The end of a session. */
export interface Farewell {
  readonly kind: "farewell";
  /** The name of the peer; empty if it has no name. */
  readonly who: string;
  readonly receipt: CloseReceipt;
  readonly at: Date;
}

export type Entry = Said | Note | FileEntry | Farewell;

/** A message that did not reach a peer. */
export interface Owed {
  entry: Said;
  mark: Mark;
}

/**
 * Return the messages that did not reach a peer, in order: in this session, or earlier under this name. A peer that was
 * present is not mistaken for another person of that name.
 */
export function owedTo(entries: readonly Entry[], { name, session }: Present): Owed[] {
  return allOwed(entries).filter(
    ({ entry, mark }) =>
      mark.who.name === name && (mark.who.to === session.id || entry.marks.every(({ who }) => who.to !== session.id)),
  );
}

/** Return the messages that did not reach some peer. */
export function allOwed(entries: readonly Entry[]): Owed[] {
  return entries.flatMap((entry) =>
    entry.kind === "said" ? entry.marks.filter(({ state }) => state === "owed").map((mark) => ({ entry, mark })) : [],
  );
}
