// dist/: the modules with their types, and one minified bundle for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", root], { stdio: "inherit" });
await build({
  input: `${root}dist/index.js`,
  platform: "browser",
  output: {
    file: `${root}dist/adieu-rtc.min.js`,
    format: "esm",
    minify: { compress: { target: "es2022" } },
  },
});
