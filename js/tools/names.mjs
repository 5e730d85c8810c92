// Which names of properties the bundle may shorten: those that nobody but the SDK itself writes or reads.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = `${ROOT}dist/`;
const SCHEMA = new URL("../../docs/reference/protocol.schema.json", import.meta.url);
/** Whose types users meet though `index.ts` does not name them. */
const MET = ["./session/emitter.js", "./signaling/policy.js"];
/** Told to the server in the meta of a join, which no schema describes. */
const TOLD = ["tab"];

const MEMBER =
  /(?:^|[{;(,])\s*(?:(?:readonly|static|abstract|get|set|declare|function|const|var|new)\s+)*([\w$]+)\??\s*[:(<;]/gm;

const COMMENT = /\/\*\*?((?!\*\/).)*\*\//gs;
/** With what follows: a class or an interface to its end, or one member. */
const INTERNAL = /\/\*\*((?!\*\/).)*@internal((?!\*\/).)*\*\/\s*(export [\w ]*(class|interface)\b.*?^\}|[^;]*;)/gms;

function read(file) {
  return readFileSync(file, "utf8").replace(INTERNAL, "").replace(COMMENT, "");
}

function members(file) {
  return Array.from(read(file).matchAll(MEMBER), ([, name]) => name);
}

/** What browsers and the language have, as TypeScript knows them. */
function ofThePlatform() {
  const packages = readdirSync(`${ROOT}node_modules/@typescript`).map((name) => `@typescript/${name}`);
  for (const name of ["typescript", ...packages]) {
    const folder = `${ROOT}node_modules/${name}/lib/`;
    const files = readdirSync(folder).filter((file) => /^lib\.(dom|es|decorators).*\.d\.ts$/.test(file));
    if (files.includes("lib.dom.d.ts")) return files.flatMap((file) => members(folder + file));
  }
  throw new Error("TypeScript's lib.dom.d.ts is not where it was");
}

/** What users meet: the members of all that `index.d.ts` names. */
function ofTheApi() {
  const named = Array.from(read(`${DIST}index.d.ts`).matchAll(/from "(.*?)"/g), ([, path]) => path);
  return [...named, ...MET].flatMap((path) => members(DIST + path.replace(/\.js$/, ".d.ts")));
}

function ofTheWire() {
  const { $defs } = JSON.parse(readFileSync(SCHEMA, "utf8"));
  return Object.values($defs).flatMap(({ properties }) => Object.keys(properties ?? {}));
}

/** A name that is a text too may be looked up by it. */
function ofTexts(code) {
  return Array.from(code.matchAll(/(["'`])([\w$]+)\1/g), ([, , text]) => text);
}

/** The names in this code that may be shortened. */
export function shortened(code) {
  const kept = new Set([...ofThePlatform(), ...ofTheApi(), ...ofTheWire(), ...ofTexts(code), ...TOLD]);
  const used = Array.from(
    code.matchAll(/(?:[.{,]\s*|^\s*|\b(?:async|get|set|static)\s+|\*)([A-Za-z_$][\w$]*)/gm),
    ([, name]) => name,
  );
  return [...new Set(used)].filter((name) => !kept.has(name)).sort();
}
