/**
 * The five steps: announce, drain, channels, connection, clean-up (closing rules S1-S6, S11).
 *
 * Each side walks them by itself; the words of the other move it on, and the deadline moves it on without them. The
 * last tenth of the time (200 ms at least) is kept for the steps after the drain.
 *
 * A `close()` of this side ends in its own time, whatever the other side says; only what this side grants the other
 * gives it more. While the other side closes and this one has not, its deadline holds as long as something new comes of
 * it.
 */

import { sendable } from "../../bytes.js";
import { MAX_RANGES, type Word } from "../../protocol/control.js";
import type {
  ChannelAccount,
  Closed,
  Closing,
  Done,
  Reason,
  Wait,
  Total as WireTotal,
} from "../../protocol/messages.js";
import { line } from "../../protocol/text.js";
import { CLAIMS, DEATHS } from "./cause.js";
import { Ranges } from "./held.js";
import * as liveness from "./liveness.js";
import type { Channel, SessionMachine } from "./machine.js";
import {
  type Account,
  account,
  agreedText,
  type ChannelReceipt,
  isPart,
  minus,
  type Outcome,
  type StepReceipt,
  type Total,
} from "./receipt.js";
import * as reset from "./reset.js";

/** Seconds: what a page that goes away (deadline 0) has sent may still arrive behind its word. */
const GOING_AWAY = 0.25;
/** Seconds: what the other side may at most ask for, with its deadline or with `wait`. */
const LONGEST = 3600;
/** Seconds: after an end without agreement, wait so long for the other's `closed` by signaling. */
const LAST_WORD = 0.5;

type By = Outcome["by"];
type StepName = StepReceipt["name"];

/** The close that is under way. */
export class Close {
  /** By when this side's own `close()` has to end; `deadline` is never later. */
  own: number | undefined;
  /** When something new last came of the other side. */
  progressed: number;
  /** Last words: the other side closes, and the `closing` handlers here have not settled. */
  maySend = false;
  /** How much the other side sends on each channel, once it is known. */
  final: Map<string, number> | undefined;
  saidDone = false;
  heardDone = false;
  saidClosed: Closed | undefined;
  heardClosed: Closed | undefined;
  abrupt = false;
  /** The drain met its deadline. */
  late = false;
  cause = "";
  /** The other side had heard nothing from here, and ended it. */
  unheard = false;
  step: StepName = "announce";
  stepBegan: number;
  steps: StepReceipt[] = [];
  /** Data channels that are being closed. */
  streams = new Set<number | null>();
  streamsAsked = false;

  reason: Reason;

  constructor(
    public by: By,
    { code, text = "" }: Reason,
    readonly began: number,
    public deadline: number,
    public drainUntil: number,
  ) {
    const said = line(text);
    this.reason = { code, ...(said && { text: said }) };
    this.stepBegan = this.progressed = began;
  }

  /** Seconds for the steps after the drain. */
  get kept(): number {
    return this.deadline - this.drainUntil;
  }

  /** This side has asked for the end, and may give the other more time. */
  get isCloser(): boolean {
    return this.by === "local" || this.by === "both";
  }
}

function drainUntil(now: number, deadline: number): number {
  const total = deadline - now;
  return deadline - Math.min(Math.max(0.1 * total, 0.2), total / 2);
}

// --- how it begins ------------------------------------------------------------------------------------------------

/** This side closes. A close that is under way already goes on, and ends within the shorter time. */
export function begin(m: SessionMachine, reason: Reason, timeout: number, now: number): void {
  if (m.state === "closed") return;
  if (!m.closing && m.state === "connecting") {
    end(m, now, "local", reason.code, reason.text ?? "");
  } else if (timeout <= 0) {
    abort(m, now, reason);
  } else if (!m.closing) {
    open(m, new Close("local", sayable(reason), now, now + timeout, drainUntil(now, now + timeout)));
    m.say(closingWord(m), { both: true });
    liveness.closes(m, now);
  }
  if (m.closing) hurry(m, m.closing, now, now + timeout);
}

/** This side's own time: each `close()` keeps its own, the shortest decides. */
function hurry(m: SessionMachine, closing: Close, now: number, own: number): void {
  closing.own = Math.min(closing.own ?? own, own);
  if (closing.own < closing.deadline) {
    closing.deadline = closing.own;
    closing.drainUntil = Math.min(closing.drainUntil, drainUntil(now, closing.own));
  }
  if (!closing.saidClosed) m.timers.set("drain", closing.drainUntil);
}

/** Announced: from here on nothing new is accepted, what is queued counts as taken, and the drain runs. */
function open(m: SessionMachine, closing: Close): void {
  reset.cancelByClosing(m);
  m.closing = closing;
  // What lies there counts as taken, whoever reads it.
  for (const { receiver } of m.channels.values()) receiver.claimed = true;
  m.timers.set("drain", closing.drainUntil);
  m.enter("closing", closing.cause);
  nextStep(m, "drain", "ok");
  keep(m);
}

function closingWord(m: SessionMachine, deadlineMs?: number): Closing {
  const { reason, deadline } = m.closing!;
  return {
    type: "closing",
    receipt: m.receipt,
    reason,
    deadlineMs: deadlineMs ?? Math.max(Math.round((deadline - m.now) * 1000), 0),
    final: finalOf(m),
  };
}

function finalOf(m: SessionMachine): Map<string, number> {
  return new Map([...m.channels].map(([name, channel]) => [name, channel.sender.accepted.messages]));
}

/** A word of the other side, in-band or by signaling; each is idempotent. */
export function handleWord(m: SessionMachine, word: Closing | Wait | Done | Closed, now: number): void {
  const closing = m.closing;
  switch (word.type) {
    case "closing":
      if (word.receipt === m.receipt) announced(m, word, now);
      break;
    case "wait":
      if (closing?.isCloser && !closing.saidClosed) {
        m.tell({ type: "WaitAsked", reason: word.reason ?? "", eta: Math.min(word.etaMs / 1000, LONGEST) });
      }
      break;
    case "done":
      if (closing) {
        closing.heardDone = true;
        closing.final = word.final;
      }
      break;
    case "closed":
      if (word.receipt === m.receipt && !closing?.heardClosed) closed(m, word, now);
  }
}

function announced(m: SessionMachine, word: Closing, now: number): void {
  const deadline = now + Math.min(word.deadlineMs / 1000, LONGEST);
  const closing = m.closing;
  if (!closing) {
    if (word.deadlineMs === 0 || m.state === "connecting") {
      gone(m, word.reason, now);
      return;
    }
    const begun = new Close("remote", word.reason, now, deadline, drainUntil(now, deadline));
    begun.final = word.final;
    begun.maySend = true;
    begun.cause = causeOf(word.reason);
    open(m, begun);
    m.tell({ type: "ClosingAsked", reason: word.reason, deadline: begun.drainUntil });
  } else if (closing.by === "local" && !closing.abrupt) {
    // Both at once: no last words; the smaller deadline, the smaller peer id's reason.
    closing.by = "both";
    closing.final ??= word.final;
    if (!m.smaller) closing.reason = word.reason;
    moveDeadline(m, Math.min(closing.deadline, deadline), now);
  } else if (closing.by === "remote" && deadline > closing.deadline) {
    m.tookEffect("wait");
    moveDeadline(m, Math.min(deadline, closing.began + LONGEST), now);
  }
}

/** A reason that can always be said. */
function sayable({ code, text }: Reason): Reason {
  const said = { code: sendable(code, 64) };
  return text === undefined ? said : { ...said, text: sendable(text, 1024) };
}

/** The other side's account: final, and believed as far as it can be true. */
function closed(m: SessionMachine, word: Closed, now: number): void {
  const wrong = impossible(m, word);
  if (wrong) {
    m.endByViolation(now, `an account that cannot be: ${wrong}`);
    return;
  }
  if (!m.closing) {
    if (word.closer === m.peer) gone(m, word.reason, now);
    else givenUp(m, word.reason, now);
  }
  m.closing!.heardClosed = word;
  m.tookEffect("closed", "done");
}

function causeOf(reason: Reason): string {
  return CLAIMS.has(reason.code) ? reason.code : "left";
}

/** The other side goes away without waiting: what it has sent may be a moment behind. */
function gone(m: SessionMachine, reason: Reason, now: number): void {
  const closing = new Close("remote", reason, now, now + GOING_AWAY + LAST_WORD, now + GOING_AWAY);
  closing.abrupt = true;
  closing.cause = causeOf(reason);
  if (m.state === "connecting" && reason.code === "gave-up") {
    closing.cause = reason.code; // there is no connection: this side knows that too
  }
  open(m, closing);
}

/** The other side says that nobody ended it: to it this side was dead, which this side knows better. */
function givenUp(m: SessionMachine, reason: Reason, now: number): void {
  liveness.hasSlept(m, now);
  const closing = new Close("network", reason, now, now + GOING_AWAY + LAST_WORD, now + GOING_AWAY);
  closing.abrupt = true;
  if (m.state === "connecting") {
    closing.cause = "gave-up";
  } else if (DEATHS.has(reason.code)) {
    closing.unheard = true;
    closing.cause = m.witness.stoodStill ? "frozen" : "frozen, network-lost";
    m.witness.note(now, `the other side says: ${reason.text ?? ""}`);
  } else {
    closing.cause = causeOf(reason);
  }
  open(m, closing);
}

/** End at once, whatever is under way. The receipt is kept. */
export function abort(m: SessionMachine, now: number, why: Reason = { code: "left" }): void {
  if (m.state === "closed") return;
  if (!m.closing) {
    open(m, new Close("local", sayable(why), now, now, now));
    m.closing!.abrupt = true;
    m.say(closingWord(m, 0), { both: true });
  }
  const closing = m.closing!;
  closing.abrupt = true;
  closing.deadline = closing.drainUntil = closing.own = now;
  progress(m, now);
}

/** The session ends without agreement: the other side is told by signaling, and heard there for a moment. */
export function end(m: SessionMachine, now: number, by: By, cause: string, text: string): void {
  if (m.state === "closed") return;
  if (!m.closing) {
    const closing = new Close(by, sayable({ code: cause, text }), now, now + LAST_WORD, now);
    closing.abrupt = true;
    closing.cause = cause;
    open(m, closing);
    if (by === "local") m.say(closingWord(m, 0), { both: true });
  }
  const closing = m.closing!;
  closing.abrupt = true;
  closing.drainUntil = now;
  closing.deadline = Math.min(closing.deadline, now + LAST_WORD);
  progress(m, now);
}

/** No recovery helps any more. */
export function lost(m: SessionMachine, now: number, text: string): void {
  const slept = m.witness.stoodStill > 0 && !m.witness.isGone;
  end(m, now, "network", slept ? "frozen" : m.witness.cause(), text);
  if (m.closing) m.closing.unheard = slept;
}

/** Somebody asks for something that a closing session does not do: say that it closes. */
export function sayAgain(m: SessionMachine): void {
  if (m.closing?.isCloser && !m.closing.saidClosed) m.say(closingWord(m), { repeat: false });
}

/** The other side gets `eta` seconds from now: said to it, and kept here. */
export function extend(m: SessionMachine, eta: number, now: number): void {
  const closing = m.closing;
  if (!closing?.isCloser || closing.saidClosed) return;
  const deadline = now + eta + closing.kept;
  if (deadline > closing.deadline) {
    closing.own = deadline;
    moveDeadline(m, deadline, now);
    m.say(closingWord(m), { both: true });
  }
}

function moveDeadline(m: SessionMachine, deadline: number, now: number): void {
  const closing = m.closing!;
  if (closing.saidClosed) return;
  closing.deadline = Math.min(deadline, closing.own ?? deadline);
  closing.drainUntil = Math.max(drainUntil(closing.began, closing.deadline), now);
  m.timers.set("drain", closing.drainUntil);
}

/** Something new has come of the other side: its deadline is worth waiting for. */
export function progressed(m: SessionMachine, now: number): void {
  if (m.closing) m.closing.progressed = now;
}

/** The other side closes, and nothing of it comes any more: this side gives up what is left of its time. */
function stalled(m: SessionMachine, closing: Close, now: number): boolean {
  if (closing.by !== "remote" || closing.own !== undefined) return false;
  const due = closing.progressed + m.options.closingPatience;
  if (now >= due) {
    closing.deadline = Math.min(closing.deadline, now + Math.min(closing.kept, LAST_WORD));
    closing.drainUntil = Math.min(closing.drainUntil, now);
    return true;
  }
  m.timers.set("drain", Math.min(closing.drainUntil, due));
  return false;
}

/** No more last words: what was accepted still goes out. */
export function lastWordsOver(m: SessionMachine): void {
  if (m.closing) m.closing.maySend = false;
}

// --- the steps ----------------------------------------------------------------------------------------------------

/** Go on as far as the steps' conditions are met. */
export function progress(m: SessionMachine, now: number): void {
  const closing = m.closing;
  if (!closing || m.state === "closed") return;
  const at = (step: StepName) => closing.step === step;
  if (at("drain")) drain(m, closing, now);
  if (at("channels")) channels(m, closing, now);
  if (at("connection")) connection(m, closing, now);
  if (at("clean-up")) cleanUp(m, closing, now);
}

function drain(m: SessionMachine, closing: Close, now: number): void {
  if (!closing.abrupt && !closing.saidDone && !closing.maySend && closing.final && hasTaken(m, closing.final)) {
    closing.saidDone = true;
    m.say({ type: "done", final: finalOf(m) });
  }
  if (closing.saidDone && closing.heardDone) {
    sayClosed(m, closing, "ok");
  } else if (closing.heardClosed) {
    sayClosed(m, closing, "the other side ended it");
  } else if (m.active === undefined && !m.reset) {
    sayClosed(m, closing, "the connection was lost");
  } else if (now >= closing.drainUntil || stalled(m, closing, now)) {
    closing.late = !closing.abrupt;
    sayClosed(m, closing, closing.abrupt ? "abrupt" : "deadline");
  }
}

function hasTaken(m: SessionMachine, final: Map<string, number>): boolean {
  return [...final].every(([name, count]) => {
    const channel = m.channels.get(name);
    return channel ? !channel.reliable || channel.receiver.upTo >= count : count === 0;
  });
}

/** While closing what is queued counts as taken and gives its credit back, up to a bound for the session. */
export function keep(m: SessionMachine): void {
  const closing = m.closing;
  if (!closing || closing.saidClosed) return;
  let room = m.options.closingBound;
  for (const channel of m.channels.values()) room -= channel.receiver.keptBytes;
  for (const channel of m.channels.values()) {
    room -= channel.receiver.keep(room);
    m.ackLater(channel, m.now);
  }
  m.feed();
}

/** This side neither sends nor takes any more: its account is final with this word. */
function sayClosed(m: SessionMachine, closing: Close, outcome: string): void {
  keep(m);
  m.tookEffect("done", "closing");
  closing.maySend = false;
  const accounts = new Map<string, ChannelAccount>();
  let room = MAX_RANGES;
  for (const [name, channel] of m.channels) {
    const { sender, receiver } = channel;
    receiver.freeze();
    if (!wasUsed(channel)) continue;
    const which = channel.reliable && !channel.ordered;
    const ranges = which ? receiver.takenBeyond.runs(room) : [];
    room -= ranges.length;
    accounts.set(name, {
      accepted: sender.accepted.total(),
      unsent: sender.unsentTotal(),
      taken: receiver.taken.total(),
      ...(tellsUnread(m) && { unread: receiver.leftUnread }),
      ...(which && { upTo: receiver.upTo, ranges }),
    });
  }
  closing.saidClosed = {
    type: "closed",
    receipt: m.receipt,
    closer: closerOf(m, closing),
    reason: closing.reason,
    channels: accounts,
  };
  m.say(closing.saidClosed, { both: closing.abrupt });
  if (closing.own === undefined) {
    // What is left of a long deadline of the other side's is for the drain; the last steps need no more than a wait.
    closing.deadline = Math.min(closing.deadline, m.now + m.options.closingPatience);
    closing.drainUntil = Math.min(closing.drainUntil, closing.deadline);
  }
  reset.endByClosed(m);
  m.timers.delete("drain");
  nextStep(m, "channels", outcome);
}

/** Reset the data channels once the other's `closed` is here, the control channel last. */
function channels(m: SessionMachine, closing: Close, now: number): void {
  if (closing.abrupt || m.active === undefined) {
    // After both words ABORT, close_notify or silence counts as the reset.
    nextStep(m, "connection", closing.heardClosed && !closing.abrupt ? "ok" : "skipped");
    return;
  }
  const link = m.links.get(m.active)!;
  if (!closing.streamsAsked) {
    const waitUntil = closing.drainUntil + 0.4 * closing.kept;
    if (!closing.heardClosed && now < waitUntil) {
      m.timers.set("end", waitUntil);
      return;
    }
    closing.streamsAsked = true;
    for (const id of link.streams.keys()) {
      closing.streams.add(id);
      m.act({ type: "CloseStream", epoch: link.epoch, id });
    }
  }
  if (!closing.streams.size) {
    closing.streams.add(null);
    m.act({ type: "CloseStream", epoch: link.epoch, id: null });
  }
  const until = closing.drainUntil + 0.8 * closing.kept;
  if (now >= until) nextStep(m, "connection", "deadline");
  else m.timers.set("end", until);
}

/** A data channel is closed. Whether that was to be expected. */
export function streamClosed(m: SessionMachine, epoch: number, id: number | null): boolean {
  const closing = m.closing;
  if (!closing?.saidClosed) return false;
  if (epoch === m.active && closing.streamsAsked) {
    closing.streams.delete(id);
    if (id === null && closing.step === "channels") nextStep(m, "connection", "ok");
  }
  return true;
}

function connection(m: SessionMachine, closing: Close, now: number): void {
  for (const epoch of [...m.links.keys()]) m.release(epoch);
  const until = closing.deadline + (closing.abrupt ? LAST_WORD : 0);
  if (!m.releasing.size) nextStep(m, "clean-up", "ok");
  else if (now >= until) nextStep(m, "clean-up", "deadline");
  else m.timers.set("end", until);
}

/** The last word may still come by signaling; then the account is closed. */
function cleanUp(m: SessionMachine, closing: Close, now: number): void {
  const { signaling, presence } = m.witness;
  const hopeful = !closing.heardClosed && signaling && (presence === "here" || presence === "away");
  if (hopeful && now < closing.deadline) {
    m.timers.set("end", closing.deadline);
    return;
  }
  nextStep(m, "clean-up", "ok");
  m.outcome = outcomeOf(m, closing);
  m.timers.clear();
  m.words.clear();
  m.remember(m.now);
  m.enter("closed", m.outcome.cause);
  m.tell({ type: "Ended" });
}

/** Write the step that ends here into the account, and go to the next. */
function nextStep(m: SessionMachine, step: StepName, outcome: string): void {
  const closing = m.closing!;
  closing.steps.push({
    name: closing.step,
    start: closing.stepBegan - closing.began,
    duration: m.now - closing.stepBegan,
    outcome,
  });
  closing.step = step;
  closing.stepBegan = m.now;
}

/** The other side's connection was closed on purpose, and no word has come that says why, or that there is another. */
export function farewell(m: SessionMachine, now: number): void {
  if (m.closing || m.reset || m.active !== undefined) return;
  end(m, now, "remote", m.witness.isGone ? m.witness.cause() : "connection-closed", "");
}

// --- the account --------------------------------------------------------------------------------------------------

/** A word for a session that has ended: the answer is `closed`. */
export function late(m: SessionMachine, word: Word): void {
  const said = m.closing?.saidClosed;
  if (said && word.type !== "closed") m.act({ type: "Signal", word: said });
}

/** The receipt's id is known only now: what was said under another is said again. */
export function introduced(m: SessionMachine): void {
  const closing = m.closing;
  if (!closing?.saidClosed) return;
  closing.saidClosed = { ...closing.saidClosed, receipt: m.receipt };
  m.act({ type: "Signal", word: closing.saidClosed });
}

function tellsUnread(m: SessionMachine): boolean {
  return m.capabilities.has("unread1");
}

/** Both sides know it. One that is asked for and not answered may be unknown there: it carried nothing. */
function wasUsed({ open, sender, receiver }: Channel): boolean {
  return open || sender.accepted.messages > 0 || receiver.taken.messages > 0;
}

/**
 * What of the other side's account cannot be; empty: all of it may be true. Its numbers have to agree with each other,
 * and with what this side knows better.
 */
function impossible(m: SessionMachine, word: Closed): string {
  if (![m.me, m.peer, "both", "network"].includes(word.closer)) return `closed by ${JSON.stringify(word.closer)}`;
  for (const name of new Set([...word.channels.keys(), ...m.channels.keys()])) {
    const their = word.channels.get(name) ?? {};
    const totals = [their.accepted, their.unsent, their.taken, their.unread].map((total) => filled(total));
    if (!mayBe(their, totals as [Total, Total, Total, Total], m.channels.get(name))) {
      const numbers = totals.map(({ messages, bytes }) => `${messages} (${bytes} bytes)`).join(", ");
      return `${numbers} accepted, unsent, taken and unread of channel ${JSON.stringify(name)}`;
    }
  }
  return "";
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

/** The numbers of what the other side has taken, as far as it says: in order they are the first. */
function whichTaken({ taken, upTo, ranges }: ChannelAccount, { reliable, ordered }: Channel): Ranges {
  const which = new Ranges();
  if (!reliable) return which;
  const first = ordered ? (taken?.messages ?? 0) : upTo;
  if (first) which.add(1, first);
  if (first != null && !ordered) for (const [from, to] of ranges ?? []) which.add(from, to);
  return which;
}

function outcomeOf(m: SessionMachine, closing: Close): Outcome {
  const wrong = closing.heardClosed && impossible(m, closing.heardClosed);
  if (wrong) {
    // It came before all that it speaks of.
    m.witness.note(m.now, `an account that cannot be: ${wrong}`);
    closing.heardClosed = undefined;
  }
  const accounts = accountsOf(m, closing);
  const [closer, reason] = settled(m, closing);
  let by: By = closer === "both" ? "both" : "network";
  if (closer === m.me) by = "local";
  else if (closer === m.peer) by = "remote";
  return {
    id: m.receipt,
    by,
    closer,
    reason,
    path: pathOf(closing),
    cause: closing.cause || causeHere(m, closing),
    evidence: m.witness.evidence(),
    channels: accounts,
    steps: closing.steps,
    confirmed: closing.heardClosed !== undefined,
    agreed: agreedText(m.receipt, reason, closer, accounts, m.me, m.peer, tellsUnread(m)),
    unheard: closing.unheard,
  };
}

/** Of an end that this side wanted. Who closes a session whose other side is dead is told of what it died. */
function causeHere(m: SessionMachine, closing: Close): string {
  const dead = m.liveness.suspected && !closing.heardClosed;
  return dead ? m.witness.cause() : "left";
}

function closerOf(m: SessionMachine, { by }: Close): string {
  return { local: m.me, remote: m.peer, both: "both", network: "network" }[by];
}

/** One view of who ended it and why, out of both sides' words: the same on both sides. */
function settled(m: SessionMachine, closing: Close): [closer: string, reason: Reason] {
  const mine = closing.saidClosed!;
  const theirs = closing.heardClosed;
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
  if (closing.abrupt || !(confirmed || closing.late || closing.heardDone)) return "abrupt";
  return confirmed && closing.saidDone && closing.heardDone ? "graceful" : "deadline";
}

function accountsOf(m: SessionMachine, closing: Close): Map<string, ChannelReceipt> {
  const mine = closing.saidClosed!.channels;
  const theirs = closing.heardClosed?.channels;
  const receipts = new Map<string, ChannelReceipt>();
  for (const name of new Set([...mine.keys(), ...(theirs?.keys() ?? [])])) {
    const channel = m.channels.get(name);
    if (!channel) continue;
    const { sender, receiver, reliable } = channel;
    const my = mine.get(name) ?? {};
    let sent: Account;
    let received: Account;
    if (theirs) {
      const their = theirs.get(name) ?? {};
      const unread = tellsUnread(m) ? filled(their.unread) : null;
      sender.settle(whichTaken(their, channel));
      sent = account(filled(my.accepted), filled(my.unsent), filled(their.taken), unread);
      received = account(filled(their.accepted), filled(their.unsent), filled(my.taken), receiver.leftUnread);
    } else {
      // Without the other's word: delivered is what it acknowledged.
      sent = account(filled(my.accepted), filled(my.unsent), sender.delivered.total());
      const { leftUnread: unread } = receiver;
      received = { accepted: null, delivered: filled(my.taken), unread, unknown: null, unsent: null };
    }
    receipts.set(name, { sent, received, reliable });
  }
  return receipts;
}

function filled(total: WireTotal = {}): Total {
  return { messages: total.messages ?? 0, bytes: total.bytes ?? 0 };
}
