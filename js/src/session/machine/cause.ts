/** Why the other side does not answer, or why it ended: names from closing rule S7, with the evidence for them. */

import { line } from "../../protocol/text.js";

export const CAUSES = [
  "left",
  "tab-closed",
  "reloaded",
  "navigated",
  "crashed",
  "frozen",
  "network-lost",
  "busy",
  "kicked",
  "room-closed",
  "replaced",
  "server-shutdown",
  "connection-closed",
  "protocol-error",
  "security-error",
  "gave-up",
];

/** The code of the reason when a room was closed for all. A cause only if this side's server says it too. */
export const ROOM_CLOSED = "room-closed";

/** Causes that a peer may claim for itself. This side judges all other causes alone, by its own evidence. */
export const CLAIMS = new Set(["left", "tab-closed", "reloaded", "navigated", "connection-closed"]);

/** Causes of an end that neither side wanted: each can only say them of the other. */
export const DEATHS = new Set(["crashed", "frozen", "network-lost", "frozen, network-lost", "busy"]);

export type Confidence = "possible" | "likely" | "certain";

/** Seconds: a cause that was corrected holds so long. Two pieces of evidence in turn do not make it flicker. */
const STEADY = 5;

/**
 * Return how sure a cause is. `certain`: the other side or the server said it, or this side saw it. `likely`: the
 * evidence fits nothing better. `possible`: more than one cause looks the same from here.
 */
export function confidence(cause: string): Confidence {
  if (cause.includes(",")) return "possible";
  return /^(crashed|frozen)$/.test(cause) ? "likely" : "certain";
}

export type Presence = "here" | "away" | "left" | "kicked" | "replaced" | "timeout" | "shutdown";

/** Presences that are causes. */
export const GONE: ReadonlySet<string> = new Set<Presence>(["left", "kicked", "replaced"]);

const MAX_EVIDENCE = 32;

/** The evidence about the other side's silence. Earlier evidence is never held against the other side. */
export class PeerEvidence {
  presence: Presence = "here";
  /** This side's way to the server is up. */
  signaling = true;
  reloaded = false;
  /** When the server said so: a sign of a crash only if nothing was heard since. */
  socketEnded: number | undefined;
  /** The server says that its socket is open. */
  probeServer: boolean | undefined;
  /** The other side answered by signaling while the connection was silent. */
  probePeer = false;
  /** Whether its ICE agent answers although its program does not. */
  iceFresh = false;
  /** For how many seconds this program did not run, just before this silence or in it: asleep, or stopped. */
  stoodStill = 0;
  /** When that was over. */
  woke = 0;
  /** The cause that the application knows. */
  reported = "";
  /** The time before which the reported cause is not corrected again. */
  heldUntil = 0;
  #log: [now: number, text: string][] = [];

  /** Keep a line of evidence. */
  note(now: number, text: string): void {
    this.#log.push([now, line(text)]);
    if (this.#log.length > MAX_EVIDENCE) this.#log.shift();
  }

  /** Note what the server says of the other side. */
  place(presence: Presence, now: number): void {
    if (presence === "here") this.socketEnded = undefined;
    else if (presence === "away" && this.presence !== "away") this.socketEnded = now;
    this.presence = presence;
  }

  /** Note that this program has not run for so long. */
  slept(seconds: number, now: number): void {
    this.stoodStill = seconds;
    this.woke = now;
    this.note(now, `this program was suspended for ${seconds.toFixed(0)} s`);
  }

  /**
   * Forget what was collected during the silence: the other side speaks again.
   *
   * @param underWay seconds that what it said before may have been under way.
   */
  heard(now: number, underWay: number): void {
    this.probeServer = undefined;
    this.probePeer = this.iceFresh = false;
    this.heldUntil = 0;
    if (this.socketEnded !== undefined && now > this.socketEnded + underWay) this.socketEnded = undefined;
    if (now > this.woke + underWay) this.stoodStill = 0;
    this.#log = [];
  }

  /** The server has said that the other side has left: then it knows the cause, too. */
  get isGone(): boolean {
    return this.reloaded || GONE.has(this.presence) || this.#crashed;
  }

  /** Whether its socket ended with it. If it was still open in the silence, the server gave it up: no crash. */
  get #crashed(): boolean {
    return this.socketEnded !== undefined && this.probeServer !== true;
  }

  /** Return the likely cause by the evidence; if two causes look the same, both: "frozen, network-lost". */
  cause(): string {
    if (this.reloaded) return "reloaded";
    if (GONE.has(this.presence)) return this.presence;
    if (this.iceFresh) return "busy";
    if (this.#crashed) return "crashed";
    return this.probePeer ? "network-lost" : "frozen, network-lost";
  }

  /** Return the cause to report: the likely one, but after a correction it holds for `STEADY` seconds. */
  told(now: number): string {
    const cause = this.cause();
    if (this.reported && cause !== this.reported) {
      if (now < this.heldUntil) return this.reported;
      this.heldUntil = now + STEADY;
    }
    return cause;
  }

  /** Return the lines, oldest first, with the seconds since the oldest. */
  lines(): string[] {
    const start = this.#log[0]?.[0] ?? 0;
    return this.#log.map(([when, text]) => `+${(when - start).toFixed(2)} s ${text}`);
  }
}
