// Runs the tests: over the modules, compiled into build/, and over the same code minified as the bundle is, with its
// short names, in build/short. Arguments name files, as `machine flow`.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
for (const folder of ["src", "test", "short"]) rmSync(`${root}build/${folder}`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", `${root}tsconfig.test.json`], { stdio: "inherit" });
const wanted = process.argv.slice(2);
const tests = readdirSync(`${root}test`)
  .filter((name) => name.endsWith(".test.ts") && (!wanted.length || wanted.some((word) => name.includes(word))))
  .map((name) => name.replace(".ts", ""));
const cache = JSON.parse(readFileSync(`${root}build/names.json`, "utf8"));
const short = tests.filter((name) => name !== "bundle.test"); // it looks at both by itself
for (const name of short) {
  await bundle({
    input: `${root}test/${name}.ts`,
    file: `${root}build/short/${name}.js`,
    platform: "node",
    names: Object.keys(cache),
    cache,
    banner: `globalThis.shortened = ${JSON.stringify(cache)};`,
  });
}
run("test", tests);
run("short", short);

function run(folder, names) {
  const files = names.map((name) => `${root}build/${folder}/${name}.js`);
  execFileSync(process.execPath, ["--test", "--test-timeout=60000", "--enable-source-maps", ...files], {
    stdio: "inherit",
  });
}
