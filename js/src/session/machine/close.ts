/**
 * The five steps: announce, drain, channels, connection, clean-up (closing rules S1-S6, S11).
 *
 * Each side goes through them by itself; the words of the other move it on, and the deadline moves it on without them.
 * The last tenth of the time (200 ms at least) is kept for the steps after the drain.
 *
 * A `close()` of this side ends in its own time, whatever the other side says; only what this side grants the other
 * gives it more. While the other side closes and this one has not, its deadline counts as long as something new comes
 * from it.
 */

import { sendable } from "../../bytes.js";
import type { Word } from "../../protocol/control.js";
import type { Closed, Closing, Done, Reason, Wait } from "../../protocol/messages.js";
import { accountsOfThisSide, closerOf, impossible, outcomeOf } from "./account.js";
import { CLAIMS, DEATHS, ROOM_CLOSED } from "./cause.js";
import * as channels from "./channels.js";
import * as connections from "./connections.js";
import { drainUntil, endWithSession } from "./ending.js";
import { Violation } from "./flow.js";
import * as heartbeat from "./heartbeat.js";
import type { Outcome, StepReceipt } from "./receipt.js";
import * as reset from "./reset.js";
import { Close, type CloseChannels, type Drain, type EndConnections, type MachineState } from "./state.js";

/** Seconds: what a page that goes away (deadline 0) has sent may still arrive behind its word. */
const GOING_AWAY = 0.25;
/** Seconds: what the other side may at most ask for, with its deadline or with `wait`. */
const LONGEST = 3600;
/** Seconds: after an end without agreement, wait so long for the other's `closed` by signaling. */
const LAST_WORD = 0.5;

// --- how it begins ------------------------------------------------------------------------------------------------

/** Close from this side. A close that is under way already goes on, and ends within the shorter time. */
export function begin(m: MachineState, reason: Reason, timeout: number, speaking = false): void {
  if (m.outcome) return;
  const deadline = m.now + timeout;
  if (!m.closing && m.phase === "connecting") {
    end(m, "local", reason.code, reason.text ?? "");
  } else if (timeout <= 0) {
    return abort(m, reason);
  } else if (!m.closing) {
    const closing = open(m, new Close("local", sayable(reason), m.now, deadline, drainUntil(m.now, deadline)));
    closing.step = { name: "drain", maySend: false, speaking };
    m.say(announcement(m, closing), { both: true });
    heartbeat.expectAnswer(m, closing);
  }
  if (!m.closing) return;
  if (reason.code === ROOM_CLOSED) m.closing.cause = ROOM_CLOSED; // also if the other side closes already
  hurry(m, m.closing, deadline);
}

/** Keep this side's own time: each `close()` has its own, the shortest decides. */
function hurry(m: MachineState, closing: Close, own: number): void {
  closing.own = Math.min(closing.own ?? own, own);
  if (closing.own < closing.deadline) {
    closing.deadline = closing.own;
    closing.drainUntil = Math.min(closing.drainUntil, drainUntil(m.now, closing.own));
  }
  if (!closing.saidClosed) m.timers.set("drain", closing.drainUntil);
}

/** Announce: from here on nothing new is accepted, what is queued counts as taken, and the drain runs. */
function open(m: MachineState, closing: Close): Close {
  reset.cancelByClosing(m);
  m.closing = closing;
  // What is queued counts as taken, whoever reads it.
  for (const { receiver } of m.channels.values()) receiver.claimed = true;
  m.timers.set("drain", closing.drainUntil);
  m.changed(m.phase, closing.cause);
  channels.keepQueued(m);
  return closing;
}

function announcement(m: MachineState, { reason, deadline }: Close, deadlineMs?: number): Closing {
  return {
    type: "closing",
    receipt: m.receipt,
    reason,
    deadlineMs: deadlineMs ?? Math.max(Math.round((deadline - m.now) * 1000), 0),
    final: finalOf(m),
  };
}

function finalOf(m: MachineState): Map<string, number> {
  const open = [...m.channels].filter(([, { end }]) => !end?.said);
  return new Map(open.map(([name, { sender }]) => [name, sender.accepted.messages]));
}

/** Take a word of the other side, in-band or by signaling; a word that comes twice has one effect. */
export function handleWord(m: MachineState, word: Closing | Wait | Done | Closed): void {
  const { closing } = m;
  switch (word.type) {
    case "closing":
      if (word.receipt === m.receipt) announced(m, word);
      break;
    case "wait":
      if (closing?.isCloser && !closing.saidClosed) {
        m.report({ type: "WaitAsked", reason: word.reason ?? "", eta: Math.min(word.etaMs / 1000, LONGEST) });
      }
      break;
    case "done":
      if (closing) {
        closing.heardDone = true;
        closing.final = word.final;
      }
      break;
    case "closed":
      if (word.receipt === m.receipt && !closing?.heardClosed) closed(m, word);
  }
}

function announced(m: MachineState, { reason, deadlineMs, final }: Closing): void {
  const deadline = m.now + Math.min(deadlineMs / 1000, LONGEST);
  const { closing } = m;
  if (!closing) {
    if (deadlineMs === 0) {
      endByDeparture(m, reason);
      return;
    }
    // Who gives time has been open: its hello is on the way, and this word comes once more behind it.
    if (m.phase === "connecting") return;
    const begun = new Close("remote", reason, m.now, deadline, drainUntil(m.now, deadline), causeOf(m, reason));
    begun.final = final;
    begun.step = { name: "drain", maySend: true };
    open(m, begun);
    m.report({ type: "ClosingAsked", reason, deadline: begun.drainUntil });
  } else if (closing.by === "local" && !closing.isAbrupt) {
    // Both at once: no last words; the smaller deadline, the smaller peer id's reason.
    closing.by = "both";
    closing.final ??= final;
    if (!m.smaller) closing.reason = reason;
    moveDeadline(m, closing, Math.min(closing.deadline, deadline));
  } else if (closing.by === "remote" && deadline > closing.deadline) {
    m.tookEffect("wait");
    moveDeadline(m, closing, Math.min(deadline, closing.began + LONGEST));
  }
}

/** A reason that can always be said. */
function sayable({ code, text }: Reason): Reason {
  const said = { code: sendable(code, 64) };
  return text === undefined ? said : { ...said, text: sendable(text, 1024) };
}

/** Take the other side's account: final, and believed as far as it can be true. */
function closed(m: MachineState, word: Closed): void {
  const wrong = impossible(m, word);
  if (wrong) throw new Violation(`an account that cannot be: ${wrong}`);
  const end = word.closer === m.peer ? endByDeparture : endUnheard;
  const closing = m.closing ?? end(m, word.reason);
  closing.heardClosed = word;
  m.tookEffect("closed", "done");
}

function causeOf(m: MachineState, { code }: Reason): string {
  return CLAIMS.has(code) || (code === ROOM_CLOSED && m.roomCloses) ? code : "left";
}

/** End, as the other side goes away without waiting: what it has sent may be a moment behind. */
function endByDeparture(m: MachineState, reason: Reason): Close {
  // Nobody has to claim that two sides did not connect: this side sees it.
  const known = m.phase === "connecting" && reason.code === "gave-up";
  return endSoon(m, "remote", reason, known ? reason.code : causeOf(m, reason));
}

/** End, as the other side says that nobody ended it: to it this side was dead, which this side knows better. */
function endUnheard(m: MachineState, reason: Reason): Close {
  heartbeat.lookForSleep(m);
  const unheard = m.phase !== "connecting" && DEATHS.has(reason.code);
  let cause = m.phase === "connecting" ? "gave-up" : causeOf(m, reason);
  if (unheard) {
    cause = m.evidence.stoodStill ? "frozen" : "frozen, network-lost";
    m.note(`the other side says: ${reason.text ?? ""}`);
  }
  const closing = endSoon(m, "network", reason, cause);
  closing.unheard = unheard;
  return closing;
}

function endSoon(m: MachineState, by: Outcome["by"], reason: Reason, cause: string): Close {
  const soon = m.now + GOING_AWAY;
  const closing = new Close(by, reason, m.now, soon + LAST_WORD, soon, cause);
  closing.ending = "abrupt";
  return open(m, closing);
}

/** End at once, whatever is under way. The receipt is kept. */
export function abort(m: MachineState, why: Reason = { code: "left" }): void {
  if (m.outcome) return;
  let { closing } = m;
  if (!closing) {
    closing = open(m, new Close("local", sayable(why), m.now, m.now, m.now));
    m.say(announcement(m, closing, 0), { both: true });
  }
  closing.ending = "abrupt";
  closing.deadline = closing.drainUntil = closing.own = m.now;
}

/** End without agreement: the other side is informed by signaling, and heard there for a moment. */
export function end(m: MachineState, by: Outcome["by"], cause: string, text: string): void {
  if (m.outcome) return;
  let { closing } = m;
  if (!closing) {
    closing = new Close(by, sayable({ code: cause, text }), m.now, m.now + LAST_WORD, m.now, cause);
    closing.ending = "abrupt";
    open(m, closing);
    if (by === "local") m.say(announcement(m, closing, 0), { both: true });
  }
  closing.ending = "abrupt";
  closing.drainUntil = m.now;
  closing.deadline = Math.min(closing.deadline, m.now + LAST_WORD);
}

/** End, as the other side broke the protocol. */
export function endByViolation(m: MachineState, message: string): void {
  m.note(message);
  end(m, "local", "protocol-error", message);
}

/** End, as no recovery helps. */
export function endUnanswered(m: MachineState, text: string): void {
  const slept = m.evidence.stoodStill > 0 && !m.evidence.isGone;
  end(m, "network", slept ? "frozen" : m.evidence.cause(), text);
  if (m.closing) m.closing.unheard = slept;
}

/** Say that the session closes, to a peer that asks for something that a closing session does not do. */
export function sayAgain(m: MachineState, closing: Close): void {
  if (closing.isCloser && !closing.saidClosed) m.say(announcement(m, closing), { repeat: false });
}

/** Give the other side `eta` seconds from now: say it, and keep to it. */
export function extend(m: MachineState, eta: number): void {
  const { closing } = m;
  if (!closing?.isCloser || closing.saidClosed) return;
  const deadline = m.now + eta + closing.kept;
  if (deadline <= closing.deadline) return;
  closing.own = deadline;
  moveDeadline(m, closing, deadline);
  m.say(announcement(m, closing), { both: true });
}

function moveDeadline(m: MachineState, closing: Close, deadline: number): void {
  if (closing.saidClosed) return;
  closing.deadline = Math.min(deadline, closing.own ?? deadline);
  closing.drainUntil = Math.max(drainUntil(closing.began, closing.deadline), m.now);
  m.timers.set("drain", closing.drainUntil);
}

/** End the drain early, if it is the other side that closes and nothing new comes from it. */
function stalled(m: MachineState, closing: Close): boolean {
  if (closing.by !== "remote" || closing.own !== undefined) return false;
  const due = closing.progressed + m.options.closingPatience;
  if (m.now >= due) {
    closing.deadline = Math.min(closing.deadline, m.now + Math.min(closing.kept, LAST_WORD));
    closing.drainUntil = Math.min(closing.drainUntil, m.now);
    return true;
  }
  m.timers.set("drain", Math.min(closing.drainUntil, due));
  return false;
}

/** Accept no further last words; the accepted ones are still sent. `speaking`: sound of this side is still to be heard. */
export function lastWordsOver(m: MachineState, speaking: boolean): void {
  if (m.closing?.step.name === "drain") Object.assign(m.closing.step, { maySend: false, speaking });
}

/** Let the drain wait no longer for sound of this side. */
export function spoken(m: MachineState): void {
  if (m.closing?.step.name === "drain") m.closing.step.speaking = false;
}

// --- the steps ----------------------------------------------------------------------------------------------------

/** Go on as far as the steps' conditions are met. */
export function progress(m: MachineState, closing: Close): void {
  for (;;) {
    const { step } = closing;
    if (step.name === "drain") drain(m, closing, step);
    else if (step.name === "channels") closeChannels(m, closing, step);
    else if (step.name === "connection") endConnections(m, closing, step);
    else if (step.name === "clean-up") cleanUp(m, closing, step);
    if (closing.step === step) return;
  }
}

function drain(m: MachineState, closing: Close, { maySend, speaking }: Drain): void {
  const quiet = !closing.isAbrupt && !closing.saidDone && !maySend && !speaking;
  if (quiet && closing.final && hasTaken(m, closing.final)) {
    closing.saidDone = true;
    m.say({ type: "done", final: finalOf(m) });
  }
  if (closing.saidDone && closing.heardDone) {
    sayClosed(m, closing, "ok");
  } else if (closing.heardClosed) {
    sayClosed(m, closing, "the other side ended it");
  } else if (m.active === undefined && !m.reset) {
    sayClosed(m, closing, "the connection was lost");
  } else if (m.now >= closing.drainUntil || stalled(m, closing)) {
    if (!closing.isAbrupt) closing.ending = "late";
    sayClosed(m, closing, closing.isAbrupt ? "abrupt" : "deadline");
  }
}

function hasTaken(m: MachineState, final: Map<string, number>): boolean {
  return [...final].every(([name, count]) => {
    const channel = m.channels.get(name);
    if (channel?.end?.said) return true; // this side has taken its last of it
    return channel ? !channel.reliable || channel.receiver.upTo >= count : count === 0;
  });
}

/** Neither send nor take from now on: this side's account is final with this word. */
function sayClosed(m: MachineState, closing: Close, outcome: string): void {
  channels.keepQueued(m);
  m.tookEffect("done", "closing");
  for (const { receiver } of m.channels.values()) receiver.freeze();
  const said: Closed = {
    type: "closed",
    receipt: m.receipt,
    closer: closerOf(m, closing),
    reason: closing.reason,
    channels: accountsOfThisSide(m),
    ...(m.capabilities.has("media1") && { media: m.media }),
  };
  m.say(said, { both: closing.isAbrupt });
  if (closing.own === undefined) {
    // What is left of a long deadline of the other side's is for the drain; the last steps need no more than a wait.
    closing.deadline = Math.min(closing.deadline, m.now + m.options.closingPatience);
    closing.drainUntil = Math.min(closing.drainUntil, closing.deadline);
  }
  m.timers.delete("drain");
  nextStep(m, closing, { name: "channels", said }, outcome);
  reset.endByClosed(m);
}

/** Reset the data channels once the other's `closed` is here, the control channel last. */
function closeChannels(m: MachineState, closing: Close, step: CloseChannels): void {
  if (closing.isAbrupt || m.active === undefined) {
    // After both words ABORT, close_notify or silence counts as the reset.
    endChannels(m, closing, step, closing.heardClosed && !closing.isAbrupt ? "ok" : "skipped");
    return;
  }
  const { epoch, channels: open } = m.connections.get(m.active)!;
  const closeOne = (id: number | null) => m.act({ type: "CloseStream", epoch, id });
  if (!step.left) {
    const waitUntil = closing.drainUntil + 0.4 * closing.kept;
    if (!closing.heardClosed && m.now < waitUntil) {
      m.timers.set("end", waitUntil);
      return;
    }
    step.left = new Set(open.keys());
    for (const id of open.keys()) closeOne(id);
  }
  if (!step.left.size) {
    step.left.add(null);
    closeOne(null);
  }
  const until = closing.drainUntil + 0.8 * closing.kept;
  if (m.now >= until) endChannels(m, closing, step, "deadline");
  else m.timers.set("end", until);
}

function endChannels(m: MachineState, closing: Close, { said }: CloseChannels, outcome: string): void {
  nextStep(m, closing, { name: "connection", said }, outcome);
}

/** Note that a data channel is closed. Whether that was to be expected. */
export function channelClosed(m: MachineState, epoch: number, id: number | null): boolean {
  const { closing } = m;
  if (!closing?.saidClosed) return false;
  const { step } = closing;
  if (step.name === "channels" && step.left && epoch === m.active) {
    step.left.delete(id);
    if (id === null) endChannels(m, closing, step, "ok");
  }
  return true;
}

function endConnections(m: MachineState, closing: Close, { said }: EndConnections): void {
  for (const epoch of [...m.connections.keys()]) connections.release(m, epoch);
  const until = closing.deadline + (closing.isAbrupt ? LAST_WORD : 0);
  const isLate = m.now >= until;
  if (!m.releasing.size || isLate) {
    nextStep(m, closing, { name: "clean-up", said }, m.releasing.size ? "deadline" : "ok");
  } else {
    m.timers.set("end", until);
  }
}

/** Close the account, unless the last word may still come by signaling. */
function cleanUp(m: MachineState, closing: Close, { said }: EndConnections): void {
  const { signaling, presence } = m.evidence;
  const hopeful = !closing.heardClosed && signaling && (presence === "here" || presence === "away");
  if (hopeful && m.now < closing.deadline) {
    m.timers.set("end", closing.deadline);
    return;
  }
  // The account has the list of steps, in which this one is the last.
  nextStep(m, closing, { name: "over", said, outcome: outcomeOf(m, closing, said) }, "ok");
  m.timers.clear();
  m.words.clear();
  endWithSession(m, m.outcome!);
  for (const { name, receiver } of m.channels.values()) m.remembered.add(m.receipt, name, receiver, m.now);
  m.changed("closing", m.outcome!.cause);
  m.report({ type: "Ended" });
}

/** Write the step that ends here into the account, and go to the next. */
function nextStep(m: MachineState, closing: Close, next: Close["step"], outcome: string): void {
  const { began, stepBegan, step } = closing;
  const name = step.name as StepReceipt["name"];
  closing.steps.push({ name, start: stepBegan - began, duration: m.now - stepBegan, outcome });
  closing.step = next;
  closing.stepBegan = m.now;
}

// --- after the end ------------------------------------------------------------------------------------------------

/** Answer a word for a session that has ended: with `closed`. */
export function answerAfterEnd(m: MachineState, word: Word): void {
  const said = m.closing?.saidClosed;
  if (said && word.type !== "closed") m.act({ type: "Signal", word: said });
}

/** Say the last word again, with the receipt's id, which is known only now. */
export function sayClosedAgain(m: MachineState): void {
  const step = m.closing?.step;
  if (!step?.said) return;
  step.said = { ...step.said, receipt: m.receipt };
  m.act({ type: "Signal", word: step.said });
}
