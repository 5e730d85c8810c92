/**
 * Reading and writing JSON that somebody else has made: what is read has the type it claims, or an error names the
 * member that has not. Unknown members are ignored; members with their default value are not written; null stands for
 * a member that was left out. Maps, not objects, hold what has names of the other side's choice.
 */

import { line } from "./text.js";

/** One type: how it is checked when read, and how it is written. */
export interface Type<T> {
  /** Check and return a value. Throws `TypeError` if it does not have this type. */
  read(value: unknown, at: string): T;
  /** JSON text. */
  write(value: T): string;
}

/** The type of a named member. */
interface Member<T> extends Type<T> {
  /** Whether it may be left out. */
  optional?: boolean;
  /** Whether it may be null, which means the same. */
  nullable?: boolean;
  /** The value that it has when it is left out. */
  initial?: unknown;
}

/** A type with named members. */
export interface Struct<T> extends Type<T> {
  /** The value of `type` in JSON; undefined for a type without one. */
  tag: string | undefined;
}

const LONE_SURROGATE = /\p{Surrogate}/u;

function wrong(at: string, expected: string): never {
  throw new TypeError(`${at}: expected ${expected}`);
}

/** Text of `least` to `most` characters. */
export function text(most: number, least = 0, pattern?: RegExp): Type<string> {
  return {
    read(value, at) {
      if (typeof value !== "string" || LONE_SURROGATE.test(value)) wrong(at, "text");
      // A character may be two units long, so only a text that looks too long is counted.
      if (value.length < least || (value.length > most && [...value].length > most)) {
        wrong(at, `text of ${least} to ${most} characters`);
      }
      if (pattern && !pattern.test(value)) wrong(at, `text like ${pattern}`);
      return value;
    },
    write: JSON.stringify,
  };
}

/** A text for people: of at most `longest` characters it becomes a line of at most `most`; see `line`. */
export function said(most: number, longest: number): Type<string> {
  const whole = text(longest);
  return {
    read: (value, at) => line(whole.read(value, at), most),
    write: (value) => JSON.stringify(line(value, most)),
  };
}

/** A whole number that a double holds exactly. */
export function int(least: number, most: number): Type<number> {
  return float(least, most, "whole ", Number.isSafeInteger);
}

/** A number; of this kind, if one is given. */
export function float(least: number, most: number, kind = "", isOne = Number.isFinite): Type<number> {
  return {
    read: (value, at) =>
      isOne(value) && (value as number) >= least && (value as number) <= most
        ? (value as number)
        : wrong(at, `a ${kind}number from ${least} to ${most}`),
    write: String,
  };
}

export const bool: Type<boolean> = {
  read: (value, at) => (typeof value === "boolean" ? value : wrong(at, "true or false")),
  write: String,
};

/** An object whose members are nobody's business here. */
export function anything(name: Type<string>, most: number): Type<Record<string, unknown>> {
  return {
    read(value, at) {
      const members = record(value, at);
      for (const key of few(members, at, most)) name.read(key, at);
      return members;
    },
    write: JSON.stringify,
  };
}

/** One of these words. */
export function oneOf<const T extends string>(...words: T[]): Type<T> {
  return {
    read: (value, at) => (words.includes(value as T) ? (value as T) : wrong(at, words.join(" or "))),
    write: JSON.stringify,
  };
}

export function list<T>(item: Type<T>, most: number): Type<T[]> {
  return {
    read(value, at) {
      if (!Array.isArray(value) || value.length > most) wrong(at, `a list of at most ${most}`);
      return value.map((member, index) => item.read(member, `${at}[${index}]`));
    },
    write: (value) => `[${value.map(item.write).join()}]`,
  };
}

export function pair<A, B>(one: Type<A>, other: Type<B>): Type<[A, B]> {
  return {
    read(value, at) {
      if (!Array.isArray(value) || value.length !== 2) wrong(at, "two values");
      return [one.read(value[0], at), other.read(value[1], at)];
    },
    write: ([a, b]) => `[${one.write(a)},${other.write(b)}]`,
  };
}

/** Names of the other side's choice, each with a value. */
export function dict<T>(name: Type<string>, item: Type<T>, most: number): Type<Map<string, T>> {
  return {
    read(value, at) {
      const members = record(value, at);
      return new Map(
        few(members, at, most).map((key) => [name.read(key, at), item.read(members[key], `${at}.${key}`)]),
      );
    },
    write: (value) => `{${[...value].map(([key, member]) => `${JSON.stringify(key)}:${item.write(member)}`).join()}}`,
  };
}

/** A member that may be left out; with `initial`, the value that it then has, which is not written. */
export function optional<T>(type: Type<T>, initial?: T): Member<T> {
  return { ...type, optional: true, initial };
}

/** A member that may be left out, or be null, which is the same. */
export function nullable<T>(type: Type<T>): Member<T> {
  return { ...type, optional: true, nullable: true };
}

/** Named members, in the order in which they are written. */
export function struct<T>(tag: string | undefined, members: Record<string, Member<unknown>>): Struct<T> {
  const all = Object.entries(members);
  return {
    tag,
    read(value, at) {
      const from = record(value, at);
      const read: Record<string, unknown> = tag === undefined ? {} : { type: tag };
      for (const [name, type] of all) {
        // Own members only: an object's prototype has names too.
        const member = Object.hasOwn(from, name) ? from[name] : undefined;
        if (member !== undefined && !(member === null && type.nullable)) {
          read[name] = type.read(member, `${at}.${name}`);
        } else if (!type.optional) {
          wrong(`${at}.${name}`, "a value");
        }
      }
      return read as T;
    },
    write(value) {
      const from = value as Record<string, unknown>;
      const parts = tag === undefined ? [] : [`"type":${JSON.stringify(tag)}`];
      for (const [name, type] of all) {
        const member = from[name];
        if (member == null || isInitial(member, type.initial)) continue;
        parts.push(`${JSON.stringify(name)}:${type.write(member)}`);
      }
      return `{${parts.join()}}`;
    },
  };
}

/** Messages that differ by their `type`. */
export function union<T>(structs: Struct<unknown>[]): Map<string, Struct<T>> {
  return new Map(structs.map((kind) => [kind.tag as string, kind as Struct<T>]));
}

/**
 * Read one message of a union.
 *
 * @returns the message; undefined for a type of a later version.
 * @throws TypeError when it is not JSON, or a member is wrong; the message names which.
 */
export function decode<T>(value: unknown, kinds: Map<string, Struct<T>>): T | undefined {
  const { type } = record(value, "message");
  if (typeof type !== "string") wrong("message.type", "text");
  return kinds.get(type)?.read(value, type);
}

const MAX_NESTING = 16;

/** How deep objects and arrays are nested in a text that may be JSON; no deeper than is allowed, and one. */
function depth(json: string): number {
  let now = 0;
  let most = 0;
  let quoted = false;
  for (let at = 0; at < json.length && most <= MAX_NESTING; at++) {
    const character = json[at];
    if (quoted) {
      if (character === "\\") at++;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === "[" || character === "{") most = Math.max(most, ++now);
    else if (character === "]" || character === "}") now--;
  }
  return most;
}

/** Parse JSON from the network. Throws `TypeError` if it is not valid. */
export function parse(json: string): unknown {
  if (depth(json) > MAX_NESTING) throw new TypeError(`nested deeper than ${MAX_NESTING}`);
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new TypeError(`not JSON: ${(error as Error).message}`);
  }
}

/** The names in an object; not more than `most`. */
function few(members: object, at: string, most: number): string[] {
  const names = Object.keys(members);
  if (names.length > most) wrong(at, `at most ${most} members`);
  return names;
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) wrong(at, "an object");
  return value as Record<string, unknown>;
}

/** `[]` and `{}` as initial values mean: empty. */
function isInitial(member: unknown, initial: unknown): boolean {
  if (initial instanceof Map) return (member as typeof initial).size === 0;
  return typeof initial === "object" ? Object.keys(member as object).length === 0 : member === initial;
}
