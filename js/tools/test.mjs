// Compiles src/ and test/ into build/ and runs what is in build/test; arguments name files, as `machine flow`.
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}build`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", `${root}tsconfig.test.json`], { stdio: "inherit" });
const wanted = process.argv.slice(2);
const files = readdirSync(`${root}build/test`)
  .filter((name) => name.endsWith(".test.js") && (!wanted.length || wanted.some((word) => name.includes(word))))
  .map((name) => `${root}build/test/${name}`);
execFileSync(process.execPath, ["--test", "--test-timeout=60000", "--enable-source-maps", ...files], {
  stdio: "inherit",
});
