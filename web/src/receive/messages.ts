/** The messages of `adieu send`, as `python/adieu/cli/sending/messages.py` has them. Every field has its bound. */

import type { Channel } from "adieu-rtc";
import { line } from "../../../js/src/protocol/text.js";
import { en, type Texts } from "../words/en.js";
import { words } from "../words/language.js";

export const CHANNEL = "adieu send";
/** Files and folders of one sending. */
export const MAX_ENTRIES = 100_000;
/** Entries in one message. */
export const AT_ONCE = 200;
const MAX_PATH = 4096;
/** Characters of all paths. */
export const MAX_PATHS = 16 * 1024 * 1024;
const MAX_TEXT = 500;
/** Seconds for an answer. */
const PATIENCE = 30;
/** The size of a folder. */
export const FOLDER = -1;

/** A file, or a folder if its size is -1. */
export interface Entry {
  readonly path: string;
  readonly size: number;
}

/** A file that is here already: its number and its proof. */
export type Known = readonly [number: number, proof: string];

export interface Messages {
  link: { type: "link"; mac: string };
  confirm: { type: "confirm"; mac: string };
  refused: { type: "refused" };
  /** `whole`: the sender can send all of it as one folder. */
  entries: { type: "entries"; entries: Entry[]; last: boolean; whole: boolean };
  /** `whole`: this page takes it so, and names no files: the folder's transfer finds out what is here. */
  have: { type: "have"; files: Known[]; last: boolean; whole?: boolean };
  missing: { type: "missing"; files: number[]; last: boolean };
  done: { type: "done"; digest: string };
  failed: { type: "failed"; text: string };
}
export type Message = Messages[keyof Messages];
type Heard = "confirm" | "refused" | "entries" | "missing" | "done" | "failed";

type Why = Texts["receive"]["why"];

/** The sender cannot go on, or says something that does not fit. The message is in English, for the sender. */
export class ExchangeError extends Error {
  readonly #say: (why: Why) => string;

  constructor(say: (why: Why) => string) {
    super(say(en.receive.why));
    this.#say = say;
  }

  /** Return the message in the language of the page. */
  get shown(): string {
    return this.#say(words().receive.why);
  }
}
/** The sender says that the link was wrong. */
export class RefusedError extends ExchangeError {}

/** The channel, with whole messages. */
export class Line {
  readonly #channel: Channel;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  async send(message: Message): Promise<void> {
    await this.#channel.send(JSON.stringify(message));
  }

  /**
   * Return the next message, which must be of this type.
   *
   * @param patience seconds; Infinity: the sender may have much to do first.
   * @throws ExchangeError it is another one, or it did not come in time.
   */
  async next<T extends Heard>(type: T, patience = PATIENCE): Promise<Messages[T]> {
    const message = parse(await this.#receive(patience));
    if (message.type === type) return message as Messages[T];
    if (message.type === "refused") throw new RefusedError((why) => why.refused);
    if (message.type === "failed" && type !== "confirm") throw new ExchangeError(() => line(message.text));
    // Instead of the proof it may be a stranger's word: it is not shown.
    throw new ExchangeError((why) => (type === "confirm" ? why.wrongLink : why.outOfTurn));
  }

  async #receive(patience: number): Promise<string> {
    const late = Number.isFinite(patience) ? { signal: AbortSignal.timeout(patience * 1000) } : {};
    try {
      const data = await this.#channel.receive(late);
      return typeof data === "string" ? data : new TextDecoder().decode(data);
    } catch (error) {
      if (late.signal?.aborted) throw new ExchangeError((why) => why.late(patience));
      throw error;
    }
  }
}

/** Return a message of the sender. @throws ExchangeError it is not one. */
export function parse(text: string): Messages[Heard] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const message = checked(value);
  if (!message) throw new ExchangeError((why) => why.notUnderstood);
  return message;
}

function checked(value: unknown): Messages[Heard] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { type, mac, entries, files, last, whole, digest, text } = value as Record<string, unknown>;
  switch (type) {
    case "confirm":
      return isText(mac, 88) ? { type, mac } : undefined;
    case "refused":
      return { type };
    case "entries": {
      const all = isList(entries) ? entries.map(entry) : [undefined];
      return typeof last === "boolean" && all.every((each) => each !== undefined)
        ? { type, entries: all, last, whole: whole === true }
        : undefined;
    }
    case "missing":
      return isList(files) && files.every(isCount) && typeof last === "boolean" ? { type, files, last } : undefined;
    case "done":
      return typeof digest === "string" && /^[0-9a-f]{64}$/.test(digest) ? { type, digest } : undefined;
    case "failed":
      return isText(text, MAX_TEXT) ? { type, text } : undefined;
    default:
      return undefined;
  }
}

function entry(value: unknown): Entry | undefined {
  if (!Array.isArray(value)) return undefined;
  const [path, size] = value as unknown[];
  return isText(path, MAX_PATH) && path && (size === FOLDER || isCount(size)) ? { path, size } : undefined;
}

function isText(value: unknown, most: number): value is string {
  return typeof value === "string" && value.length <= most;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 2 ** 53;
}

function isList(value: unknown): value is unknown[] {
  return Array.isArray(value) && value.length <= AT_ONCE;
}
