/**
 * Reset: a new path or a new connection under the session, as one transaction (closing rule S8).
 *
 * `ice` restarts ICE on the same connection. `transport` makes a new connection next to the old one and switches when
 * it is open. `full` closes the old one first. The side with the smaller peer id offers, whichever side asked. Only
 * this side sends `switch` or `cancel`: one of them, once per epoch. The other side sends `cancel` only when its
 * computer has no socket or no address for the new connection. Then there is no path on which a `switch` could have
 * come.
 */

import { SessionClosedError } from "../../errors.js";
import type { Level } from "../../protocol/control.js";
import type * as words from "../../protocol/messages.js";
import * as connections from "./connections.js";
import { Violation } from "./flow.js";
import * as heartbeat from "./heartbeat.js";
import type { LossKind, MachineState, Reset } from "./state.js";

const RANK: Record<Level, number> = { ice: 0, transport: 1, full: 2 };
/** Seconds that the side that does not offer waits longer, so that the offerer's word comes first. */
const GRACE = 2;
/** Seconds that a reset of the ladder has before the ladder begins another in its place, of the same level. */
const A_TRY = 5;
/** Seconds that the old connection has to be heard here too, when the other side hears it and wants no other. */
const ONE_WAY = 1;
/** The most resets that may be requested while one waits; beyond it the session ends. */
const PESTERED = 5;

// --- asking -------------------------------------------------------------------------------------------------------

/**
 * Begin a reset for the application, join the running one, or raise its level.
 *
 * @throws SessionClosedError the session is closing or has ended.
 */
export function ask(m: MachineState, level: Level): void {
  if (m.closing) throw new SessionClosedError(`cannot reset: the session is ${m.state}`);
  if (m.reset && RANK[level] <= RANK[m.reset.level]) {
    m.reset.recovery = false;
    m.enter("resetting");
  } else if (m.reset?.phase === "switching") {
    // `switch` is said, and the other side may have done it: this one ends first.
    m.reset.raisedTo = level;
  } else {
    begin(m, level, false);
  }
}

/** Begin a reset for the ladder, unless one is under way that is not the ladder's, or has not had its time. */
export function recover(m: MachineState, level: "ice" | "transport"): void {
  const { reset } = m;
  if (reset) {
    const hasTime = RANK[level] <= RANK[reset.level] && m.now - reset.began < A_TRY;
    if (!reset.recovery || reset.phase === "switching" || hasTime) return;
    abandon(m, reset, "tried again");
  }
  begin(m, level, true);
}

/** Whether it only makes a new path, perhaps from addresses that have gone meanwhile, and nobody waits for it. */
export function mayBeRenewed({ level, recovery }: Reset): boolean {
  return level === "ice" && recovery;
}

/** Begin a reset of the path: this machine's network has changed, and what is used may soon be gone. */
export function renew(m: MachineState): void {
  if (m.reset) abandon(m, m.reset, "tried again");
  // A path to addresses that have gone may still be under way on the side that offers: a connection goes beside it.
  begin(m, !m.smaller && m.now < m.resets.icePendingUntil ? "transport" : "ice", true, true);
}

function begin(m: MachineState, wanted: Level, recovery: boolean, renews = false): void {
  if (m.reset) abandon(m, m.reset, `raised to ${wanted}`);
  const level = possible(m, wanted);
  const n = ++m.resets.asked;
  const epoch = epochOf(m, level);
  start(m, { level, epoch, asker: m.me, n }, recovery, renews);
  m.say({ type: "reset", asker: m.me, n, epoch, level }, { both: recovery });
}

/** Without a connection ICE cannot be restarted. */
function possible(m: MachineState, level: Level): Level {
  return level === "ice" && m.active === undefined ? "transport" : level;
}

function epochOf(m: MachineState, level: Level): number {
  return level === "ice" && m.active !== undefined ? m.active : m.lastEpoch + 1;
}

type Asked = Pick<Reset, "level" | "epoch" | "asker" | "n">;

function start(m: MachineState, asked: Asked, recovery = m.isTroubled, renews = false): Reset {
  const { level, asker } = asked;
  m.reset = { ...asked, phase: "asked", began: m.now, recovery, renews };
  if (level !== "ice" && m.silence) m.silence.attempts++;
  m.wakeIn("reset", m.options.resetTimeout + (m.smaller ? 0 : GRACE));
  m.report({ type: "ResetStarted", level, asker });
  if (!recovery) m.enter("resetting");
  return m.reset;
}

// --- the words ----------------------------------------------------------------------------------------------------

type ResetWord = words.Reset | words.ResetOk | words.Switch | words.Switched | words.Cancel;

/** Take a word of the other side, in-band or by signaling; a word that comes twice has one effect. */
export function handleWord(m: MachineState, word: ResetWord): void {
  const { reset } = m;
  switch (word.type) {
    case "reset":
      asked(m, word);
      break;
    case "resetOk":
      if (reset?.phase === "asked" && word.asker === m.me && word.n === reset.n) {
        m.tookEffect("reset");
        raiseTo(reset, word.level, word.epoch);
        build(m, reset);
      }
      break;
    case "switch":
      switchTo(m, word);
      break;
    case "switched":
      if (reset?.phase === "switching" && word.epoch === reset.epoch) {
        finish(m, reset, connections.activate(m, word.epoch, word.have));
      }
      break;
    case "cancel":
      m.lastEpoch = Math.max(m.lastEpoch, word.epoch);
      if (reset?.epoch === word.epoch && !(m.smaller && reset.phase === "switching"))
        letGo(m, reset, `cancelled: the ${m.smaller ? "other side has no socket" : "old connection goes on"}`);
  }
}

/**
 * See whether there can be a connection of this number.
 *
 * @throws Violation it is too far ahead.
 */
export function checkEpoch(m: MachineState, epoch: number): void {
  if (epoch > m.lastEpoch + connections.AHEAD) {
    throw new Violation(`names connection ${epoch}, and the last one was ${m.lastEpoch}`);
  }
}

function asked(m: MachineState, word: words.Reset): void {
  const { reset, resets } = m;
  if (word.n <= (resets.known.get(word.asker) ?? 0)) {
    if (reset?.asker === word.asker && reset.n === word.n) sayOk(m, reset, word);
    return;
  }
  const calm = !reset && m.phase === "open";
  if (calm && (resets.waiting || !resets.admit(m.now))) makeWait(m, word);
  else join(m, word);
}

function makeWait(m: MachineState, word: words.Reset): void {
  const { waiting } = m.resets;
  if (!waiting) {
    m.wakeIn("peer-reset", m.options.peerResetsEvery);
  } else if (word.n > waiting.n && ++m.resets.pestered >= PESTERED) {
    throw new Violation(`asked for ${PESTERED} more resets while one was waiting`);
  }
  m.resets.waiting = word;
}

function join(m: MachineState, word: words.Reset): void {
  const { asker, n } = word;
  m.resets.known.set(asker, n);
  m.resets.waiting = undefined;
  m.resets.pestered = 0;
  const level = possible(m, word.level);
  if (m.reset && RANK[level] > RANK[m.reset.level] && m.reset.phase !== "asked") {
    abandon(m, m.reset, `raised to ${level}`);
  }
  let { reset } = m;
  if (reset) {
    // Both asked at once, or the ladder here and the application there: one reset.
    const made = reset.epoch;
    raiseTo(reset, level, word.epoch);
    if (reset.epoch > made && reset.phase === "building" && m.resets.admit(m.now)) {
      // The other side has given up the connection that is being made.
      connections.release(m, made);
      reset.phase = "asked";
    }
  } else {
    const epoch = level === "ice" ? epochOf(m, level) : Math.max(word.epoch, epochOf(m, level));
    reset = start(m, { level, epoch, asker, n });
  }
  m.tookEffect("reset");
  sayOk(m, reset, word);
  if (reset.phase === "asked") build(m, reset);
}

function raiseTo(reset: Reset, level: Level, epoch: number): void {
  if (RANK[level] > RANK[reset.level]) reset.level = level;
  if (reset.level !== "ice") reset.epoch = Math.max(reset.epoch, epoch);
}

function sayOk(m: MachineState, { epoch, level }: Reset, { asker, n }: words.Reset): void {
  // With `full` the asker closes the connection that carries the answer; in trouble it may not arrive.
  m.say({ type: "resetOk", asker, n, epoch, level }, { both: level === "full" || m.silence !== undefined });
}

/** Make the new path if this side offers, now that both sides know; the other waits for the offer. */
function build(m: MachineState, reset: Reset): void {
  reset.phase = "building";
  if (reset.level === "full" && reset.asker === m.me && m.active !== undefined) connections.release(m, m.active);
  if (!m.smaller) return;
  if (reset.level === "ice") {
    m.act({ type: "RestartIce", epoch: reset.epoch });
  } else {
    reset.epoch = Math.max(reset.epoch, m.lastEpoch + 1);
    connections.connect(m, reset.epoch);
  }
}

/** Begin the reset, or go on, for which an offer came before, or without, its word. Whether the offer is taken. */
export function beginByOffer(m: MachineState, epoch: number): boolean {
  let { reset } = m;
  if (!reset) {
    if (m.closing) return false;
    reset = start(m, { level: "transport", epoch, asker: m.peer, n: 0 });
  } else if (reset.level === "ice") {
    reset.level = "transport";
  } else if (reset.epoch !== epoch) {
    connections.release(m, reset.epoch);
  }
  reset.epoch = epoch;
  reset.phase = "building";
  m.tookEffect("reset", "resetOk");
  connections.connect(m, epoch);
  return true;
}

// --- the new connection -------------------------------------------------------------------------------------------

/** Say `switch` if this side offers: both have said hello on a connection. */
export function greeted(m: MachineState, epoch: number): void {
  const { reset } = m;
  if (epoch !== reset?.epoch || !m.smaller) return;
  reset.phase = "switching";
  m.tookEffect("resetOk");
  m.say({ type: "switch", epoch, have: m.have() }, { epoch });
}

function switchTo(m: MachineState, { epoch, have }: words.Switch): void {
  if (m.smaller) return;
  const { reset } = m;
  const answer: words.Switched = { type: "switched", epoch, have: m.have() };
  if (epoch === m.active) {
    m.say(answer, { epoch, repeat: false }); // said again: the answer was lost
  } else if (epoch === reset?.epoch && m.connections.get(epoch)?.heardHello) {
    // By signaling it may come before the hello: it comes in-band too.
    m.say(answer, { epoch });
    finish(m, reset, connections.activate(m, epoch, have));
  }
}

/** Send a ping over the new path of an `ice` reset, which has been agreed on: the answer proves it. */
export function negotiated(m: MachineState, epoch: number): void {
  const { reset } = m;
  if (reset?.level !== "ice" || reset.epoch !== epoch) return;
  m.tookEffect("reset", "resetOk");
  reset.phase = "building";
  reset.ping = heartbeat.ask(m);
}

/** Finish an `ice` reset if this answers its ping. */
export function ponged(m: MachineState, epoch: number, n: number): void {
  const { reset } = m;
  if (reset?.level === "ice" && reset.epoch === epoch && reset.ping !== undefined && n >= reset.ping) {
    finish(m, reset, 0);
  }
}

function finish(m: MachineState, reset: Reset, replayed: number): void {
  forget(m);
  for (const epoch of [...m.connections.keys()]) if (epoch !== m.active) connections.release(m, epoch);
  const { raisedTo } = reset;
  reportEnd(m, reset, m.now - reset.began, replayed, raisedTo ? `raised to ${raisedTo}` : "");
  if (m.closing) return;
  m.enter("open");
  if (raisedTo) begin(m, raisedTo, false);
}

function reportEnd(m: MachineState, reset: Reset, duration: number, replayed: number, error: string): void {
  const { level, asker, epoch } = reset;
  m.report({ type: "ResetEnded", level, asker, epoch, duration, replayed, error });
}

// --- when it does not work ----------------------------------------------------------------------------------------

/** Begin the reset that was made to wait, if it may begin now. */
export function waitIsOver(m: MachineState): void {
  const { waiting } = m.resets;
  if (!waiting || m.closing) return;
  if (m.resets.admit(m.now)) join(m, waiting);
  else m.wakeIn("peer-reset", m.options.peerResetsEvery);
}

/**
 * Give the reset up, whose connection has ended. If the application waits, and it was on purpose, the word that says why
 * may be behind.
 */
export function connectionLost(m: MachineState, reset: Reset, kind: LossKind, why: string): void {
  if (kind === "left" && !reset.recovery) {
    reset.lost = why;
    m.wakeIn("reset", m.options.wordRepeat);
  } else {
    letGo(m, reset, why);
  }
}

/** Give the reset up, by default as its time is over. The old connection goes on if it answers, else the ladder does. */
export function failed(m: MachineState, why = m.reset?.lost ?? `not done within ${m.options.resetTimeout} s`): void {
  if (m.reset) giveUp(m, m.reset, why);
}

/**
 * Give up a reset that the ladder began and nobody needs: the old connection speaks again. The side that does not offer
 * leaves it to the other: its `cancel` or its `switch` comes.
 */
export function endIfHealed(m: MachineState): void {
  const { reset } = m;
  if (m.silence || m.closing || !m.smaller) return;
  if (reset?.recovery && !reset.renews && reset.phase !== "switching") giveUp(m, reset, "the old connection healed");
}

function giveUp(m: MachineState, reset: Reset, why: string): void {
  if (m.smaller && reset.phase !== "switching") m.say({ type: "cancel", epoch: reset.epoch });
  abandon(m, reset, why, m.now - reset.began);
  if (m.closing) return;
  if (m.active !== undefined && !m.silence) m.enter("open");
  else heartbeat.giveUpPath(m);
}

/**
 * Give up a reset whose connection has ended, or that the other side gives up: if that side offers, most likely it hears
 * the old connection. This side may hear nothing yet, as the other's stack sends again ever more rarely. Then it asks
 * once more.
 */
function letGo(m: MachineState, reset: Reset, why: string): void {
  giveUp(m, reset, why);
  if (m.smaller || !m.silence?.attempts || m.silence.excused || m.closing) return;
  m.silence.excused = true;
  m.silence.attempts--;
  m.wakeIn("ladder", ONE_WAY);
}

/** Forget it: the number of its connection is burnt. */
function abandon(m: MachineState, reset: Reset, why: string, duration = 0): void {
  const { level, epoch } = reset;
  forget(m);
  if (level === "ice") {
    m.resets.icePendingUntil = reset.began + m.options.resetTimeout;
  } else {
    m.lastEpoch = Math.max(m.lastEpoch, epoch);
    if (epoch !== m.active) connections.release(m, epoch);
  }
  reportEnd(m, reset, duration, 0, why);
}

/** Cancel a reset whose old connection still answers; any other is finished within the close's deadline. */
export function cancelByClosing(m: MachineState): void {
  const { reset } = m;
  if (reset && m.active !== undefined && !m.silence && reset.phase !== "switching") {
    abandon(m, reset, "the session is closing");
  }
}

/** End the reset: this side has said `closed`, and a new connection has nothing left to carry. */
export function endByClosed(m: MachineState): void {
  if (m.reset) abandon(m, m.reset, "the session is closed", m.now - m.reset.began);
}

function forget(m: MachineState): void {
  m.reset = undefined;
  m.timers.delete("reset");
  m.tookEffect("reset", "resetOk", "switch");
}
