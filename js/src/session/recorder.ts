/** The flight recorder: the last things that happened to a session, for a person who wonders why. */

const SIZE = 2000;

/** `>` said, `<` heard, `=` state, `!` trouble. */
export type Direction = ">" | "<" | "=" | "!";

/** A ring of lines with times in seconds. Payloads, descriptions and addresses are not kept. */
export class Recorder {
  #lines: [when: number, direction: Direction, text: string][] = [];
  #start: number | undefined;

  /** Keep a line. */
  note(now: number, direction: Direction, text: string): void {
    this.#start ??= now;
    this.#lines.push([now - this.#start, direction, text.slice(0, 200)]);
    if (this.#lines.length > SIZE) this.#lines.shift();
  }

  /** As text, oldest first. */
  lines(): string[] {
    return this.#lines.map(([when, direction, text]) => `${when.toFixed(3).padStart(9)} ${direction} ${text}`);
  }

  /** As JSON: a list of [seconds, direction, text]; `adieu explain` reads it. */
  toJSON(): [number, Direction, string][] {
    return this.#lines.map(([when, direction, text]) => [Number(when.toFixed(4)), direction, text]);
  }
}
