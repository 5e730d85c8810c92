// dist/: the modules with their types, and one minified bundle for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", root], { stdio: "inherit" });
await build({
  entryPoints: [`${root}dist/index.js`],
  outfile: `${root}dist/adieu-rtc.min.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
});
