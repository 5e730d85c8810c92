/**
 * Ask whether the other side is there, and note when it answers (closing rule S7).
 *
 * A `ping` follows a second of silence. From the first one without an answer the machine holds a `Silence`;
 * `recovery.ts` decides what follows from it.
 */

import type { Close, MachineState, Silence } from "./state.js";

/** Seconds: a timer so late shows that this program did not run: its machine slept, or it was stopped. */
const STOOD_STILL = 5;

/** Note that something came over a connection. Over the active one it ends the silence. */
export function heard(m: MachineState, epoch: number): void {
  if (epoch !== m.active) return;
  m.lastHeard = m.now;
  if (!m.timers.has("ping")) m.wakeIn("ping", m.options.heartbeat);
  if (!m.silence) return;
  m.silence = undefined;
  for (const timer of ["suspect", "ladder", "fresh"] as const) m.timers.delete(timer);
  m.evidence.heard(m.now, m.options.burst);
  if (m.isTroubled) m.enter("open");
}

function begin(m: MachineState): Silence {
  return { since: m.now, attempts: 0, excused: false, suspected: false };
}

/** Send a ping, and return its number; the first without an answer begins the silence. */
export function ask(m: MachineState): number {
  const n = ++m.pings;
  if (m.active !== undefined) m.sendControl(m.active, { type: "ping", n });
  if (!m.silence) {
    m.silence = begin(m);
    m.wakeIn("suspect", m.options.suspectAfter);
  }
  m.wakeIn("ping", m.options.heartbeat);
  return n;
}

/**
 * Ask if nothing has been heard for a second, and again each second while it is silent: what answers below the program
 * then shows that the program hangs.
 */
export function pingDue(m: MachineState): void {
  const due = m.lastHeard + m.options.heartbeat;
  if (m.active === undefined) return;
  if (m.now < due) m.timers.set("ping", due);
  else ask(m);
}

/** Take `closing` as a question: a peer that does not answer it in half the time is suspected. */
export function expectAnswer(m: MachineState, { drainUntil }: Close): void {
  if (m.silence) return;
  m.silence = begin(m);
  const half = Math.max((drainUntil - m.now) / 2, m.options.burst);
  m.wakeIn("suspect", Math.min(half, m.options.suspectAfter));
}

/** Note that no path works: the next rung of the ladder is due at once. */
export function giveUpPath(m: MachineState): void {
  m.silence ??= begin(m);
  m.silence.suspected = true;
  m.enter("recovering", m.evidence.told(m.now));
  m.timers.set("ladder", m.now);
}

/** Check how late the timers are: was this program suspended? */
export function lookForSleep(m: MachineState): void {
  const late = m.now - (m.pollTimeout() ?? m.now);
  if (late >= STOOD_STILL) m.evidence.slept(late, m.now);
}
