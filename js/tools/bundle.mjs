// One minified file of a module and all that it imports.
import { build } from "rolldown";

/**
 * @param input a module in TypeScript.
 * @param names properties that get short names.
 * @param cache the short names that are given already.
 * @param output more for the output, as Rolldown has it.
 * @returns the short names by the long ones.
 */
export async function bundle({ input, names, cache, platform = "browser", ...output }) {
  const { mangleCache } = await build({
    input,
    platform,
    resolve: { extensionAlias: { ".js": [".ts"] } },
    tsconfig: false, // what follows is for a bundle only
    transform: { target: "es2022", typescript: { removeClassFieldsWithoutInitializer: true } },
    output: {
      ...output,
      format: "esm",
      comments: { annotation: false },
      minify: {
        compress: { target: "es2022" },
        mangleProps: { include: new RegExp(`^(?:${names.join("|")})$`), ...(cache && { cache }) },
      },
    },
  });
  return mangleCache;
}
