/** What a room knows of one other peer: which of their sessions it is, and why there is none. */

import type { Word } from "../protocol/control.js";
import { sessionId } from "../protocol/ids.js";
import type { Candidates, Description, Moved, Peer } from "../protocol/messages.js";
import type { CloseReceipt } from "./receipt.js";
import type { Session } from "./session.js";

/** What one peer's session says to another's. */
export type Said = Description | Candidates | Moved | Word;

/**
 * Nobody has looked at it; `accept` decides; we do not want it; there is a session; the last one ended, which nobody
 * wanted; the last one ended, which somebody wanted.
 */
export type Standing = "new" | "considered" | "refused" | "together" | "apart" | "over";

/** Messages of a peer that has no session yet; the oldest are dropped for more. */
const MAX_EARLY = 200;
/** Sessions that the other side may have begun, and given up, while this side did not look. */
const AHEAD = 128;
/** Seconds until the first, and between later, tries after an end that nobody wanted. */
const FIRST_AGAIN = 1;
const MAX_AGAIN = 30;
const UNWANTED = ["crashed", "frozen", "network-lost", "frozen, network-lost", "busy", "gave-up"];

/** Somebody who is in the room, and with whom there is no connection (closing rule S13). */
export interface Unconnected {
  peer: Peer;
  /**
   * `away`: the server has lost its socket; `considered`: `accept` has not decided; `refused` by `accept`; `connecting`
   * for the first time, or again; `again`: the last session ended, which nobody wanted, and the next one is about to
   * come; `over`: it ended, and somebody wanted that: no other comes by itself.
   */
  why: "away" | "considered" | "refused" | "connecting" | "again" | "over";
  /** The same for people; how the last session ended, if there was one. */
  text: string;
  /** Milliseconds until the next try, about; undefined: none is planned. */
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
  /** What the peer has said of a session that does not exist yet; undefined: it is not kept. */
  early: Said[] | undefined;
  #ids = new Map<string, number>();
  #idsOf = "";

  constructor(
    /** Its id. */
    public peer: string,
  ) {}

  /** The session, if it has not ended. */
  get live(): Session | undefined {
    return this.session?.receipt ? undefined : this.session;
  }

  /** Which of the coming sessions of the two this id names; undefined: none. */
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

  /** What was kept; from now on nothing is. */
  takeEarly(): Said[] {
    const early = this.early ?? [];
    this.early = undefined;
    return early;
  }

  /** No next try is planned any more. */
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

/** What people call it. */
export function who({ name, peer }: Peer): string {
  return name || peer;
}

/** Why there is no connection with this peer; undefined: there is one. */
export function describe(pair: Pair, peer: Peer, now: number): Unconnected | undefined {
  const { live, standing } = pair;
  const because = (why: Unconnected["why"], text: string, again?: number): Unconnected => ({ peer, why, text, again });
  if (live && live.state !== "connecting") return undefined;
  if (peer.away && !live && standing !== "over" && standing !== "refused") {
    return because("away", `${who(peer)} is away: the server has lost the way to it`);
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
