/** A room's state for one other peer: which of their sessions is current, or why they have no session. */

import type { Word } from "../protocol/control.js";
import { sessionId } from "../protocol/ids.js";
import type { Candidates, Description, Moved, Peer } from "../protocol/messages.js";
import type { CloseReceipt } from "./receipt.js";
import type { Session } from "./session.js";

/** A message from one peer's session to another's. */
export type Said = Description | Candidates | Moved | Word;

/**
 * Nobody has looked at it; `accept` decides; we do not want it; there is a session; the last one ended, which nobody
 * wanted; the last one ended, which somebody wanted.
 */
export type Standing = "new" | "considered" | "refused" | "together" | "apart" | "over";

/** Messages of a peer that has no session yet; the oldest are dropped for more. */
const MAX_EARLY = 200;
/** The most sessions that the other side may have started and given up unnoticed. */
const AHEAD = 128;
/** Seconds until the first, and between later, tries after an end that nobody wanted. */
const FIRST_AGAIN = 1;
const MAX_AGAIN = 30;
const UNWANTED = ["crashed", "frozen", "network-lost", "frozen, network-lost", "busy", "gave-up"];

/** Somebody who is in the room, and with whom there is no connection (closing rule S13). */
export interface Unconnected {
  peer: Peer;
  /**
   * `away`: the server has lost its socket. `considered`: `accept` has not decided. `refused`: `accept` refused.
   * `connecting`: for the first time, or again. `again`: the last session ended unwanted, and the next one is about to
   * start. `over`: the last session ended because somebody wanted it; no other starts by itself.
   */
  why: "away" | "considered" | "refused" | "connecting" | "again" | "over";
  /** The same for people; how the last session ended, if there was one. */
  text: string;
  /** Milliseconds until the next attempt, approximately; undefined: no attempt is planned. */
  again: number | undefined;
}

/** This side and one other peer. */
export class Pair {
  standing: Standing = "new";
  /** The number of the last session between the two ids. */
  n = 0;
  /** The last one. */
  session: Session | undefined;
  /** `accept` has said yes. */
  accepted = false;
  text = "";
  /** Ends that nobody wanted, since the last connection. */
  attempts = 0;
  againAt: number | undefined;
  cancelTimer: (() => void) | undefined;
  /** When the last session was made. */
  began = Number.NEGATIVE_INFINITY;
  /** Messages of the peer for a session that does not exist yet; undefined: they are not kept. */
  early: Said[] | undefined;
  #ids = new Map<string, number>();
  #idsOf = "";

  constructor(
    /** The peer id. */
    public peer: string,
  ) {}

  /** The session, if it has not ended. */
  get live(): Session | undefined {
    return this.session?.receipt ? undefined : this.session;
  }

  /** Return which of the coming sessions of the two peers this id names; undefined: not one of them. */
  number(room: string, me: string, session = ""): number | undefined {
    const of = `${me} ${this.peer} ${this.n}`;
    if (this.#idsOf !== of) {
      this.#idsOf = of;
      this.#ids.clear();
      for (let n = this.n + 1; n <= this.n + AHEAD; n++) this.#ids.set(sessionId(room, me, this.peer, n), n);
    }
    return this.#ids.get(session);
  }

  /** Keep a message until there is a session for it. */
  keep(message: Said): void {
    if (this.early?.push(message) === MAX_EARLY + 1) this.early.shift();
  }

  /** Return the kept messages; from now on no message is kept. */
  takeEarly(): Said[] {
    const early = this.early ?? [];
    this.early = undefined;
    return early;
  }

  /** Cancel the next attempt. */
  forgetTimer(): void {
    this.cancelTimer?.();
    this.cancelTimer = this.againAt = undefined;
  }

  /** Seconds until the next try. */
  get delay(): number {
    return Math.min(FIRST_AGAIN * 2 ** Math.max(0, Math.min(this.attempts - 1, 10)), MAX_AGAIN);
  }
}

/** Whether somebody asked for this end; else both would rather be connected. */
export function isWanted({ reason, by }: CloseReceipt): boolean {
  if (reason.code === "busy" && by === "remote") return true; // the other side does not accept us
  return !UNWANTED.includes(reason.code);
}

/** The name of the peer for people. */
export function who({ name, peer }: Peer): string {
  return name || peer;
}

/** Why there is no connection with this peer; undefined: there is one. */
export function describe(pair: Pair, peer: Peer, now: number): Unconnected | undefined {
  const { live, standing } = pair;
  const because = (why: Unconnected["why"], text: string, again?: number): Unconnected => ({ peer, why, text, again });
  if (live && live.state !== "connecting") return undefined;
  if (peer.away && !live && standing !== "over" && standing !== "refused") {
    return because("away", `${who(peer)} is away: the server has lost its socket`);
  }
  switch (standing) {
    case "new":
      return because("connecting", `${who(peer)} has just come in`);
    case "considered":
      return because("considered", `whether ${who(peer)} is accepted is not decided`);
    case "refused":
      return because("refused", pair.text);
    case "together":
      return because("connecting", pair.text || `${who(peer)} is not connected yet`);
    case "apart": {
      const again = pair.againAt === undefined ? undefined : Math.max(0, pair.againAt - now) * 1000;
      return because("again", pair.text, again);
    }
    case "over":
      return because("over", pair.text);
  }
}
