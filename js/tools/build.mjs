// dist/: the modules with their types, and one minified bundle for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { bundle } from "./bundle.mjs";
import { shortened } from "./names.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", root], { stdio: "inherit" });

const { output } = await build({ input: `${root}dist/index.js`, platform: "browser", write: false });
const cache = await bundle({
  input: `${root}src/index.ts`,
  file: `${root}dist/adieu-rtc.min.js`,
  names: shortened(output[0].code),
});
// For the tests, which run over code with the same names.
mkdirSync(`${root}build`, { recursive: true });
writeFileSync(`${root}build/names.json`, JSON.stringify(cache));
