/** One sentence for a person about how a session ended. */

import { line, MOST } from "../protocol/text.js";
import { CLAIMS, ROOM_CLOSED } from "./machine/cause.js";
import type { Account, Outcome } from "./machine/receipt.js";
import { type FileReceipt, ownChannels, type PartialFile } from "./receipt.js";

const REMOTE = new Map([
  ["left", "{who} left"],
  ["tab-closed", "{who} closed the tab"],
  ["reloaded", "{who} reloaded the page"],
  ["navigated", "{who} went to another page"],
  ["kicked", "{who} was removed from the room"],
  ["replaced", "{who} joined from somewhere else"],
  ["crashed", "{who}'s program ended without a word"],
  ["connection-closed", "{who} closed the connection"],
  ["server-shutdown", "The server was shut down"],
  [ROOM_CLOSED, "The room was closed for everybody"],
  ["protocol-error", "{who}'s program sent an invalid message"],
  ["security-error", "{who} could not prove who they are"],
  ["busy", "{who}'s program does not answer"],
  ["network-lost", "{who}'s network was lost"],
  ["frozen", "{who}'s program was stopped"],
  ["frozen, network-lost", "{who} could no longer be reached"],
  ["gave-up", "{who} could not be reached"],
]);

/**
 * Return how it ended, and what was lost or is not read yet, in both directions: one line, no control characters.
 *
 * @param name the name of the other side for people; empty if it has no name.
 */
export function sentence(
  outcome: Outcome,
  name: string,
  files: readonly FileReceipt[] = [],
  partial: readonly PartialFile[] = [],
): string {
  return line(`${opening(outcome, line(name).trim())}. ${rest(outcome, files, partial)}`, 4 * MOST).trim();
}

function opening({ by, cause, unheard, reason }: Outcome, name: string): string {
  const who = name || "The other side";
  const text = line(reason.text ?? "");
  const why = text && ` (${text})`;
  const ending = (REMOTE.get(cause) ?? "{who} left").replace("{who}", () => who);
  if (cause === ROOM_CLOSED) return ending + why;
  if (by === "both") return name ? `You and ${name} left at the same time` : "Both sides left at the same time";
  if (by === "local") {
    if (cause === "protocol-error" || cause === "security-error") {
      return `The connection to ${who} was ended: ${text || cause}`;
    }
    if (cause === "connection-closed") return `The connection to ${who} was closed by this page`;
    if (cause === "gave-up") return `No connection to ${who} could be made: ${text}`;
    const left = `You left ${name}`.trimEnd() + why;
    return CLAIMS.has(cause) ? left : `${left}. ${ending}`;
  }
  if (by === "network" && unheard) {
    return cause === "frozen"
      ? `This page was suspended, and the connection to ${who} was lost`
      : `${who} no longer heard this side, and gave up`;
  }
  return by === "remote" && (cause === "left" || cause === "gave-up") ? ending + why : ending;
}

function rest(outcome: Outcome, files: readonly FileReceipt[], partial: readonly PartialFile[]): string {
  const channels = ownChannels(outcome).map(([, channel]) => channel);
  const reliable = channels.filter((channel) => channel.reliable);
  const ours = reliable.map(({ sent }) => sent);
  const theirs = reliable.map(({ received }) => received);
  const unsent = sum(ours, "unsent");
  const unknown = sum(ours, "unknown");
  const missing = sum(theirs, "unsent", "unknown");
  const lost: string[] = [];
  if (unsent) lost.push(`${unsent} of your messages ${were(unsent)} not sent`);
  if (unknown) lost.push(`${unknown} of your messages may not have arrived`);
  if (missing) lost.push(`${missing} of their messages did not arrive`);
  const parts = lost.length ? [lost.join(" and ")] : [];
  for (const side of [true, false]) {
    const [file, ...more] = partial.filter(({ sent }) => sent === side);
    if (!file) continue;
    const share = Math.floor((100 * file.done) / Math.max(file.size, 1));
    if (more.length) parts.push(`${more.length + 1} files ${side ? "were not sent" : "did not arrive"} whole`);
    else parts.push(`${share} % of ${line(file.name)} ${side ? "was sent" : "arrived"}`);
  }
  const delivered = sum(ours, "delivered");
  const unread = sum(ours, "unread");
  if (unread) {
    parts.push(`${delivered} of your messages ${were(delivered)} delivered`);
    parts.push(`${unread} of them ${were(unread)} not read yet`);
  } else if (delivered && !unsent && !unknown) {
    // "Everything" must be true of both directions.
    const loose = sum(
      channels.map(({ sent }) => sent),
      "unsent",
      "unknown",
    );
    if (missing || partial.length || !outcome.confirmed) parts.push("all your messages were delivered");
    else parts.push(loose ? "everything that must not be lost was delivered" : "everything was delivered");
  }
  const [whole, ...others] = files;
  if (whole && !delivered && !lost.length && !partial.length) {
    parts.push(`${others.length ? `${files.length} files were` : `the file ${line(whole.name)} was`} delivered`);
  }
  const here = sum(theirs, "unread");
  if (here) parts.push(`${here} of their messages ${were(here)} not read yet`);
  const text = parts.join("; ");
  return text && `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function sum(accounts: Account[], ...names: ("delivered" | "unread" | "unknown" | "unsent")[]): number {
  return accounts.reduce((all, account) => names.reduce((some, name) => some + (account[name]?.messages ?? 0), all), 0);
}

function were(number: number): string {
  return number === 1 ? "was" : "were";
}
