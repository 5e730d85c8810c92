/** The numbers of a receipt, as a table has them. */

import type { ChannelReceipt, CloseReceipt, Total } from "adieu-rtc";

/** The channels that carry files are called so, each with a number: nobody wants to read them one by one. */
const FILES = /^file /;

/**
 * A name; then what was sent, arrived, of that was not read there, is unknown, did not leave; what was received, and of
 * that was not read here. Null: this side cannot know.
 */
export type Counts = [name: string, totals: (Total | null)[]];

/** One for each channel, and one for all files. */
export function accounts({ channels }: Pick<CloseReceipt, "channels">): Counts[] {
  const rows = new Map<string, (Total | null)[]>();
  for (const [channel, receipt] of Object.entries(channels)) {
    const name = FILES.test(channel) ? "pieces of files" : channel;
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
