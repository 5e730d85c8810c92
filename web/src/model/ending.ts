/** One sentence about how a session ended, in the language of the page. The SDK's `notice` says the same in English. */

import type { Account, CloseReceipt } from "adieu-rtc";
import { CLAIMS } from "../../../js/src/session/machine/cause.js";
import { en } from "../words/en.js";
import { words } from "../words/language.js";

type Ended = Pick<CloseReceipt, "by" | "cause" | "reason" | "channels" | "files" | "partial" | "confirmed" | "notice">;

/** Return the sentence. `name`: the name of the other side; empty if it has no name. */
export function ending(receipt: Ended, name: string): string {
  const parts = rest(receipt).join("; ");
  const text = parts && ` ${parts.charAt(0).toUpperCase()}${parts.slice(1)}.`;
  return `${opening(receipt, name)}.${text}`;
}

/** The other side gave up, as it heard nothing from here. A receipt says so in its notice alone. */
const UNHEARD = /no longer heard this side|This page was suspended/;

function opening({ by, cause, reason, notice }: Ended, name: string): string {
  const texts = words().ending;
  const all: Record<string, (name: string) => string> = texts.by;
  const how = ((Object.hasOwn(all, cause) && all[cause]) || texts.by.left)(name);
  const why = (text: string) => (reason.text ? texts.why(text, translated(reason.text)) : text);
  if (cause === "room-closed") return why(texts.by[cause](name));
  if (by === "both") return texts.both(name);
  if (by === "local") {
    if (cause === "protocol-error" || cause === "security-error") return texts.endedHere(name, reason.text || cause);
    if (cause === "connection-closed") return texts.closedHere(name);
    if (cause === "gave-up") return texts.noConnection(name, reason.text ?? "");
    const left = why(texts.youLeft(name));
    return CLAIMS.has(cause) ? left : `${left}. ${how}`;
  }
  if (by === "network" && UNHEARD.test(notice)) {
    return cause === "frozen" ? texts.suspended(name) : texts.unheard(name);
  }
  return by === "remote" && (cause === "left" || cause === "gave-up") ? why(how) : how;
}

/** Return a reason in this language: pages give theirs in English, whatever they show. */
function translated(text: string): string {
  const known = Object.entries(en.ending.reasons).find(([, english]) => english === text)?.[0];
  return known ? words().ending.reasons[known as keyof typeof en.ending.reasons] : text;
}

function rest(receipt: Ended): string[] {
  const texts = words().ending;
  const channels = Object.values(receipt.channels);
  const reliable = channels.filter((channel) => channel.reliable);
  const ours = reliable.map(({ sent }) => sent);
  const theirs = reliable.map(({ received }) => received);
  const [unsent, unknown, missing] = [sum(ours, "unsent"), sum(ours, "unknown"), sum(theirs, "unsent", "unknown")];
  const lost: string[] = [];
  if (unsent) lost.push(texts.unsent(unsent));
  if (unknown) lost.push(texts.unknown(unknown));
  if (missing) lost.push(texts.missing(missing));
  const parts = lost.length ? [lost.reduce(texts.and)] : [];
  parts.push(...notWhole(receipt.partial));
  const loose = sum(
    channels.map(({ sent }) => sent),
    "unsent",
    "unknown",
  );
  const delivered = sum(ours, "delivered");
  const unread = sum(ours, "unread");
  const { files, partial } = receipt;
  if (unread) {
    parts.push(texts.delivered(delivered), texts.unread(unread));
  } else if (delivered && !unsent && !unknown) {
    // "Everything" must be true of both directions.
    if (missing || partial.length || !receipt.confirmed) parts.push(texts.allDelivered);
    else parts.push(loose ? texts.strictDelivered : texts.everythingDelivered);
  }
  const [whole, ...others] = files;
  if (whole && !delivered && !lost.length && !partial.length) {
    parts.push(others.length ? texts.filesDelivered(files.length) : texts.fileDelivered(whole.name));
  }
  const here = sum(theirs, "unread");
  if (here) parts.push(texts.unreadHere(here));
  return parts;
}

function notWhole(partial: CloseReceipt["partial"]): string[] {
  const texts = words().ending;
  return [true, false].flatMap((side) => {
    const [file, ...more] = partial.filter(({ sent }) => sent === side);
    if (!file) return [];
    if (more.length) return (side ? texts.filesNotSent : texts.filesNotHere)(more.length + 1);
    const part = Math.floor((100 * file.done) / Math.max(file.size, 1));
    return (side ? texts.fileNotSent : texts.fileNotHere)(part, file.name);
  });
}

function sum(accounts: Account[], ...names: ("delivered" | "unread" | "unknown" | "unsent")[]): number {
  return accounts.reduce((all, account) => names.reduce((some, name) => some + (account[name]?.messages ?? 0), all), 0);
}
