// Writes src/protocol/messages.ts from docs/reference/protocol.schema.json; with --check, fails when it is stale.
import { readFileSync, writeFileSync } from "node:fs";

const SCHEMA = new URL("../../docs/reference/protocol.schema.json", import.meta.url);
const TARGET = new URL("../src/protocol/messages.ts", import.meta.url);
// Names that the platform has too.
const RENAMED = { Error: "ErrorMessage", File: "FileMessage" };
const UNIONS = {
  control: "ControlMessage",
  folder: "FolderMessage",
  signalingFromClient: "FromClient",
  signalingFromServer: "FromServer",
};

const document = JSON.parse(readFileSync(SCHEMA, "utf8"));

/** `FileOffer` of `#/$defs/FileOffer`. */
const named = (ref) => {
  const name = ref.split("/").at(-1);
  return RENAMED[name] ?? name;
};
const constant = (name) => `${name[0].toLowerCase()}${name.slice(1)}Type`;

/** The schema of a value that may be null, and whether it may. */
function unwrapped(schema) {
  const some = schema.anyOf?.filter((choice) => choice.type !== "null");
  return some?.length === 1 ? { ...some[0], nullable: true } : schema;
}

function typeOf(schema) {
  const { $ref, enum: words, type, prefixItems, items, additionalProperties } = unwrapped(schema);
  if ($ref) return named($ref);
  if (words) return words.map((word) => JSON.stringify(word)).join(" | ");
  if (prefixItems) return `[${prefixItems.map(typeOf).join(", ")}]`;
  if (type === "array") return `${typeOf(items)}[]`;
  if (type === "object")
    return additionalProperties ? `Map<string, ${typeOf(additionalProperties)}>` : "Record<string, unknown>";
  return { string: "string", integer: "number", number: "number", boolean: "boolean" }[type];
}

function codecOf(schema) {
  const {
    $ref,
    enum: words,
    type,
    prefixItems,
    items,
    propertyNames,
    additionalProperties,
    ...rest
  } = unwrapped(schema);
  const { minimum, maximum, minLength, maxLength, maxItems, maxProperties, pattern, "x-line": line } = rest;
  // A member without a bound makes a file that does not compile: each type asks for its own.
  if ($ref) return constant(named($ref));
  if (words) return `c.oneOf(${words.map((word) => JSON.stringify(word)).join(", ")})`;
  if (prefixItems) return `c.pair(${prefixItems.map(codecOf).join(", ")})`;
  if (type === "array") return call("c.list", codecOf(items), maxItems);
  if (type === "object") {
    const names = codecOf({ type: "string", ...propertyNames });
    return typeof additionalProperties === "object" && Object.keys(additionalProperties).length
      ? call("c.dict", names, codecOf(additionalProperties), maxProperties)
      : call("c.anything", names, maxProperties);
  }
  if (line) return call("c.said", line, maxLength);
  if (type === "string") return call("c.text", maxLength, minLength, pattern && `/${pattern}/`);
  if (type === "integer") return call("c.int", minimum, maximum);
  return type === "number" ? call("c.float", minimum, maximum) : "c.bool";
}

/** A call without the arguments that are left out at its end; one left out before others is `undefined` or 0. */
function call(name, ...given) {
  const last = given.findLastIndex((argument) => argument !== undefined);
  return `${name}(${given
    .slice(0, last + 1)
    .map((argument) => argument ?? 0)
    .join(", ")})`.replaceAll("9007199254740991", "MOST");
}

function memberCodec(schema, required) {
  const codec = codecOf(schema);
  if (required) return codec;
  if (unwrapped(schema).nullable) return `c.nullable(${codec})`;
  if (schema.$ref) return `c.optional(${codec})`;
  const initial = codec.startsWith("c.dict(") ? "new Map()" : JSON.stringify(schema.default);
  return `c.optional(${codec}, ${initial})`;
}

function quoted(name) {
  return name === "from" || /^\w+$/.test(name) ? name : JSON.stringify(name);
}

function written(key) {
  const { description, properties, required } = document.$defs[key];
  const name = RENAMED[key] ?? key;
  const { type, ...members } = properties;
  // `type` tells messages apart; a member of that name which is no such tag is a member like others.
  const tag = type?.enum?.length === 1 ? JSON.stringify(type.enum[0]) : undefined;
  const all = Object.entries(tag ? members : properties);
  const lines = all.map(
    ([member, schema]) =>
      `  ${quoted(member)}${required.includes(member) ? "" : "?"}: ${typeOf(schema)}${unwrapped(schema).nullable ? " | null" : ""};`,
  );
  const codecs = all.map(
    ([member, schema]) => `  ${quoted(member)}: ${memberCodec(schema, required.includes(member))},`,
  );
  return [
    `/** ${description ?? name} */`,
    `export interface ${name} {`,
    ...(tag ? [`  type: ${tag};`] : []),
    ...lines,
    "}",
    `export const ${constant(name)} = c.struct<${name}>(${tag}, {${codecs.length ? `\n${codecs.join("\n")}\n` : ""}});`,
    "",
  ].join("\n");
}

/** Those that others need come first. */
function inOrder() {
  const order = new Set();
  const visit = (key) => {
    if (order.has(key)) return;
    for (const [, ref] of JSON.stringify(document.$defs[key]).matchAll(/"#\/\$defs\/(\w+)"/g)) visit(ref);
    order.add(key);
  };
  Object.keys(document.$defs).forEach(visit);
  return [...order];
}

function union([protocol, name]) {
  const kinds = document.protocols[protocol].anyOf.map(({ $ref }) => named($ref));
  return [
    `export type ${name} =\n${kinds.map((kind) => `  | ${kind}`).join("\n")};`,
    `export const ${constant(name)}: Map<string, c.Struct<${name}>> = c.union<${name}>([\n${kinds.map((kind) => `  ${constant(kind)},`).join("\n")}\n]);`,
    "",
  ].join("\n");
}

const text = [
  "// Made from docs/reference/protocol.schema.json by tools/protocol.mjs. Do not edit.",
  'import * as c from "./codec.js";',
  "",
  `export const VERSION = ${document.version};`,
  "const MOST = Number.MAX_SAFE_INTEGER;",
  "",
  ...inOrder().map(written),
  ...Object.entries(UNIONS).map(union),
].join("\n");

if (!process.argv.includes("--check")) {
  writeFileSync(TARGET, text);
} else if (readFileSync(TARGET, "utf8") !== text) {
  console.error("src/protocol/messages.ts is stale: run `npm run protocol`");
  process.exit(1);
}
