/** Why the other side does not answer, or why it ended: names from closing rule S7, with the evidence for them. */

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
  "replaced",
  "server-shutdown",
  "connection-closed",
  "protocol-error",
  "security-error",
  "gave-up",
];

export type Presence = "here" | "away" | "left" | "kicked" | "replaced" | "timeout" | "shutdown";

const OF_PRESENCE = new Map<Presence, string>([
  ["left", "left"],
  ["kicked", "kicked"],
  ["replaced", "replaced"],
  ["away", "crashed"],
]);
const MAX_EVIDENCE = 32;

/** What is known about the other side's silence. */
export class Witness {
  presence: Presence = "here";
  /** Ours is up. */
  signaling = true;
  reloaded = false;
  /** The server says that its socket stands. */
  probeServer: boolean | undefined;
  /** It answered by signaling while the connection was silent. */
  probePeer = false;
  /** Its ICE agent answers although its program does not. */
  iceFresh = false;
  /** The cause that the application knows. */
  told = "";
  #log: [now: number, text: string][] = [];

  /** Keep a line of evidence. */
  note(now: number, text: string): void {
    this.#log.push([now, text]);
    if (this.#log.length > MAX_EVIDENCE) this.#log.shift();
  }

  /** It speaks again: what was held against it is void. */
  heard(): void {
    this.probeServer = undefined;
    this.probePeer = this.iceFresh = false;
    this.#log = [];
  }

  /** Whether the server has said so: then it knows the cause, too. */
  get isGone(): boolean {
    return this.reloaded || OF_PRESENCE.has(this.presence);
  }

  /** The likely cause by what is known now; where two look the same from here, both: "frozen, network-lost". */
  cause(): string {
    if (this.reloaded) return "reloaded";
    if (this.iceFresh) return "busy";
    const known = OF_PRESENCE.get(this.presence);
    if (known) return known;
    return this.probePeer ? "network-lost" : "frozen, network-lost";
  }

  /** The lines, oldest first, with the seconds since the oldest. */
  evidence(): string[] {
    const start = this.#log[0]?.[0] ?? 0;
    return this.#log.map(([when, text]) => `+${(when - start).toFixed(2)} s ${text}`);
  }
}
