import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: "./", // it may be served below any path
  resolve: { alias: { "adieu-rtc": here("../js/src/index.ts") } },
  build: {
    target: "es2022",
    outDir: here("../python/adieu/server/static"),
    emptyOutDir: true,
    assetsInlineLimit: 0, // the page's policy allows nothing inline
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 250,
    license: { fileName: "LICENSES.md" }, // of what is bundled
  },
  // While working on the page: `adieu serve --origin http://localhost:5173` beside it.
  server: { proxy: { "/ws": { target: "http://127.0.0.1:8080", ws: true }, "/v1": "http://127.0.0.1:8080" } },
});
