/** dist/: one file for each example. */
import { defineConfig } from "rolldown";

/** What React and Vue ask the bundler. */
const define = {
  "process.env.NODE_ENV": '"production"',
  __VUE_OPTIONS_API__: "false",
  __VUE_PROD_DEVTOOLS__: "false",
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false",
};
const names = ["plain", "react", "vue", "simple-peer", "peerjs"];

export default defineConfig(
  names.map((name) => ({
    input: `src/${name}.jsx`,
    platform: "browser",
    transform: { define },
    output: { file: `dist/${name}.js`, format: "esm" },
  })),
);
