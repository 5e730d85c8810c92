/** The ledger: things that are still held, and the lines that made them (closing rule S9). */

/** One thing that has not been given back. */
export interface Held {
  kind: "connection" | "channel" | "track" | "listener" | "timer" | "transfer";
  /** For a person. */
  what: string;
  /** The line that made it, if it is known. */
  where: string;
  count: number;
}

/** All that is still held. */
export class Ledger {
  constructor(readonly held: readonly Held[] = []) {}

  /** Nothing is left. */
  get empty(): boolean {
    return !this.held.length;
  }

  toString(): string {
    return this.held.map(describe).join("; ") || "nothing";
  }

  /**
   * Check that nothing is held, for tests.
   *
   * @throws Error something is; the message names each thing, and the line that made it.
   */
  assertReleased(): void {
    if (!this.empty) throw new Error(`still held:\n- ${this.held.map(describe).join("\n- ")}`);
  }
}

export function held(kind: Held["kind"], what: string, where: string): Held {
  return { kind, what, where, count: 1 };
}

export function describe({ kind, what, where, count }: Held): string {
  return `${count === 1 ? "" : `${count} x `}${kind}: ${what}${where && ` (made at ${where})`}`;
}

/** Where adieu's own lines are: a folder, or one file if all of it was put into one. */
const OWN = import.meta.url.replace(/session\/ledger\.js.*$/, "");

/** Return the running line outside of adieu, from the browser's stack; empty if the stack does not have it. */
export function whereMade(): string {
  const lines = (new Error().stack ?? "").split("\n").map((line) => line.trim().replace(/^at /, ""));
  return lines.find((line) => line && line !== "Error" && !line.includes(OWN)) ?? "";
}
