import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ending } from "../src/model/ending.js";
import { fileSize, fileTrouble, left, seconds, standing, summary } from "../src/model/words.js";
import { de } from "../src/words/de.js";
import { en } from "../src/words/en.js";
import { es } from "../src/words/es.js";
import { language, preferred } from "../src/words/language.js";

const SOURCE = fileURLToPath(new URL("../src", import.meta.url));

type Tree = { readonly [key: string]: unknown };

/** All texts of a language by their paths; functions with one example of each argument that they may get. */
function* texts(tree: Tree, path = ""): Generator<[path: string, value: unknown]> {
  for (const [key, value] of Object.entries(tree)) {
    const here = `${path}.${key}`;
    if (typeof value === "object" && value !== null) yield* texts(value as Tree, here);
    else yield [here, value];
  }
}

/** Texts that are the same in two languages, rightly. */
const SAME = new Set(
  [".language.own", ".end.title", ".call.chat", ".call.room", ".receipt.messages", ".devices.video", ".units"].flatMap(
    (path) => (path === ".units" ? [0, 1, 2, 3, 4].map((at) => `.units.${at}`) : [path]),
  ),
);

for (const [name, other] of [
  ["German", de],
  ["Spanish", es],
] as const) {
  test(`${name} has each text of English, and nothing of it is left in English`, () => {
    const ours = new Map(texts(en));
    const theirs = new Map(texts(other));
    assert.deepEqual([...theirs.keys()].sort(), [...ours.keys()].sort());
    for (const [path, value] of theirs) {
      assert.equal(typeof value, typeof ours.get(path), path);
      if (typeof value === "function") {
        assert.ok(value.length <= (ours.get(path) as (...given: unknown[]) => unknown).length, path);
        continue;
      }
      assert.ok(String(value).trim(), path);
      if (!SAME.has(path)) assert.notEqual(value, ours.get(path), path);
    }
  });
}

test("numbers, plurals and lists are those of the language", async () => {
  const all: Record<string, string[]> = {};
  for (const code of ["en", "de", "es"] as const) {
    await language.show(code);
    all[code] = [
      fileSize(3_100_000),
      seconds(0.31),
      left(1),
      left(300),
      language.texts.list(["Ada", "Inés"]),
      language.texts.chat.sendOwed(1),
      language.texts.chat.sendOwed(1200),
      language.texts.end.unreadThere(1),
    ];
  }
  await language.show("en");
  assert.deepEqual(all, {
    en: [
      "3.1 MB",
      "0.3 seconds",
      "1 second left",
      "5 minutes left",
      "Ada and Inés",
      "Send the 1 unsent message again",
      "Send the 1,200 unsent messages again",
      "1 of your messages was not read yet.",
    ],
    de: [
      "3,1 MB",
      "0,3 Sekunden",
      "noch 1 Sekunde",
      "noch 5 Minuten",
      "Ada und Inés",
      "1 ungesendete Nachricht nochmals senden",
      "1.200 ungesendete Nachrichten nochmals senden",
      "1 Ihrer Nachrichten wurde noch nicht gelesen.",
    ],
    es: [
      "3,1 MB",
      "0,3 segundos",
      "tiempo restante: 1 segundo",
      "tiempo restante: 5 minutos",
      "Ada e Inés",
      "Enviar de nuevo 1 mensaje no enviado",
      "Enviar de nuevo 1200 mensajes no enviados",
      "1 mensaje suyo sin leer todavía.",
    ],
  });
});

test("the first language of the browser that the page has is taken", () => {
  assert.equal(preferred(["fr-FR", "de-AT", "en"]), "de");
  assert.equal(preferred(["es-419"]), "es");
  assert.equal(preferred(["fr", "ja"]), "en");
  assert.equal(preferred([]), "en");
});

test("the last choice counts, also if an earlier one is loaded later; and it is remembered", async () => {
  const kept = new Map<string, string>();
  Object.defineProperty(globalThis, "localStorage", {
    value: { getItem: (key: string) => kept.get(key) ?? null, setItem: kept.set.bind(kept) },
    configurable: true,
  });
  let changes = 0;
  language.addEventListener("change", () => changes++);
  await Promise.all([language.choose("es"), language.choose("de")]);
  assert.deepEqual([language.code, kept.get("adieu-language")], ["de", "de"]);
  await language.show("en");
  await language.begin();
  assert.equal(language.code, "de");
  assert.ok(changes >= 2);
  await language.show("en");
});

test("a status, an end and a trouble are in the language of the page; reasons of other pages too", async () => {
  const ben = { label: "Ben", state: "recovering", cause: "crashed", silent: 65 } as const;
  const receipt = {
    ...{ by: "remote", cause: "left", reason: { code: "left", text: "went on in another tab" }, channels: {} },
    ...{ files: [], partial: [{ name: "film.mp4", size: 10, done: 3, sent: false }], confirmed: true, notice: "" },
  };
  const said = () => [
    standing(ben).text,
    summary([ben], { online: false, server: true }).text,
    ending(receipt as never, "Ben"),
    ending(receipt as never, ""),
    fileTrouble("'x' was not sent: refused: they do not want it"),
  ];
  await language.show("de");
  assert.deepEqual(said(), [
    "Das Programm von Ben endete ohne ein Wort. Vielleicht kommt es wieder … (bisher 1 Minute)",
    "Sie sind offline. Sobald Ihr Netz wieder da ist, geht es weiter …",
    "Ben ist gegangen (macht in einem anderen Tab weiter). 30 % von film.mp4 kamen an.",
    "Die andere Seite ist gegangen (macht in einem anderen Tab weiter). 30 % von film.mp4 kamen an.",
    "sie ist nicht erwünscht",
  ]);
  await language.show("es");
  assert.equal(said()[2], "Ben ha salido (sigue en otra pestaña). Llegó el 30 % de film.mp4.");
  await language.show("en");
});

/** Files with no texts of the page: errors of the SDK's kind, names of icons. */
const FREE = new Set(["view/icons.ts"]);

test("no text of the page lies outside the languages' files", () => {
  const found: string[] = [];
  for (const file of readdirSync(SOURCE, { recursive: true, encoding: "utf8" })) {
    const name = file.replaceAll("\\", "/");
    if (!name.endsWith(".ts") || name.startsWith("words/") || FREE.has(name)) continue;
    for (const text of literals(readFileSync(`${SOURCE}/${name}`, "utf8"))) found.push(`${name}: ${text}`);
  }
  assert.deepEqual(found, []);
  // The test sees what it looks for.
  const seen = literals(
    ['html`<p title="Two words">Said ', '{f`x`} here</p>` + "Nobody is here." + `Left ', "{n} s ago`"].join("$"),
  );
  assert.deepEqual(seen, ["Said", "here", "Two words", "Nobody is here.", "Left  s ago"]);
});

/** Attributes that people read or hear. */
const READ = /\s(?:aria-label|aria-description|title|placeholder|alt|label)="([^"]*[A-Za-z]{2}[^"]*)"/g;

/** The texts for people in a source: of templates, and sentences in strings. */
function literals(source: string): string[] {
  const found: string[] = [];
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[\s;{}(,])\/\/[^\n]*/g, "$1");
  const templates: { html: boolean; text: string; depth: number }[] = [];
  for (let at = 0; at < code.length; at++) {
    const open = templates.at(-1);
    const inText = open && open.depth === 0;
    const letter = code[at]!;
    if (inText) {
      if (letter === "\\") at++;
      else if (letter === "`") found.push(...inTemplate(templates.pop()!));
      else if (letter === "$" && code[at + 1] === "{") {
        open.depth = 1;
        at++;
      } else open.text += letter;
    } else if (letter === "`") {
      templates.push({ html: /html$/.test(code.slice(0, at)), text: "", depth: 0 });
    } else if (letter === '"' || letter === "'") {
      const [whole, text] =
        new RegExp(`^${letter}((?:[^\\\\\\n${letter}]|\\\\.)*)${letter}`).exec(code.slice(at)) ?? [];
      if (whole === undefined) continue;
      if (isSentence(text!)) found.push(text!);
      at += whole.length - 1;
    } else if (open && letter === "{") open.depth++;
    else if (open && letter === "}") open.depth--;
  }
  return found;
}

function inTemplate({ html, text }: { html: boolean; text: string }): string[] {
  if (!html) return isSentence(text) ? [text] : [];
  const attributes = [...text.matchAll(READ)].map(([, words]) => words!);
  const visible = text.replace(/<[^>]*>/g, "\n").split(/\n|\s{2,}/);
  return [...visible.map((part) => part.trim()).filter((part) => /[A-Za-z]{2}/.test(part)), ...attributes];
}

/** Begins with a capital letter, and has a second word. */
function isSentence(text: string): boolean {
  return /^[“"]?[A-Z][a-z’']*[ ,]\s*\S/.test(text.trim()) && /[a-z]{2}/.test(text);
}
