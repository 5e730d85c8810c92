/** What each type of the protocol's schema bounds, and values just beyond. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Struct } from "../src/protocol/codec.js";
import * as messages from "../src/protocol/messages.js";

// biome-ignore lint/suspicious/noExplicitAny: the schema is data
export type Data = any;

export const schema: Data = JSON.parse(
  readFileSync(new URL("../../../docs/reference/protocol.schema.json", import.meta.url), "utf8"),
);
/** Maps whose values are a program's own: the length of a frame and the nesting bound them. */
const FREE = "meta";
const NAMES: Record<string, string> = { Error: "errorMessageType", File: "fileMessageType" };

const defined = ({ $ref }: Data): string => $ref.split("/").at(-1);
export const typeOf = (name: string): Struct<unknown> =>
  (messages as Data)[NAMES[name] ?? `${name[0]!.toLowerCase()}${name.slice(1)}Type`];

/** A small value of a type, as JSON has it. */
function least(kind: Data): unknown {
  if (kind.anyOf) return least(kind.anyOf[0]);
  if (kind.$ref) return whole(defined(kind));
  if (kind.enum) return kind.enum[0];
  if (kind.prefixItems) return kind.prefixItems.map(least);
  switch (kind.type) {
    case "integer":
    case "number":
      return kind.minimum ?? 0;
    case "string":
      return (kind.pattern ? "0" : "x").repeat(kind.minLength ?? 0);
    case "boolean":
      return false;
    case "array":
      return [];
    case "object":
      return {};
    default:
      return null;
  }
}

/** The smallest message of a type: what must be there. */
export function whole(name: string): Data {
  const { properties, required } = schema.$defs[name];
  return Object.fromEntries(required.map((member: string) => [member, least(properties[member])]));
}

function bound(value: unknown, what: string): number {
  assert.equal(typeof value, "number", `${what} has no bound`);
  return value as number;
}

/** Values just beyond each bound of a type, with the place of each; fails where there is no bound. */
export function beyond(kind: Data, at: string): [string, unknown][] {
  if (kind.anyOf) return kind.anyOf.flatMap((one: Data) => beyond(one, at));
  if (kind.$ref) return ofStruct(defined(kind), at);
  if (kind.enum || kind.type === "boolean" || kind.type === "null") return [[`${at}: another type`, []]];
  if (kind.prefixItems) {
    const good = least(kind) as unknown[];
    return kind.prefixItems.flatMap((item: Data, number: number) =>
      beyond(item, `${at}[${number}]`).map(([where, bad]) => [where, good.with(number, bad)]),
    );
  }
  switch (kind.type) {
    case "integer":
    case "number": {
      const low = bound(kind.minimum, `${at} downwards`) - 1;
      const most = bound(kind.maximum, `${at} upwards`);
      const high = most + (most > 2 ** 52 ? 2 : 1);
      return [low, high, Number.NaN, Number.POSITIVE_INFINITY].map((number) => [`${at} = ${number}`, number]);
    }
    case "string": {
      const most = bound(kind.maxLength, `the length of ${at}`);
      const letter = kind.pattern ? "0" : "x";
      const wrong: [string, unknown][] = [[`${at}: ${most + 1} characters`, letter.repeat(most + 1)]];
      if (kind.minLength) wrong.push([`${at}: too short`, letter.repeat(kind.minLength - 1)]);
      return wrong;
    }
    case "array": {
      const most = bound(kind.maxItems, `the length of ${at}`);
      const inner = beyond(kind.items, `${at}[]`).map(([where, bad]): [string, unknown] => [where, [bad]]);
      return [[`${at}: ${most + 1} items`, Array(most + 1).fill(least(kind.items))], ...inner];
    }
    case "object": {
      const most = bound(kind.maxProperties, `the number of members of ${at}`);
      const value = kind.additionalProperties;
      const free = at.endsWith(`.${FREE}`);
      const good = free ? null : least(value);
      const filled = Object.fromEntries(Array.from({ length: most + 1 }, (_, number) => [`c${number}`, good]));
      const names = beyond({ type: "string", ...kind.propertyNames }, `${at}{}`);
      const inner = free ? [] : beyond(value, `${at}.x`);
      return [
        [`${at}: ${most + 1} members`, filled],
        ...names.map(([where, name]): [string, unknown] => [where, { [name as string]: good }]),
        ...inner.map(([where, bad]): [string, unknown] => [where, { x: bad }]),
      ];
    }
    default:
      throw assert.fail(`${at}: a type that this test does not know`);
  }
}

export function ofStruct(name: string, at: string): [string, unknown][] {
  const good = whole(name);
  return Object.entries(schema.$defs[name].properties as Data)
    .filter(([member, { enum: words }]: Data) => !(member === "type" && words?.length === 1))
    .flatMap(([member, kind]) =>
      beyond(kind, `${at}.${member}`).map(([where, bad]): [string, unknown] => [where, { ...good, [member]: bad }]),
    );
}
