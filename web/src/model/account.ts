/** The numbers of a receipt, as a table. */

import type { ChannelReceipt, CloseReceipt, Total } from "adieu-rtc";
import { words } from "../words/language.js";

/** The prefix of channels for files. Each has a number; the table shows them as one row. */
const FILES = /^file /;

/**
 * A row: the name; the messages sent, arrived, not read by the peer, unknown, unsent; the messages received, and not
 * read here. Null: this side cannot know.
 */
export type Counts = [name: string, totals: (Total | null)[]];

/** Return a row for each channel, and one for all files. */
export function accounts({ channels }: Pick<CloseReceipt, "channels">): Counts[] {
  const rows = new Map<string, (Total | null)[]>();
  for (const [channel, receipt] of Object.entries(channels)) {
    const name = FILES.test(channel) ? words().receipt.pieces : channel;
    const totals = totalsOf(receipt);
    const known = rows.get(name);
    rows.set(name, known ? known.map((total, column) => sum(total, totals[column]!)) : totals);
  }
  return [...rows];
}

function totalsOf({ sent, received }: ChannelReceipt): (Total | null)[] {
  const { accepted, delivered, unread, unknown, unsent } = sent;
  return [accepted, delivered, unread, unknown, unsent, received.delivered, received.unread];
}

function sum(one: Total | null, other: Total | null): Total | null {
  return one && other ? { messages: one.messages + other.messages, bytes: one.bytes + other.bytes } : null;
}
