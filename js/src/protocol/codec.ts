/**
 * Reading and writing JSON that somebody else has made: what is read has the type it claims, or an error names the
 * member that has not. Unknown members are ignored; members with their default value are not written; null stands for
 * a member that was left out. Maps, not objects, hold what has names of the other side's choice.
 */

/** One type: how it is checked when read, and how it is written. */
export interface Type<T> {
  /** The value, as this type has it. Throws `TypeError` when it is none. */
  read(value: unknown, at: string): T;
  /** JSON text. */
  write(value: T): string;
}

/** The type of a named member. */
interface Member<T> extends Type<T> {
  /** It may be left out. */
  optional?: boolean;
  /** It may be null, which is the same. */
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
export function text(most = Number.POSITIVE_INFINITY, least = 0, pattern?: RegExp): Type<string> {
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

/** A whole number that a double holds exactly. */
export function int(least: number, most: number): Type<number> {
  return {
    read: (value, at) =>
      Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
        ? (value as number)
        : wrong(at, `a whole number from ${least} to ${most}`),
    write: String,
  };
}

/** Any number. */
export const float: Type<number> = {
  read: (value, at) => (typeof value === "number" ? value : wrong(at, "a number")),
  write: String,
};

export const bool: Type<boolean> = {
  read: (value, at) => (typeof value === "boolean" ? value : wrong(at, "true or false")),
  write: String,
};

/** An object whose members are nobody's business here. */
export const anything: Type<Record<string, unknown>> = { read: record, write: JSON.stringify };

/** One of these words. */
export function oneOf<const T extends string>(...words: T[]): Type<T> {
  return {
    read: (value, at) => (words.includes(value as T) ? (value as T) : wrong(at, words.join(" or "))),
    write: JSON.stringify,
  };
}

export function list<T>(item: Type<T>, most = Number.POSITIVE_INFINITY): Type<T[]> {
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
export function dict<T>(name: Type<string>, item: Type<T>): Type<Map<string, T>> {
  return {
    read: (value, at) =>
      new Map(
        Object.entries(record(value, at)).map(([key, member]) => [
          name.read(key, at),
          item.read(member, `${at}.${key}`),
        ]),
      ),
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

/** Messages told apart by their `type`. */
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

/** JSON of somebody else's. Throws `TypeError` when it is none. */
export function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new TypeError(`not JSON: ${(error as Error).message}`);
  }
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) wrong(at, "an object");
  return value as Record<string, unknown>;
}

/** `[]` and `{}` as initial values mean: empty. */
function isInitial(member: unknown, initial: unknown): boolean {
  return typeof initial === "object" ? Object.keys(member as object).length === 0 : member === initial;
}
