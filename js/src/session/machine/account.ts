/** The account at the end of a session: which claims of the other side can be true, and the view of both sides. */

import { MAX_RANGES } from "../../protocol/control.js";
import type { ChannelAccount, Closed, Reason, Total as WireTotal } from "../../protocol/messages.js";
import { quoted } from "./channels.js";
import { Ranges } from "./held.js";
import {
  type Account,
  account,
  agreedText,
  type ChannelReceipt,
  isPart,
  minus,
  type Outcome,
  type Total,
} from "./receipt.js";
import type { Channel, Close, MachineState } from "./state.js";

function tellsUnread(m: MachineState): boolean {
  return m.capabilities.has("unread1");
}

/** Return what this side has sent and taken on each channel that was used, for its last word. */
export function accountsOfThisSide(m: MachineState): Map<string, ChannelAccount> {
  const accounts = new Map<string, ChannelAccount>();
  let room = MAX_RANGES;
  for (const [name, channel] of m.channels) {
    if (!wasUsed(channel) || hasOwn(channel)) continue;
    const account = accountOf(channel, tellsUnread(m), room);
    room -= account.ranges?.length ?? 0;
    accounts.set(name, account);
  }
  return accounts;
}

/** Return what this side has sent and taken on a channel, with at most so many ranges. */
export function accountOf(channel: Channel, unread: boolean, most = MAX_RANGES): ChannelAccount {
  const { sender, receiver, reliable, ordered } = channel;
  const which = reliable && !ordered;
  return {
    accepted: sender.accepted.total(),
    unsent: sender.unsentTotal(),
    taken: receiver.taken.total(),
    ...(unread && { unread: receiver.leftUnread }),
    ...(which && { upTo: receiver.upTo, ranges: receiver.takenBeyond.runs(most) }),
  };
}

/** Both sides have said their account of the channel: its own receipt has it, and the session's has not. */
export function hasOwn({ end }: Channel): boolean {
  return !!end?.said && !!end.heard;
}

/** Both sides know it. One that is asked for and not answered may be unknown there: it carried nothing. */
function wasUsed({ open, sender, receiver }: Channel): boolean {
  return open || sender.accepted.messages > 0 || receiver.taken.messages > 0;
}

/**
 * Return the first impossible claim in the other side's account; an empty text if there is no such claim. Its numbers
 * must agree with each other, and with the facts that this side knows better.
 */
export function impossible(m: MachineState, word: Closed): string {
  if (![m.me, m.peer, "both", "network"].includes(word.closer)) return `closed by ${quoted(word.closer)}`;
  for (const name of new Set([...word.channels.keys(), ...m.channels.keys()])) {
    const channel = m.channels.get(name);
    // The other side may have both accounts of it already, or not yet.
    if (channel?.end?.said && (!word.channels.has(name) || hasOwn(channel))) continue;
    const wrong = impossibleOf(channel, word.channels.get(name) ?? {}, name);
    if (wrong) return wrong;
  }
  return "";
}

/** Return the other side's account of a channel, in words, if it cannot be true; empty: it may be true. */
export function impossibleOf(channel: Channel | undefined, their: ChannelAccount, name = channel!.name): string {
  const totals = [their.accepted, their.unsent, their.taken, their.unread].map((total) => filled(total));
  if (mayBe(their, totals as [Total, Total, Total, Total], channel)) return "";
  const numbers = totals.map(({ messages, bytes }) => `${messages} (${bytes} bytes)`).join(", ");
  return `${numbers} accepted, unsent, taken and unread of channel ${quoted(name)}`;
}

function mayBe(
  their: ChannelAccount,
  [accepted, unsent, taken, unread]: [Total, Total, Total, Total],
  channel: Channel | undefined,
): boolean {
  const theirs = minus(accepted, unsent);
  const parts: [part: Total, whole: Total][] = [
    [accepted, accepted],
    [unsent, accepted],
    [unread, taken],
  ];
  if (channel) {
    const { sender, receiver } = channel;
    const mine = minus(sender.accepted.total(), sender.unsentTotal());
    if (!rises(their, mine.messages)) return false;
    parts.push([taken, mine], [sender.takenWith(whichTaken(their, channel)), taken], [receiver.taken, theirs]);
  } else {
    // Asked for there, and not heard of here: nothing has left on it.
    parts.push([accepted, unsent], [taken, filled()]);
  }
  return parts.every(([part, whole]) => isPart(part, whole)) && theirs.messages >= (channel?.receiver.seen ?? 0);
}

function rises({ upTo, ranges }: ChannelAccount, most: number): boolean {
  let last = upTo ?? 0;
  for (const [first, end] of ranges ?? []) {
    if (first <= last || end < first) return false;
    last = end;
  }
  return last <= most;
}

/** Return the numbers of the messages that the other side has reported as taken; in order, the first ones. */
export function whichTaken({ taken, upTo, ranges }: ChannelAccount, { reliable, ordered }: Channel): Ranges {
  const which = new Ranges();
  if (!reliable) return which;
  const first = ordered ? (taken?.messages ?? 0) : upTo;
  if (first) which.add(1, first);
  if (first != null && !ordered) for (const [from, to] of ranges ?? []) which.add(from, to);
  return which;
}

/**
 * Return the account of the session, which ends with this.
 *
 * @param said this side's last word.
 */
export function outcomeOf(m: MachineState, closing: Close, said: Closed): Outcome {
  const wrong = closing.heardClosed && impossible(m, closing.heardClosed);
  if (wrong) {
    // It came before all that it speaks of.
    m.note(`an account that cannot be: ${wrong}`);
    closing.heardClosed = undefined;
  }
  const accounts = accountsOf(m, said, closing.heardClosed);
  // One side alone may have opened a channel, or closed it, and no connection was left to say so.
  const theirs = closing.heardClosed?.channels;
  const agreed = new Map([...accounts].filter(([name]) => !theirs || (theirs.has(name) && said.channels.has(name))));
  const [closer, reason] = settled(m, said, closing.heardClosed);
  let by: Outcome["by"] = closer === "both" ? "both" : "network";
  if (closer === m.me) by = "local";
  else if (closer === m.peer) by = "remote";
  return {
    id: m.receipt,
    by,
    closer,
    reason,
    path: pathOf(closing),
    cause: closing.cause || causeHere(m, closing),
    evidence: m.evidence.lines(),
    channels: accounts,
    steps: closing.steps,
    confirmed: closing.heardClosed !== undefined,
    agreed: agreedText(
      m.receipt,
      reason,
      closer,
      agreed,
      m.agreeMedia?.(m.me, said, m.peer, closing.heardClosed),
      m.me,
      m.peer,
      tellsUnread(m),
    ),
    unheard: closing.unheard,
  };
}

/** Return the cause of an end that this side wanted. If the other side was dead, the cause is why. */
function causeHere(m: MachineState, closing: Close): string {
  return m.silence?.suspected && !closing.heardClosed ? m.evidence.cause() : "left";
}

/** Return who closes, as this side sees it: a peer id, "both" or "network". */
export function closerOf(m: MachineState, { by }: Close): string {
  return { local: m.me, remote: m.peer, both: "both", network: "network" }[by];
}

/** Settle who closed and why, out of both sides' last words: the same on both sides. */
function settled(m: MachineState, mine: Closed, theirs: Closed | undefined): [closer: string, reason: Reason] {
  if (!theirs) return [mine.closer, mine.reason];
  const views: [peer: string, view: Closed][] = [
    [m.me, mine],
    [m.peer, theirs],
  ];
  if (!m.smaller) views.reverse();
  const [[small, first], [, second]] = views as [[string, Closed], [string, Closed]];
  const own = views.filter(([peer, view]) => view.closer === peer);
  if (own.length === 2 || mine.closer === "both" || theirs.closer === "both") {
    return ["both", (first.closer === "both" || first.closer === small ? first : second).reason];
  }
  if (own[0]) return [own[0][0], own[0][1].reason]; // who says "I did" is believed
  const blamed = views.filter(([, view]) => view.closer !== "network");
  if (blamed.length === 1) return [blamed[0]![1].closer, blamed[0]![1].reason];
  return ["network", first.reason]; // each saw the other vanish
}

function pathOf(closing: Close): Outcome["path"] {
  const confirmed = closing.heardClosed !== undefined;
  if (closing.isAbrupt || !(confirmed || closing.ending === "late" || closing.heardDone)) return "abrupt";
  return confirmed && closing.saidDone && closing.heardDone ? "graceful" : "deadline";
}

function accountsOf(m: MachineState, said: Closed, heard: Closed | undefined): Map<string, ChannelReceipt> {
  const mine = said.channels;
  const theirs = heard?.channels;
  const receipts = new Map<string, ChannelReceipt>();
  for (const name of new Set([...mine.keys(), ...(theirs?.keys() ?? [])])) {
    const channel = m.channels.get(name);
    if (!channel) continue;
    // One side at least has both accounts of it.
    if (channel.end?.said && !(mine.has(name) && (theirs?.has(name) ?? true))) continue;
    const their = theirs && (theirs.get(name) ?? {});
    const [sent, received] = bothDirections(channel, mine.get(name) ?? {}, their, tellsUnread(m));
    receipts.set(name, { sent, received, reliable: channel.reliable });
  }
  return receipts;
}

/** Return what became of the messages that were sent, and of those that were received. */
export function bothDirections(
  channel: Channel,
  my: ChannelAccount,
  their: ChannelAccount | undefined,
  unread: boolean,
): [sent: Account, received: Account] {
  const { sender, receiver } = channel;
  const { leftUnread } = receiver;
  const [accepted, unsent, taken] = [filled(my.accepted), filled(my.unsent), filled(my.taken)];
  if (!their) {
    // Without the other's word: delivered is what it acknowledged.
    return [
      account(accepted, unsent, sender.delivered.total()),
      { accepted: null, delivered: taken, unread: leftUnread, unknown: null, unsent: null },
    ];
  }
  sender.countDelivered(whichTaken(their, channel));
  return [
    account(accepted, unsent, filled(their.taken), unread ? filled(their.unread) : null),
    account(filled(their.accepted), filled(their.unsent), taken, leftUnread),
  ];
}

function filled(total: WireTotal = {}): Total {
  return { messages: total.messages ?? 0, bytes: total.bytes ?? 0 };
}
