/**
 * The recording of a flight recorder, in the format that programs have too: see `docs/reference/recording.md`. It has
 * no payloads, descriptions, addresses, tokens or hashes. Loaded when it is used.
 */

import { decode, encode } from "../protocol/control.js";
import { line } from "../protocol/text.js";
import type { Mark, Note, Recorder } from "./recorder.js";

/** Characters of a control message. Of a longer one only the length is shown. */
const MOST = 2048;

/** One side's recording. `JSON.stringify()` of it is a file for `adieu explain`. */
export interface Recording {
  format: "adieu-recording";
  version: 1;
  /** The maker: `browser`. */
  program: string;
  /** When its first line was written: seconds since 1970. */
  began: number;
  /** How many lines are lost: the oldest ones. */
  dropped: number;
  /** The session's id, and the two peer ids. */
  session: string;
  me: string;
  peer: string;
  /** How the session ended, as `receipt.toJSON()` without `agreed` and files; null before. */
  receipt: Record<string, unknown> | null;
  /** Seconds since `began`, a mark (`>` said, `<` heard, `=` state, `!` trouble), and members with a `type`. */
  lines: [seconds: number, mark: Mark, members: RecordedMembers][];
}

/** The members of a line. */
export type RecordedMembers = { type: string } & Record<string, unknown>;

/** The part of a receipt that is used here. */
interface Ending {
  toJSON(): Record<string, unknown>;
}

/** Return the recording of a session. */
export function recordingOf(
  { lines, began, start, dropped }: Recorder,
  { session, me, peer }: Pick<Recording, "session" | "me" | "peer">,
  receipt: Ending | undefined,
): Recording {
  return {
    format: "adieu-recording",
    version: 1,
    program: "browser",
    began: rounded(began, 1000),
    dropped,
    session,
    me,
    peer,
    receipt: receipt ? ending(receipt) : null,
    lines: lines.map(([when, mark, note]) => [rounded(when - start, 10_000), mark, shown(note)]),
  };
}

const rounded = (seconds: number, parts: number) => Math.round(seconds * parts) / parts;

function ending(receipt: Ending): Record<string, unknown> {
  const { agreed: _, files: __, partial: ___, ...members } = receipt.toJSON();
  return members;
}

/**
 * Return the members of a line: of a control message those that are known. Texts are cleaned as those of notices are,
 * and hashes left out.
 */
function shown(note: Note): RecordedMembers {
  if (typeof note !== "string") return { ...note };
  const { length } = note;
  const unreadable = { type: "unreadable", characters: length };
  if (length > MOST) return unreadable;
  try {
    const message = decode(note);
    if (!message) return unreadable;
    const { proof: _, offer, ...members } = JSON.parse(encode(message));
    if (!offer) return members;
    const { sha256: __, key: ___, name, ...rest } = offer;
    return { ...members, offer: { name: line(name), ...rest } };
  } catch {
    return unreadable;
  }
}
