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
  /**
   * The part of `delivered` that counts as taken only because the session was closing, and that the application had not
   * read at its end. It stays readable there.
   */
  unread: Total | null;
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

/** How a channel ended, and what became of each of its messages. */
export interface ChannelEndReceipt extends ChannelReceipt {
  name: string;
  /** The closer; `network` if the session ended without anybody's wish. */
  by: "local" | "remote" | "both" | "network";
  /** The text that the closer gave. */
  reason: string;
  /**
   * `deadline`: the time was over; `session`: the session ended meanwhile; `untold`: the other side's version knows no
   * close of a channel, and learns nothing of it.
   */
  path: "graceful" | "deadline" | "session" | "untold";
  /** Seconds since the close began. */
  duration: number;
  /** This side has the other's last word about the channel. */
  confirmed: boolean;
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
  /** The other side ended it because it had heard nothing from here. */
  unheard: boolean;
}

/** Confirmed, and nothing of a reliable channel is unknown or unsent. */
export function isClean(outcome: Outcome): boolean {
  return outcome.confirmed && [...outcome.channels.values()].every(lacksNothing);
}

/** Whether nothing of a reliable channel is unknown or unsent. */
export function lacksNothing({ reliable, sent, received }: ChannelReceipt): boolean {
  const settled = ({ unknown, unsent }: Account) => unknown?.messages === 0 && unsent?.messages === 0;
  return !reliable || (settled(sent) && settled(received));
}

/** Merge both sides' counts of one direction: the rest of the accepted messages is unknown. */
export function account(accepted: Total, unsent: Total, delivered: Total, unread: Total | null = null): Account {
  return { accepted, delivered, unread, unknown: minus(minus(accepted, unsent), delivered), unsent };
}

/** Whether one total can be a part of the other: at most its messages and bytes; all bytes if all messages. */
export function isPart(part: Total, whole: Total): boolean {
  if (part.messages === 0) return part.bytes === 0;
  if (part.messages === whole.messages) return part.bytes === whole.bytes;
  return part.messages < whole.messages && part.bytes <= whole.bytes;
}

/** The rest, the other being a part of the one. */
export function minus(one: Total, other: Total): Total {
  return { messages: one.messages - other.messages, bytes: one.bytes - other.bytes };
}

/**
 * The canonical part: JSON with sorted keys, directions keyed by the sender's peer id.
 *
 * @param unread write the counts of unread messages that are not 0. A peer of the version before does not give them. If
 *   one side alone knows that both give them, nothing was read, so the texts are still equal.
 */
export function agreedText(
  receipt: string,
  reason: Reason,
  closer: string,
  channels: Map<string, ChannelReceipt>,
  media: Map<string, unknown> | undefined,
  me: string,
  peer: string,
  unread: boolean,
): string {
  const both = ({ sent, received }: ChannelReceipt) =>
    new Map([
      [me, canonical(sent, unread)],
      [peer, canonical(received, unread)],
    ]);
  return sorted(
    new Map<string, unknown>([
      ["receipt", receipt],
      ["reason", { code: reason.code, text: reason.text ?? "" }],
      ["closer", closer],
      ...(media?.size ? ([["media", media]] as const) : []),
      ["channels", new Map(Array.from(channels, ([name, channel]) => [name, both(channel)]))],
    ]),
  );
}

function canonical({ accepted, delivered, unread, unknown, unsent }: Account, told: boolean): object {
  const total = (value: Total | null) => value && [value.messages, value.bytes];
  return {
    accepted: total(accepted),
    delivered: total(delivered),
    unknown: total(unknown),
    ...(told && unread?.messages ? { unread: total(unread) } : {}),
    unsent: total(unsent),
  };
}

/** JSON; the members of maps sorted by code points, as every language can. */
function sorted(value: unknown): string {
  if (!(value instanceof Map)) return JSON.stringify(value);
  const members = [...value].sort(([one], [other]) => compare(one, other));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${sorted(member)}`).join()}}`;
}
