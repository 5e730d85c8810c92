/** One sentence for a person about how a session ended. */

import type { Outcome } from "./machine/receipt.js";

const REMOTE = new Map([
  ["left", "{who} left"],
  ["tab-closed", "{who} closed the tab"],
  ["reloaded", "{who} reloaded the page"],
  ["navigated", "{who} went to another page"],
  ["kicked", "{who} was sent out"],
  ["replaced", "{who} joined from somewhere else"],
  ["crashed", "{who}'s program ended without a word"],
  ["connection-closed", "{who} closed the connection"],
  ["server-shutdown", "The server was shut down"],
  ["protocol-error", "{who}'s program said something that makes no sense"],
  ["security-error", "{who} could not prove who they are"],
  ["busy", "{who}'s program does not answer"],
  ["network-lost", "{who}'s network was lost"],
  ["frozen", "{who}'s program was stopped"],
  ["frozen, network-lost", "{who} could not be reached any more"],
  ["gave-up", "{who} could not be reached"],
]);

/**
 * How it ended, and what of ours is not known to have arrived.
 *
 * @param name what people call the other side; empty if it has none.
 */
export function sentence(outcome: Outcome, name: string): string {
  return `${opening(outcome, name)}. ${rest(outcome)}`.trim();
}

function opening({ by, cause, reason: { text = "" } }: Outcome, name: string): string {
  const who = name || "The other side";
  const why = text && ` (${text})`;
  if (by === "both") return name ? `You and ${name} left at the same time` : "Both sides left at the same time";
  if (by === "local") {
    if (cause === "protocol-error" || cause === "security-error") {
      return `The connection to ${who} was ended: ${text || cause}`;
    }
    if (cause === "connection-closed") return `The connection to ${who} was closed by this page`;
    return `You left ${name}`.trimEnd() + why;
  }
  const told = (REMOTE.get(cause) ?? "{who} left").replace("{who}", () => who);
  return by === "remote" && cause === "left" ? told + why : told;
}

function rest(outcome: Outcome): string {
  let unsent = 0;
  let unknown = 0;
  let accepted = 0;
  for (const { sent, reliable } of outcome.channels.values()) {
    accepted += sent.accepted?.messages ?? 0;
    if (!reliable) continue;
    unsent += sent.unsent?.messages ?? 0;
    unknown += sent.unknown?.messages ?? 0;
  }
  const parts: string[] = [];
  if (unsent) parts.push(`${counted(unsent)} of yours did not leave`);
  if (unknown) parts.push(`${counted(unknown)} of yours may not have arrived`);
  if (parts.length) return `${parts.join(" and ")}.`;
  return accepted ? "Everything was delivered." : "";
}

function counted(number: number): string {
  return `${number} message${number === 1 ? "" : "s"}`;
}
