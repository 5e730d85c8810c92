// dist/: the modules with their types, and one minified bundle for pages without a build of their own.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(`${root}node_modules/.bin/tsc`, ["-p", root], { stdio: "inherit" });
await build({
  input: `${root}src/index.ts`,
  platform: "browser",
  resolve: { extensionAlias: { ".js": [".ts"] } },
  tsconfig: false, // what follows is for the bundle only
  transform: { target: "es2022", typescript: { removeClassFieldsWithoutInitializer: true } },
  output: {
    file: `${root}dist/adieu-rtc.min.js`,
    format: "esm",
    comments: { annotation: false },
    minify: { compress: { target: "es2022" } },
  },
});
