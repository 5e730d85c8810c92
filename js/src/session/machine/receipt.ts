/** The account of an ended session: what each side sent, took, and cannot know (closing rules S2, S5). */

import { compare } from "../../bytes.js";
import type { Reason } from "../../protocol/messages.js";

/** A number of messages and their payload bytes (text counted as UTF-8). */
export interface Total {
  messages: number;
  bytes: number;
}

/** One direction of one channel. Null: this side cannot know. */
export interface Account {
  /** `send()` returned. */
  accepted: Total | null;
  /** Taken by the application of the receiver; never overstated. */
  delivered: Total;
  /** Left, and not known to have been taken. */
  unknown: Total | null;
  /** Never left: sending it again is safe. */
  unsent: Total | null;
}

/** Both directions, as this side sees them. */
export interface ChannelReceipt {
  sent: Account;
  received: Account;
  reliable: boolean;
}

/** One of the five steps: start and duration in seconds since the close began. */
export interface StepReceipt {
  name: "announce" | "drain" | "channels" | "connection" | "clean-up";
  start: number;
  duration: number;
  outcome: string;
}

/** All of the receipt that the machine knows; the shell adds the release ledger and the notice. */
export interface Outcome {
  id: string;
  by: "local" | "remote" | "both" | "network";
  /** A peer id, "both" or "network". */
  closer: string;
  reason: Reason;
  path: "graceful" | "deadline" | "abrupt";
  cause: string;
  evidence: string[];
  channels: Map<string, ChannelReceipt>;
  steps: StepReceipt[];
  confirmed: boolean;
  agreed: string;
}

/** Confirmed, and nothing of a reliable channel is unknown or unsent. */
export function isClean(outcome: Outcome): boolean {
  const settled = ({ unknown, unsent }: Account) => unknown?.messages === 0 && unsent?.messages === 0;
  return (
    outcome.confirmed &&
    [...outcome.channels.values()].every(
      (channel) => !channel.reliable || (settled(channel.sent) && settled(channel.received)),
    )
  );
}

/**
 * What both sides' words say of one direction: the rest of what was accepted is unknown.
 *
 * A receiver that claims more than was sent is not believed: delivered is never overstated.
 */
export function account(accepted: Total, unsent: Total, taken: Total): Account {
  const started = minus(accepted, unsent);
  const delivered = {
    messages: Math.min(taken.messages, started.messages),
    bytes: Math.min(taken.bytes, started.bytes),
  };
  return { accepted, delivered, unknown: minus(started, delivered), unsent };
}

function minus(one: Total, other: Total): Total {
  return { messages: one.messages - other.messages, bytes: one.bytes - other.bytes };
}

/** The canonical part: JSON with sorted keys, directions keyed by the sender's peer id. */
export function agreedText(
  receipt: string,
  reason: Reason,
  closer: string,
  channels: Map<string, ChannelReceipt>,
  me: string,
  peer: string,
): string {
  const both = ({ sent, received }: ChannelReceipt) =>
    new Map([
      [me, canonical(sent)],
      [peer, canonical(received)],
    ]);
  return sorted(
    new Map<string, unknown>([
      ["receipt", receipt],
      ["reason", { code: reason.code, text: reason.text ?? "" }],
      ["closer", closer],
      ["channels", new Map(Array.from(channels, ([name, channel]) => [name, both(channel)]))],
    ]),
  );
}

function canonical({ accepted, delivered, unknown, unsent }: Account): object {
  const total = (value: Total | null) => value && [value.messages, value.bytes];
  return { accepted: total(accepted), delivered: total(delivered), unknown: total(unknown), unsent: total(unsent) };
}

/** JSON; the members of maps sorted by code points, as every language can. */
function sorted(value: unknown): string {
  if (!(value instanceof Map)) return JSON.stringify(value);
  const members = [...value].sort(([one], [other]) => compare(one, other));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${sorted(member)}`).join()}}`;
}
