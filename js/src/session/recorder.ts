/** The flight recorder: the last things that happened to a session. `recording.ts` shows them. */

/** A recording has at most so many lines. Beyond that the oldest are dropped, and counted. */
const LINES = 2000;

/** `>` said, `<` heard, `=` state, `!` trouble. */
export type Mark = ">" | "<" | "=" | "!";
/** The text of a control message, or members with a `type`. */
export type Note = string | { readonly type: string };

/** The last lines of a session, each with its time in seconds. A ring: its memory has a bound. */
export class Recorder {
  readonly lines: [when: number, mark: Mark, note: Note][] = [];
  /** When the first line was written: seconds since 1970, and by the session's clock. */
  began = 0;
  start = 0;
  dropped = 0;

  /** Keep a line. */
  note(now: number, mark: Mark, note: Note): void {
    if (!this.began) {
      this.began = Date.now() / 1000;
      this.start = now;
    }
    if (this.lines.push([now, mark, note]) > LINES) {
      this.lines.shift();
      this.dropped++;
    }
  }
}
