/**
 * Reset: a new path or a new connection under the session, as one transaction (closing rule S8).
 *
 * `ice` restarts ICE on the same connection. `transport` makes a new connection beside the old one and switches when it
 * stands. `full` closes the old one first. The side with the smaller peer id offers, whoever asked; only it says
 * `switch` or `cancel`, one of them, once per epoch. The other side says `cancel` when its machine has no socket or no
 * address for the new connection: then there is no path on which a `switch` could have come about.
 */

import { SessionClosedError } from "../../errors.js";
import type { Level } from "../../protocol/control.js";
import type * as words from "../../protocol/messages.js";
import * as close from "./close.js";
import * as liveness from "./liveness.js";
import type { SessionMachine } from "./machine.js";
import type { Options } from "./options.js";

const RANK: Record<Level, number> = { ice: 0, transport: 1, full: 2 };
/** Seconds that the side that does not offer waits longer, so that the offerer's word comes first. */
const GRACE = 2;
const PESTERED = 5;
/** How many connections the other side may have made, or burnt the numbers of, that this side knows nothing of. */
export const AHEAD = 1024;

/** The one that is under way. */
export interface Reset {
  level: Level;
  /** Of the new connection; for `ice` of the one that stays. */
  epoch: number;
  asker: string;
  n: number;
  began: number;
  /** Begun by the ladder: it ends when the old connection heals. */
  recovery: boolean;
  phase: "asked" | "building" | "switching";
  /** `ice`: the ping whose answer proves the new path. */
  ping?: number;
  /** How its connection ended, if it was closed on purpose. */
  lost?: string;
  /** Asked for when it was too late to raise this one: the level of the next. */
  raisedTo?: Level;
}

/** What is remembered between them. */
export class Resets {
  /** How many this side has asked for. */
  asked = 0;
  /** The highest number of each asker. */
  known = new Map<string, number>();
  waiting: words.Reset | undefined;
  pestered = 0;
  #tokens = 0;
  #filled: number | undefined;

  constructor(private readonly options: Options) {}

  /** Whether a reset asked for by the other side may begin now: a burst, then one in so many seconds. */
  admit(now: number): boolean {
    const { peerResetsBurst, peerResetsEvery } = this.options;
    const gained = this.#filled === undefined ? peerResetsBurst : (now - this.#filled) / peerResetsEvery;
    this.#tokens = Math.min(this.#tokens + gained, peerResetsBurst);
    this.#filled = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}

// --- asking -------------------------------------------------------------------------------------------------------

/**
 * The application asks: begin one, join the running one, or raise its level.
 *
 * @throws SessionClosedError the session is closing or has ended.
 */
export function ask(m: SessionMachine, level: Level, now: number): void {
  if (m.state === "closing" || m.state === "closed") {
    throw new SessionClosedError(`cannot reset: the session with ${m.peer} is ${m.state}`);
  }
  if (m.reset && RANK[level] <= RANK[m.reset.level]) {
    m.reset.recovery = false;
    m.enter("resetting");
  } else if (m.reset?.phase === "switching") {
    // `switch` is said, and the other side may have done it: this one ends first.
    m.reset.raisedTo = level;
  } else {
    begin(m, level, now, false);
  }
}

/** The ladder asks: a reset that is under way is left alone, unless it is of the ladder and has had its time. */
export function recover(m: SessionMachine, level: "ice" | "transport", now: number): void {
  if (m.reset) {
    if (!m.reset.recovery || m.reset.phase === "switching" || (level === "ice" && m.reset.level === "ice")) return;
    abandon(m, "tried again");
  }
  begin(m, level, now, true);
}

function begin(m: SessionMachine, wanted: Level, now: number, recovery: boolean): void {
  if (m.reset) abandon(m, `raised to ${wanted}`);
  const level = possible(m, wanted);
  const n = ++m.resets.asked;
  const epoch = epochOf(m, level);
  m.reset = { level, epoch, asker: m.me, n, began: now, recovery, phase: "asked" };
  started(m, m.reset, now);
  m.say({ type: "reset", asker: m.me, n, epoch, level }, { both: recovery });
}

/** Without a connection there is none to restart ICE on. */
function possible(m: SessionMachine, level: Level): Level {
  return level === "ice" && m.active === undefined ? "transport" : level;
}

function epochOf(m: SessionMachine, level: Level): number {
  return level === "ice" && m.active !== undefined ? m.active : m.lastEpoch + 1;
}

function started(m: SessionMachine, { level, asker, recovery }: Reset, now: number): void {
  m.timers.set("reset", now + m.options.resetTimeout + (m.smaller ? 0 : GRACE));
  m.tell({ type: "ResetStarted", level, asker });
  if (!recovery) m.enter("resetting");
}

// --- the words ----------------------------------------------------------------------------------------------------

type ResetWord = words.Reset | words.ResetOk | words.Switch | words.Switched | words.Cancel;

/** A word of the other side, in-band or by signaling; each is idempotent. */
export function handleWord(m: SessionMachine, word: ResetWord, now: number): void {
  if (word.epoch > m.lastEpoch + AHEAD) {
    m.endByViolation(now, `names connection ${word.epoch}, and the last one was ${m.lastEpoch}`);
    return;
  }
  const reset = m.reset;
  switch (word.type) {
    case "reset":
      asked(m, word, now);
      break;
    case "resetOk":
      if (reset?.phase === "asked" && word.asker === m.me && word.n === reset.n) {
        m.tookEffect("reset");
        raiseTo(reset, word.level, word.epoch);
        build(m, reset, now);
      }
      break;
    case "switch":
      switchTo(m, word, now);
      break;
    case "switched":
      if (reset?.phase === "switching" && word.epoch === reset.epoch) {
        finish(m, m.activate(word.epoch, word.have, now), now);
      }
      break;
    case "cancel":
      m.lastEpoch = Math.max(m.lastEpoch, word.epoch);
      if (reset?.epoch === word.epoch && !(m.smaller && reset.phase === "switching"))
        giveUp(m, reset, now, `cancelled: the ${m.smaller ? "other side has no socket" : "old connection goes on"}`);
  }
}

function asked(m: SessionMachine, word: words.Reset, now: number): void {
  if (m.state === "connecting" || word.asker !== m.peer) return;
  if (m.closing) {
    close.sayAgain(m);
    return;
  }
  if (word.n <= (m.resets.known.get(word.asker) ?? 0)) {
    if (m.reset && m.reset.asker === word.asker && m.reset.n === word.n) sayOk(m, m.reset, word);
    return;
  }
  const calm = !m.reset && m.state === "open";
  if (calm && (m.resets.waiting || !m.resets.admit(now))) makeWait(m, word, now);
  else join(m, word, now);
}

function makeWait(m: SessionMachine, word: words.Reset, now: number): void {
  const { waiting } = m.resets;
  if (!waiting) {
    m.timers.set("peer-reset", now + m.options.peerResetsEvery);
  } else if (word.n > waiting.n && ++m.resets.pestered >= PESTERED) {
    m.endByViolation(now, `asked for ${PESTERED} more resets while one was waiting`);
    return;
  }
  m.resets.waiting = word;
}

function join(m: SessionMachine, word: words.Reset, now: number): void {
  m.resets.known.set(word.asker, word.n);
  m.resets.waiting = undefined;
  m.resets.pestered = 0;
  const level = possible(m, word.level);
  if (m.reset && RANK[level] > RANK[m.reset.level] && m.reset.phase !== "asked") abandon(m, `raised to ${level}`);
  if (m.reset) {
    // Both asked at once, or the ladder here and the application there: one reset.
    raiseTo(m.reset, level, word.epoch);
  } else {
    const epoch = level === "ice" ? epochOf(m, level) : Math.max(word.epoch, epochOf(m, level));
    const recovery = m.state === "suspect" || m.state === "recovering";
    m.reset = { level, epoch, asker: word.asker, n: word.n, began: now, recovery, phase: "asked" };
    started(m, m.reset, now);
  }
  m.tookEffect("reset");
  sayOk(m, m.reset, word);
  if (m.reset.phase === "asked") build(m, m.reset, now);
}

function raiseTo(reset: Reset, level: Level, epoch: number): void {
  if (RANK[level] > RANK[reset.level]) reset.level = level;
  if (reset.level !== "ice") reset.epoch = Math.max(reset.epoch, epoch);
}

function sayOk(m: SessionMachine, { epoch, level }: Reset, { asker, n }: words.Reset): void {
  // With `full` the asker closes the connection that carries the answer; in trouble it may not arrive.
  const both = level === "full" || m.liveness.asked !== undefined;
  m.say({ type: "resetOk", asker, n, epoch, level }, { both });
}

/** Both sides know: the offerer makes the new path, the other waits for its offer. */
function build(m: SessionMachine, reset: Reset, now: number): void {
  reset.phase = "building";
  if (reset.level === "full" && reset.asker === m.me && m.active !== undefined) m.release(m.active);
  if (!m.smaller) return;
  if (reset.level === "ice") {
    m.act({ type: "RestartIce", epoch: reset.epoch });
  } else {
    reset.epoch = Math.max(reset.epoch, m.lastEpoch + 1);
    m.connect(reset.epoch, now);
  }
}

/** An offer for a new connection came before, or without, the word that asks for it. */
export function implied(m: SessionMachine, epoch: number, now: number): boolean {
  let reset = m.reset;
  if (m.closing && !reset) return false;
  if (!reset) {
    const recovery = m.state === "suspect" || m.state === "recovering";
    reset = { level: "transport", epoch, asker: m.peer, n: 0, began: now, recovery, phase: "asked" };
    m.reset = reset;
    started(m, reset, now);
  } else if (reset.level === "ice") {
    reset.level = "transport";
  } else if (reset.epoch !== epoch && m.links.has(reset.epoch)) {
    m.release(reset.epoch);
  }
  reset.epoch = epoch;
  reset.phase = "building";
  m.tookEffect("reset", "resetOk");
  m.connect(epoch, now);
  return true;
}

// --- the new connection -------------------------------------------------------------------------------------------

/** Both have said hello on a connection: the offerer says `switch`. */
export function greeted(m: SessionMachine, epoch: number): void {
  const reset = m.reset;
  if (!reset || epoch !== reset.epoch || !m.smaller) return;
  reset.phase = "switching";
  m.tookEffect("resetOk");
  m.say({ type: "switch", epoch, have: m.have() }, { epoch });
}

function switchTo(m: SessionMachine, { epoch, have }: words.Switch, now: number): void {
  if (m.smaller) return;
  const answer: words.Switched = { type: "switched", epoch, have: m.have() };
  if (epoch === m.active) {
    m.say(answer, { epoch, repeat: false }); // said again: the answer was lost
  } else if (m.reset && epoch === m.reset.epoch && m.links.get(epoch)?.heardHello) {
    // By signaling it may come before the hello: it comes in-band too.
    m.say(answer, { epoch });
    finish(m, m.activate(epoch, have, now), now);
  }
}

/** `ice`: the new path has been agreed on; a ping proves that the connection works. */
export function negotiated(m: SessionMachine, epoch: number, now: number): void {
  const reset = m.reset;
  if (reset?.level !== "ice" || reset.epoch !== epoch) return;
  m.tookEffect("reset", "resetOk");
  reset.phase = "building";
  reset.ping = liveness.ask(m, now);
}

/** An answer to a ping. */
export function ponged(m: SessionMachine, epoch: number, n: number, now: number): void {
  const reset = m.reset;
  if (reset?.level === "ice" && reset.epoch === epoch && reset.ping !== undefined && n >= reset.ping) {
    finish(m, 0, now);
  }
}

function finish(m: SessionMachine, replayed: number, now: number): void {
  const reset = m.reset;
  if (!reset) return; // the switch itself ended the session
  forget(m);
  for (const epoch of [...m.links.keys()]) if (epoch !== m.active) m.release(epoch);
  const { level, asker, epoch, raisedTo } = reset;
  const error = raisedTo ? `raised to ${raisedTo}` : "";
  m.tell({ type: "ResetEnded", level, asker, epoch, duration: now - reset.began, replayed, error });
  if (m.closing) return;
  m.enter("open");
  if (raisedTo) begin(m, raisedTo, now, false);
}

// --- when it does not work ----------------------------------------------------------------------------------------

/** A timer of this file is due. */
export function handleTimeout(m: SessionMachine, kind: "reset" | "peer-reset", now: number): void {
  const { waiting } = m.resets;
  if (kind === "reset") {
    failed(m, now, m.reset?.lost ?? `not done within ${m.options.resetTimeout} s`);
  } else if (waiting && !m.closing) {
    if (m.resets.admit(now)) join(m, waiting, now);
    else m.timers.set("peer-reset", now + m.options.peerResetsEvery);
  }
}

/** The new connection has ended. If somebody waits, and it was on purpose, the word that says why may be behind. */
export function connectionLost(
  m: SessionMachine,
  reset: Reset,
  kind: liveness.LossKind,
  why: string,
  now: number,
): void {
  if (kind === "left" && !reset.recovery) {
    reset.lost = why;
    m.timers.set("reset", now + m.options.wordRepeat);
  } else {
    giveUp(m, reset, now, why);
  }
}

/** The reset is given up. The old connection goes on if it answers, else the ladder does. */
export function failed(m: SessionMachine, now: number, why: string): void {
  if (m.reset) giveUp(m, m.reset, now, why);
}

/** The old connection speaks again: what the ladder began is not needed. */
export function healed(m: SessionMachine, now: number): void {
  const reset = m.reset;
  // The side that does not offer leaves it to the other: its `cancel` or its `switch` comes.
  if (reset?.recovery && reset.phase !== "switching" && m.smaller) giveUp(m, reset, now, "the old connection healed");
}

function giveUp(m: SessionMachine, reset: Reset, now: number, why: string): void {
  if (m.smaller && reset.phase !== "switching") m.say({ type: "cancel", epoch: reset.epoch });
  abandon(m, why, now);
  if (m.closing) return;
  if (m.active !== undefined && m.liveness.asked === undefined) m.enter("open");
  else liveness.broken(m, now);
}

/** Forget it: the number of its connection is burnt. */
function abandon(m: SessionMachine, error: string, now?: number): void {
  const { level, asker, epoch, began } = m.reset!;
  forget(m);
  if (level !== "ice") {
    m.lastEpoch = Math.max(m.lastEpoch, epoch);
    if (epoch !== m.active) m.release(epoch);
  }
  m.tell({
    type: "ResetEnded",
    level,
    asker,
    epoch,
    duration: now === undefined ? 0 : now - began,
    replayed: 0,
    error,
  });
}

/** `closing` cancels a reset whose old connection still answers; any other is finished within the deadline. */
export function cancelByClosing(m: SessionMachine): void {
  if (m.reset && m.active !== undefined && m.liveness.asked === undefined && m.reset.phase !== "switching") {
    abandon(m, "the session is closing");
  }
}

/** This side has said `closed`: a new connection has nothing left to carry. */
export function endByClosed(m: SessionMachine): void {
  if (m.reset) abandon(m, "the session is closed", m.now);
}

function forget(m: SessionMachine): void {
  m.reset = undefined;
  m.timers.delete("reset");
  m.tookEffect("reset", "resetOk", "switch");
}
