/**
 * The close of one channel, while the session goes on (closing rules S1, S3, S4 and S14). `ending.py` has the theory.
 *
 * Each side says `closing` or hears it, then `done`, then `closed` with its account: the closer first, and the other
 * answers with `heard`. A side that reads `heard` says `gone` and closes the data channel, and the other does the same.
 */

import { sendable } from "../../bytes.js";
import { ChannelError } from "../../errors.js";
import type { ChannelAccount, ChannelClosing, EndChannel } from "../../protocol/messages.js";
import { line } from "../../protocol/text.js";
import { accountOf, bothDirections, impossibleOf, whichTaken } from "./account.js";
import * as channels from "./channels.js";
import { Violation } from "./flow.js";
import type { ChannelEndReceipt, Outcome } from "./receipt.js";
import type { Channel, ChannelEnd, MachineState } from "./state.js";

/** Seconds: the longest time that the other side may ask for. */
const LONGEST = 3600;

/** Return when the drain ends at the latest: the last tenth of the time is for the steps after it. */
export function drainUntil(now: number, deadline: number): number {
  const total = deadline - now;
  return deadline - Math.min(Math.max(0.1 * total, 0.2), total / 2);
}

// --- how it begins ------------------------------------------------------------------------------------------------

/** Close a channel from this side. A close that is under way goes on, and ends within the shorter time. */
export function begin(m: MachineState, channel: Channel, reason: string, timeout: number): void {
  const deadline = m.now + timeout;
  const end = channel.end ?? open(m, channel, "local", sendable(reason, 1024), deadline);
  if (end.over) return;
  end.maySend = false; // who closes has no last words left
  end.own = true;
  if (deadline >= end.deadline) return;
  end.deadline = deadline;
  end.drainUntil = Math.min(end.drainUntil, drainUntil(m.now, deadline));
}

function open(m: MachineState, channel: Channel, by: ChannelEnd["by"], reason: string, deadline: number): ChannelEnd {
  const { now } = m;
  const end: ChannelEnd = {
    by,
    reason,
    began: now,
    deadline,
    drainUntil: drainUntil(now, deadline),
    progressed: now,
    own: false,
    maySend: false,
    saidDone: false,
    heardDone: false,
    agreed: false,
    heardGone: false,
    over: false,
    spoken: 0,
  };
  channel.end = end;
  m.ending.set(channel.name, channel);
  channel.receiver.claimed = true; // what is queued counts as taken, whoever reads it
  channels.keep(m, channel);
  return end;
}

// --- the words ----------------------------------------------------------------------------------------------------

/**
 * Take a stage of the other side; one that comes twice has one effect.
 *
 * @throws Violation its account cannot be.
 */
export function handle(m: MachineState, word: EndChannel): void {
  if (m.closing?.saidClosed) return;
  const { closing, done, closed, gone } = word;
  const channel = m.channels.get(word.name);
  if (!channel || channel.id !== word.id) return answerUnknown(m, word);
  channels.isOpen(m, channel); // its `opened` may be lost, and the other side speaks of it
  if (closing) announced(m, channel, closing);
  else if (!channel.end) {
    if (!closed) return; // there is nothing that it could go on with
    announced(m, channel, { deadlineMs: 0, final: closed.accepted?.messages ?? 0 });
  }
  const end = channel.end!;
  end.progressed = m.now;
  if (done != null) {
    end.heardDone = true;
    end.final = done;
  } else if (closed) {
    if (!end.heard) {
      const wrong = impossibleOf(channel, closed);
      if (wrong) throw new Violation(`an account that cannot be: ${wrong}`);
      end.heard = closed;
      if (end.said) settle(channel, closed);
    }
    end.agreed ||= !!word.heard && !!end.said;
  } else if (gone != null) {
    end.agreed = end.heardGone = true;
    if (!end.said) freeze(m, channel, end);
    if (!gone) return;
    end.goneOn = m.active;
    channels.closeUnmatched(m, channel.id);
  }
}

/** Answer for a channel that is forgotten here: what was said last was lost with its connection. */
function answerUnknown(m: MachineState, { name, id, gone }: EndChannel): void {
  if (m.active === undefined) return;
  if (gone == null) m.sendControl(m.active, { type: "endChannel", name, id, gone: false });
  else if (gone && !m.byId.has(id)) channels.closeUnmatched(m, id);
}

function announced(m: MachineState, channel: Channel, { reason = "", deadlineMs, final }: ChannelClosing): void {
  const { end } = channel;
  if (!end) {
    const deadline = m.now + Math.min(deadlineMs / 1000, LONGEST);
    const begun = open(m, channel, "remote", line(reason), deadline);
    begun.maySend = true;
    begun.final = final;
    m.report({ type: "ChannelClosing", name: channel.name, reason: begun.reason, deadline: begun.drainUntil });
  } else if (end.by === "local" && !end.said) {
    // Both at once: no last words; the smaller peer id's reason. Each keeps its own time.
    end.by = "both";
    end.final ??= final;
    if (!m.smaller) end.reason = line(reason);
  }
}

// --- the stages ---------------------------------------------------------------------------------------------------

/** Go on with the channels that are being closed, as far as their conditions are met. */
export function progress(m: MachineState): void {
  if (m.closing?.saidClosed) return; // the session's end ends them
  let due = Number.POSITIVE_INFINITY;
  for (const channel of [...m.ending.values()]) {
    const end = channel.end!;
    progressOf(m, channel, end);
    if (end.over) continue;
    const drains = !end.said && !isUntold(m);
    due = Math.min(due, drains ? Math.min(end.drainUntil, patience(m, end)) : end.deadline);
  }
  if (due < Number.POSITIVE_INFINITY) m.timers.set("channels", due);
  else m.timers.delete("channels");
}

function progressOf(m: MachineState, channel: Channel, end: ChannelEnd): void {
  if (!end.said && !end.over) drain(m, channel, end);
  if (!end.agreed) speak(m, channel, end);
  else if (!isHeld(m)) reset(m, channel, end);
  if (!end.over && m.now >= end.deadline) tell(m, channel, end);
}

/** Return how long the other side is waited for, if it is the one that closes and nothing new comes of it. */
function patience(m: MachineState, { own, drainUntil, progressed }: ChannelEnd): number {
  return own ? drainUntil : progressed + m.options.closingPatience;
}

/** Whether a new connection is being made, or no connection carries the session. */
function isHeld(m: MachineState): boolean {
  return m.active === undefined || (!!m.reset && m.reset.level !== "ice");
}

/** The other side's version knows no close of a channel. */
function isUntold(m: MachineState): boolean {
  return m.phase !== "connecting" && !m.capabilities.has("channels1");
}

function drain(m: MachineState, channel: Channel, end: ChannelEnd): void {
  const { reliable, sender, receiver } = channel;
  if (isUntold(m)) {
    if ((sender.idle && !sender.flightBytes) || m.now >= end.deadline) tell(m, channel, end, "untold");
    return;
  }
  if (!end.saidDone && !end.maySend && channel.open) {
    // Without `final` of the closer's own: the other side's comes with its `done`.
    end.saidDone = end.final !== undefined && (!reliable || receiver.upTo >= end.final);
  }
  const first = end.by === "local" || (end.by === "both" && m.smaller);
  if ((end.saidDone && end.heardDone && first) || end.heard) {
    freeze(m, channel, end);
  } else if (m.now >= end.drainUntil || m.now >= patience(m, end)) {
    freeze(m, channel, end);
    if (!end.own) end.deadline = Math.min(end.deadline, m.now + 0.5);
  }
}

/** Neither send nor take from now on: this side's account is final. */
function freeze(m: MachineState, channel: Channel, end: ChannelEnd): void {
  channels.keep(m, channel);
  channel.receiver.freeze();
  end.said = accountOf(channel, true);
  if (end.heard) settle(channel, end.heard);
}

function settle(channel: Channel, heard: ChannelAccount): void {
  channel.sender.countDelivered(whichTaken(heard, channel));
}

/** Say the stage that is reached, once on each connection. */
function speak(m: MachineState, channel: Channel, end: ChannelEnd): void {
  if (m.active === undefined || !channel.open || isUntold(m)) return;
  if (end.spokenOn !== m.active) {
    end.spokenOn = m.active;
    end.spoken = 0;
  }
  const said = isHeld(m) ? undefined : end.said;
  const stage = said ? (end.heard ? 4 : 3) : end.saidDone ? 2 : 1;
  if (stage <= end.spoken) return;
  const final = channel.sender.accepted.messages;
  if (end.by !== "remote" && !end.spoken) {
    const deadlineMs = Math.max(Math.round((end.deadline - m.now) * 1000), 0);
    say(m, channel, { closing: { ...(end.reason && { reason: end.reason }), deadlineMs, final } });
  }
  if (end.saidDone && end.spoken < 2) say(m, channel, { done: final });
  if (said) say(m, channel, { closed: said, ...(stage === 4 && { heard: true }) });
  end.spoken = stage;
}

function say(m: MachineState, { name, id }: Channel, stage: Omit<EndChannel, "type" | "name" | "id">): void {
  m.sendControl(m.active!, { type: "endChannel", name, id, ...stage });
}

/** Close the data channel of the active connection, and forget the channel once it is closed. */
function reset(m: MachineState, channel: Channel, end: ChannelEnd): void {
  const connection = m.connections.get(m.active!)!;
  const has = connection.channels.has(channel.id);
  if (end.goneOn !== m.active) {
    // Both have said that they heard the other: the smaller peer id's `gone` comes.
    if (end.spokenOn === m.active && end.spoken === 4 && !m.smaller && !end.heardGone) return;
    if (has || !end.heardGone) say(m, channel, { gone: has });
    end.goneOn = m.active;
  }
  if (has) return channels.closeStream(m, connection, channel.id);
  if (!end.over) tell(m, channel, end);
  channels.forget(m, channel);
}

/** Report the end to the application: it waits no longer, whatever is still to be said to the other side. */
function tell(m: MachineState, channel: Channel, end: ChannelEnd, path?: ChannelEndReceipt["path"]): void {
  if (path) m.ending.delete(channel.name); // untold: there is nobody to say anything to
  end.over = true;
  const graceful = end.heard && end.saidDone && end.heardDone;
  report(m, channel, end, path ?? (graceful ? "graceful" : "deadline"));
}

function report(m: MachineState, channel: Channel, end: ChannelEnd, path: ChannelEndReceipt["path"], all?: Outcome) {
  const { name, reliable } = channel;
  const { by, reason, began, heard } = end;
  const settled = all?.channels.get(name);
  const [sent, received] = settled
    ? [settled.sent, settled.received]
    : bothDirections(channel, end.said ?? accountOf(channel, true), heard, true);
  const confirmed = settled ? all!.confirmed : heard !== undefined;
  const duration = m.now - began;
  m.report({
    type: "ChannelClosed",
    name,
    receipt: { sent, received, reliable, name, by, reason, path, duration, confirmed },
  });
}

/** Report the end of the channels that the session's end has overtaken. */
export function endWithSession(m: MachineState, outcome: Outcome): void {
  for (const channel of m.ending.values()) {
    const end = channel.end!;
    if (end.over) continue;
    end.over = true;
    report(m, channel, end, "session", outcome);
  }
  m.ending.clear();
}

/**
 * See whether the application may send on a channel.
 *
 * @throws ChannelError it is closing or closed.
 */
export function requireSendable({ name, end }: Channel): void {
  if (end && !end.maySend) {
    throw new ChannelError(`cannot send: channel ${channels.quoted(name)} is ${end.over ? "closed" : "closing"}`);
  }
}
