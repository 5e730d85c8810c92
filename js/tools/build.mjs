// dist/: the modules with their types, and a minified bundle of each entry for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

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
    transform: { target: "es2022", typescript: { removeClassFieldsWithoutInitializer: true } },
    output: {
      file: `${root}dist/${file}`,
      format: "esm",
      comments: { annotation: false },
      minify: { compress: { target: "es2022" } },
    },
  });
