/**
 * Suspicion, the recovery ladder, and what a lost connection comes to (closing rules S7, S10).
 *
 * A silence of three seconds makes the session `suspect`, with a cause and its evidence. Then the policy says what to
 * try. Anything heard on the active connection ends all of it.
 */

import { GONE } from "./cause.js";
import * as close from "./close.js";
import * as connections from "./connections.js";
import * as heartbeat from "./heartbeat.js";
import { Ladder, STEPS, type Step } from "./options.js";
import * as reset from "./reset.js";
import type { ConnectionState, LossKind, MachineState } from "./state.js";

/**
 * Seconds after the other side closed the connection: the words that say why may be behind, by signaling, and so may the
 * news that its socket has ended. A browser closes the connections of a page whose process has died.
 */
const FAREWELL = 0.7;

/**
 * Seconds: packets younger than this show that the other side's machine and network are alive, if they came within the
 * silence: what came before it, or was under way when it began, shows nothing.
 */
const FRESH = 2;

/** Seconds: the times of two looks at one packet differ by less. */
const LATER = 0.05;

/** Seconds that the path has for an answer after a change of this machine's network, before it is renewed. */
const DOUBT = 1;

/** Seconds: sums of times are not exact. */
const SLACK = 0.001;

export const NOT_ADIEU = "the other side said no hello: it does not speak adieu";

function isGone(m: MachineState): boolean {
  return GONE.has(m.evidence.presence);
}

/** Go on as far as the conditions of the recovery are met, whatever has brought them about. */
export function progress(m: MachineState): void {
  reset.endIfHealed(m);
  if (m.timers.get("ladder")! <= m.now) climb(m);
}

/** Suspect the other side: it has not answered for too long. */
export function suspect(m: MachineState): void {
  if (!m.silence) return;
  m.silence.suspected = true;
  m.note(`no answer for ${(m.now - m.silence.since).toFixed(1)} s`);
  if (!m.closing) {
    if (isGone(m)) return close.end(m, "remote", m.evidence.cause(), "");
    if (m.phase === "open") m.enter("suspect", m.evidence.told(m.now));
    else if (m.phase === "resetting") m.enter("recovering", m.evidence.told(m.now)); // the reset goes on
  }
  askPacketAge(m);
  if (m.evidence.signaling) m.act({ type: "Probe" });
  climb(m);
}

/** Ask how long ago the other side's engine was heard on the active connection. */
export function askPacketAge(m: MachineState): void {
  if (m.active !== undefined) m.act({ type: "AskFresh", epoch: m.active });
}

/**
 * Do what the next rung of the ladder says, and note when the one after it is due. Nothing is tried while the session
 * closes, which has a deadline of its own, or while the other side's program hangs.
 */
export function climb(m: MachineState): void {
  m.timers.delete("ladder");
  const { silence } = m;
  if (!silence || !m.isTroubled || m.evidence.iceFresh) return;
  updateCause(m);
  const seconds = m.now - silence.since;
  let [step, again] = askPolicy(m, seconds, silence.attempts);
  // Without a connection nothing is left that could heal.
  if (m.active === undefined && (step === "wait" || step === "ice") && !m.reset) step = "transport";
  m.timers.set("ladder", Math.max(silence.since + again, m.now + 0.05));
  if (step === "wait") return;
  if (step === "give-up") {
    m.note(`gave up after ${seconds.toFixed(0)} s`);
    close.endUnanswered(m, `no answer for ${seconds.toFixed(0)} s`);
  } else if (m.evidence.signaling) {
    m.enter("recovering", m.evidence.told(m.now));
    reset.recover(m, step);
  } else {
    m.wakeIn("ladder", 1); // or as soon as signaling is up
  }
}

/** Ask the recovery policy. It is the page's: where it fails, the default decides, and the evidence says so. */
function askPolicy(m: MachineState, seconds: number, attempts: number): [Step, number] {
  try {
    const [step, again] = m.options.recovery.step(seconds, attempts);
    if (STEPS.includes(step) && Number.isFinite(again)) return [step, again];
  } catch {} // else the session would never end
  m.note("the recovery policy failed: the default decides");
  return new Ladder().step(seconds, attempts);
}

/**
 * Look at the age of the engine's last packet. An engine that answers while its program does not, by signaling neither,
 * shows a program that hangs, and no ladder helps. One that lives twice without a hello belongs to a program that does
 * not speak adieu.
 */
export function packetAge(m: MachineState, connection: ConnectionState, age: number | null): void {
  if (m.state === "connecting") {
    if (age === null || age >= FRESH) connection.aliveAt = undefined;
    else if (connection.aliveAt === undefined) connection.aliveAt = m.now - age;
    // A later packet than the one that was seen before.
    else if (m.now - age > connection.aliveAt + LATER) close.end(m, "network", "protocol-error", NOT_ADIEU);
  } else if (m.silence && connection.epoch === m.active && (m.isTroubled || m.closing)) {
    const within = m.now - m.silence.since - m.options.burst;
    const hangs = age !== null && age < Math.min(FRESH, within) && !m.evidence.probePeer;
    if (hangs && !m.evidence.iceFresh) m.note("its engine answers, its program does not");
    m.evidence.iceFresh = hangs;
    m.wakeIn("fresh", 1);
    if (m.closing) return;
    if (!hangs && !m.timers.has("ladder")) m.wakeIn("ladder", 0);
    updateCause(m);
  }
}

/** Report the state again if the evidence now shows another cause; one that was just corrected holds for a while. */
export function updateCause(m: MachineState): void {
  const { reported } = m.evidence;
  const cause = m.evidence.told(m.now);
  if (m.isTroubled && cause !== reported) m.changed(m.state, cause);
}

/** Look at once: the server says that the other side is away or gone. */
export function presenceChanged(m: MachineState): void {
  if (m.state === "connecting") {
    if (isGone(m)) close.end(m, "remote", m.evidence.cause(), "");
    return;
  }
  if (!isGone(m) && m.evidence.presence !== "away") return; // evidence only
  if (!m.silence && m.active !== undefined) heartbeat.ask(m);
  updateCause(m);
  const soon = m.now + m.options.burst;
  m.timers.set("suspect", Math.min(m.timers.get("suspect") ?? soon, soon));
}

/**
 * Look at the path: this machine's network has changed. If it does not answer soon, or `atOnce`, it is renewed.
 *
 * A new network is no reason by itself: the path may go on over the old one.
 */
export function networkChanged(m: MachineState, text: string, atOnce = false): void {
  m.note(text);
  if (m.active === undefined || m.phase === "connecting") return;
  if (!m.silence) heartbeat.ask(m);
  if (m.closing || !m.silence) return;
  if (atOnce && m.evidence.signaling && !m.reset) reset.renew(m);
  else m.wakeIn("network", Math.max(m.silence.since + DOUBT - m.now, 0));
}

/** Renew the path at once, if ICE has lost it by the change of this machine's network. */
export function cutOff(m: MachineState): void {
  if (m.timers.has("network")) renewPath(m);
}

/** Renew the path, if nothing has come over it since the change. */
export function doubtIsOver(m: MachineState): void {
  if (m.silence && m.now >= m.silence.since + DOUBT - SLACK) renewPath(m);
}

function renewPath(m: MachineState): void {
  m.timers.delete("network");
  if (m.active === undefined || m.closing || (m.reset && !reset.mayBeRenewed(m.reset))) return;
  if (m.evidence.signaling) reset.renew(m);
  else m.wakeIn("network", DOUBT); // or as soon as signaling is up
}

/** Look why a connection has brought no hello in its time. */
export function helloMissing(m: MachineState, connection: ConnectionState): void {
  const { epoch } = connection;
  connection.helloBy = undefined;
  if (m.state !== "connecting") {
    reset.failed(m, `no hello on connection ${epoch}`);
  } else if (connection.controlOpen) {
    connection.helloBy = m.now + 1;
    m.act({ type: "AskFresh", epoch }); // is it silent, or is the network?
  } else if (!m.smaller && !connection.described) {
    connection.helloBy = m.now + m.options.resetTimeout; // nobody has called yet
  } else {
    connections.release(m, epoch);
    connections.connectAgain(m);
  }
}

/** End: the two sides did not meet in time. */
export function cannotMeet(m: MachineState): void {
  m.note(`no connection within ${m.options.connectTimeout} s`);
  close.end(m, "network", "gave-up", "the connection could not be made");
}

/** Decide what follows from a connection that has ended, and not by the session. */
export function connectionLost(m: MachineState, epoch: number, kind: LossKind, text: string): void {
  if (!m.connections.has(epoch)) return;
  m.note(text);
  const wasActive = epoch === m.active;
  connections.release(m, epoch);
  if (m.closing) return; // `close.progress` sees that it is gone.
  if (kind === "security") {
    close.end(m, "network", "security-error", text);
  } else if (m.reset) {
    if (epoch === m.reset.epoch && m.reset.phase !== "asked") {
      reset.connectionLost(m, m.reset, kind, `connection ${epoch} ended: ${text}`);
    } // else the old one: the reset goes on, and its deadline decides
  } else if (m.phase === "connecting") {
    if (kind === "failed") connections.connectAgain(m);
    else close.end(m, kind === "closed" ? "local" : "remote", "connection-closed", text);
  } else if (!wasActive) {
    return;
  } else if (kind === "closed") {
    close.end(m, "local", "connection-closed", text);
  } else if (kind === "left") {
    m.wakeIn("farewell", FAREWELL);
  } else {
    heartbeat.giveUpPath(m);
  }
}

/** End if no word has come that says why the other side closed the connection, or that there is another. */
export function farewellOver(m: MachineState): void {
  if (m.closing || m.reset || m.active !== undefined) return;
  close.end(m, "remote", m.evidence.isGone ? m.evidence.cause() : "connection-closed", "");
}

/** End a session that never was open, or take the connection as lost: it could not even be made. */
export function cannotConnect(m: MachineState, epoch: number, text: string): void {
  if (m.state !== "connecting") return connectionLost(m, epoch, "failed", text);
  m.note(text);
  connections.release(m, epoch);
  close.end(m, "local", "gave-up", text);
}
