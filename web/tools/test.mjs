// Builds what is in test/ for Node and runs it; arguments name files, as `words meeting`.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const wanted = process.argv.slice(2);
const tests = readdirSync(`${root}/test`).filter(
  (name) => name.endsWith(".test.ts") && (!wanted.length || wanted.some((word) => name.includes(word))),
);
await build({
  root,
  logLevel: "warn",
  build: {
    ssr: true,
    outDir: `${root}/build`,
    emptyOutDir: true,
    sourcemap: true,
    rolldownOptions: { input: tests.map((name) => `${root}/test/${name}`) },
  },
});
const built = tests.map((name) => `${root}/build/${name.replace(".ts", ".js")}`);
execFileSync(process.execPath, ["--test", "--enable-source-maps", ...built], { stdio: "inherit" });
