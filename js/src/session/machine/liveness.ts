/**
 * Is the other side there? Silence, suspicion, and the recovery ladder (closing rules S7, S10).
 *
 * A `ping` follows a second of silence; one that is not answered for three makes the session `suspect`, with a cause
 * and its evidence. Then the policy says what to try. Anything heard on the active connection ends all of it.
 */

import { encode } from "../../protocol/control.js";
import { GONE } from "./cause.js";
import * as close from "./close.js";
import type { SessionMachine } from "./machine.js";
import * as reset from "./reset.js";

/**
 * How a connection ended: the other side closed it; it was closed here, but not by the session; it broke; its
 * certificate was not the one announced.
 */
export type LossKind = "left" | "closed" | "failed" | "security";

/**
 * Seconds after the other side closed the connection: the words that say why may be behind, by signaling, and so may the
 * news that its socket has ended. A browser closes the connections of a page whose process has died.
 */
const FAREWELL = 0.7;

/**
 * Seconds: packets younger than this show that the other side's machine and network are alive, if they came within the
 * silence: what came before it, or was under way when it began, shows nothing.
 */
export const FRESH = 2;

/** Seconds: a timer so late shows that this program did not run: its machine slept, or it was stopped. */
const STOOD_STILL = 5;

/** What is known of the other side's silence. */
export class Liveness {
  lastHeard = 0;
  /** When the first ping was sent that has no answer: the ladder counts from here. */
  asked: number | undefined;
  n = 0;
  /** New connections begun in this silence. */
  attempts = 0;
  /** It has lasted so long that it is no accident. */
  suspected = false;
}

function isTroubled(m: SessionMachine): boolean {
  return m.state === "suspect" || m.state === "recovering";
}

function isGone(m: SessionMachine): boolean {
  return GONE.has(m.witness.presence);
}

/** Something came over a connection. Over the active one it ends suspicion and recovery. */
export function heard(m: SessionMachine, epoch: number, now: number): void {
  if (epoch !== m.active) return;
  m.liveness.lastHeard = now;
  if (!m.timers.has("ping")) m.timers.set("ping", now + m.options.heartbeat);
  if (m.liveness.asked === undefined && !isTroubled(m)) return;
  m.liveness.asked = undefined;
  m.liveness.attempts = 0;
  m.liveness.suspected = false;
  for (const timer of ["suspect", "ladder", "fresh"]) m.timers.delete(timer);
  m.witness.heard(now, m.options.burst);
  if (isTroubled(m)) {
    m.enter("open");
    reset.healed(m, now);
  }
}

/** Send a ping; the first without an answer starts the clock. Its number. */
export function ask(m: SessionMachine, now: number): number {
  const n = ++m.liveness.n;
  if (m.active !== undefined) m.act({ type: "SendControl", epoch: m.active, text: encode({ type: "ping", n }) });
  if (m.liveness.asked === undefined) {
    m.liveness.asked = now;
    m.timers.set("suspect", now + m.options.suspectAfter);
  }
  m.timers.set("ping", now + m.options.heartbeat);
  return n;
}

/** This side closes: its word is a question too, and who does not answer it in half the time is suspected. */
export function closes(m: SessionMachine, now: number): void {
  if (m.liveness.asked !== undefined || !m.closing) return;
  m.liveness.asked = now;
  const half = Math.max((m.closing.drainUntil - now) / 2, m.options.burst);
  m.timers.set("suspect", now + Math.min(half, m.options.suspectAfter));
}

/** Look at how late the timers are: has this program stood still? */
export function hasSlept(m: SessionMachine, now: number): void {
  const late = now - (m.pollTimeout() ?? now);
  if (late >= STOOD_STILL) m.witness.slept(late, now);
}

/** A timer of this file is due. */
export function handleTimeout(m: SessionMachine, kind: "ping" | "suspect" | "fresh" | "ladder", now: number): void {
  switch (kind) {
    case "ping": {
      const due = m.liveness.lastHeard + m.options.heartbeat;
      if (m.active === undefined) return;
      // Again each second while it is silent: what answers below the program shows that it hangs.
      if (now < due) m.timers.set("ping", due);
      else ask(m, now);
      break;
    }
    case "suspect":
      suspect(m, now);
      break;
    case "fresh":
      if (m.active !== undefined) m.act({ type: "AskFresh", epoch: m.active });
      break;
    case "ladder":
      climb(m, now);
  }
}

function suspect(m: SessionMachine, now: number): void {
  if (m.liveness.asked === undefined) return;
  m.liveness.suspected = true;
  m.witness.note(now, `no answer for ${(now - m.liveness.asked).toFixed(1)} s`);
  if (m.state !== "closing" && isGone(m)) {
    close.end(m, now, "remote", m.witness.cause(), "");
    return;
  }
  if (m.state === "open") m.enter("suspect", m.witness.cause());
  else if (m.state === "resetting") m.enter("recovering", m.witness.cause()); // the reset goes on
  if (m.active !== undefined) m.act({ type: "AskFresh", epoch: m.active });
  if (m.witness.signaling) m.act({ type: "Probe" });
  climb(m, now); // but not while closing: a close has a deadline of its own
}

/** Packets of the other side's engine, but no word of its program: it hangs, and no ladder helps. */
export function fresh(m: SessionMachine, epoch: number, age: number | null, now: number): void {
  if (m.liveness.asked === undefined || epoch !== m.active || !(isTroubled(m) || m.state === "closing")) return;
  const within = now - m.liveness.asked - m.options.burst;
  const hangs = age !== null && age < Math.min(FRESH, within);
  if (hangs && !m.witness.iceFresh) m.witness.note(now, "its engine answers, its program does not");
  m.witness.iceFresh = hangs;
  m.timers.set("fresh", now + 1);
  if (m.state === "closing") return;
  if (!hangs && !m.timers.has("ladder")) m.timers.set("ladder", now);
  recause(m);
}

/** Tell the state again if the evidence now speaks for another cause. */
export function recause(m: SessionMachine): void {
  const cause = m.witness.cause();
  if (!isTroubled(m) || cause === m.witness.told) return;
  m.witness.told = cause;
  m.tell({ type: "StateChanged", state: m.state, previous: m.state, cause, evidence: m.witness.evidence() });
}

/** The server says that the other side is away or gone: look at once. */
export function presence(m: SessionMachine, now: number): void {
  if (m.state === "connecting") {
    if (isGone(m)) close.end(m, now, "remote", m.witness.cause(), "");
    return;
  }
  if (!isGone(m) && m.witness.presence !== "away") return; // evidence only
  if (m.liveness.asked === undefined && m.active !== undefined) ask(m, now);
  recause(m);
  const soon = now + m.options.burst;
  m.timers.set("suspect", Math.min(m.timers.get("suspect") ?? soon, soon));
}

/** A connection has ended, and not by the session. */
export function lost(m: SessionMachine, epoch: number, kind: LossKind, text: string, now: number): void {
  const wasActive = epoch === m.active;
  m.release(epoch);
  if (m.closing) return; // `close.progress` sees that it is gone.
  if (kind === "security") {
    close.end(m, now, "network", "security-error", text);
  } else if (m.reset) {
    if (epoch === m.reset.epoch && m.reset.phase !== "asked") {
      reset.connectionLost(m, m.reset, kind, `connection ${epoch} ended: ${text}`, now);
    } // else the old one: the reset goes on, and its deadline decides
  } else if (m.state === "connecting") {
    if (kind === "failed") m.connectAgain(now);
    else close.end(m, now, kind === "closed" ? "local" : "remote", "connection-closed", text);
  } else if (!wasActive) {
    return;
  } else if (kind === "closed") {
    close.end(m, now, "local", "connection-closed", text);
  } else if (kind === "left") {
    m.timers.set("farewell", now + FAREWELL);
  } else {
    broken(m, now);
  }
}

/** No connection is left: a new one is needed, at once. */
export function broken(m: SessionMachine, now: number): void {
  m.liveness.asked ??= now;
  m.liveness.suspected = true;
  m.enter("recovering", m.witness.cause());
  climb(m, now);
}

/** One rung of the ladder, and when the next is due. */
function climb(m: SessionMachine, now: number): void {
  if (m.liveness.asked === undefined || !isTroubled(m) || m.witness.iceFresh) return;
  const silence = now - m.liveness.asked;
  let [step, again] = m.options.recovery.step(silence, m.liveness.attempts);
  // Without a connection nothing is left that could heal.
  if (m.active === undefined && (step === "wait" || step === "ice") && !m.reset) step = "transport";
  m.timers.set("ladder", Math.max(m.liveness.asked + again, now + 0.05));
  if (step === "wait") return;
  if (step === "give-up") {
    m.witness.note(now, `gave up after ${silence.toFixed(0)} s`);
    close.lost(m, now, `no answer for ${silence.toFixed(0)} s`);
    return;
  }
  if (!m.witness.signaling) {
    m.timers.set("ladder", now + 1); // or as soon as signaling is up
    return;
  }
  if (m.state === "suspect") m.enter("recovering", m.witness.cause());
  if (step === "transport") m.liveness.attempts++;
  reset.recover(m, step, now);
}
