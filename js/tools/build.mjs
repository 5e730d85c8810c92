// dist/: the modules with their types, and a minified bundle of each entry for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const CODEC = /^export const (\w+) = (c\.struct<\w+>\([^{]*\{(?:\n(?: {2}.*\n)*)?\}\));\n/gm;

/** Put a codec that one other uses in its place, without a name of its own: that makes a bundle smaller. */
function inlined(text) {
  for (const [definition, name, codec] of text.matchAll(CODEC)) {
    const use = new RegExp(`\\b${name}\\b`, "g");
    if (text.match(use).length !== 2) continue;
    return inlined(text.replace(definition, "").replace(use, () => codec.replaceAll("\n", "\n  ")));
  }
  return text;
}

const ADDRESSED = ["session", "to", "from"].map((name) => `  ${name}: c.optional(c.text(128), ""),\n`).join("");

/** The codecs of the messages, as few bytes as they can be. */
function shortened(text) {
  const spread = text.replaceAll(ADDRESSED, "  ...addressed,\n");
  return inlined(spread.replace("const MOST", `const addressed = {\n${ADDRESSED}};\nconst MOST`));
}

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", root], { stdio: "inherit" });
for (const [entry, file] of [
  ["index.ts", "adieu-rtc.min.js"],
  ["goodbye/index.ts", "goodbye.min.js"],
])
  await build({
    input: `${root}src/${entry}`,
    platform: "browser",
    resolve: { extensionAlias: { ".js": [".ts"] } },
    tsconfig: false, // what follows is for the bundles only
    treeshake: { propertyReadSideEffects: false }, // no getter here does more than answer
    optimization: { inlineConst: true },
    plugins: [{ name: "codecs", transform: (code, id) => (id.endsWith("/messages.ts") ? shortened(code) : undefined) }],
    transform: { target: "es2022", typescript: { removeClassFieldsWithoutInitializer: true } },
    output: {
      file: `${root}dist/${file}`,
      format: "esm",
      comments: { annotation: false },
      minify: { compress: { target: "es2022" } },
    },
  });
