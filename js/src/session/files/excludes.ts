/** Patterns that leave files out of a folder that is sent, as in a `.gitignore`. */

const TOKENS = /\/\*\*\/|^\*\*\/|\/\*\*$|\*+|\?|\[[!^]?\]?[^\]/]*\]|\\.|./gsu;
const WILD: Record<string, string> = { "/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "/**": "/.*", "?": "[^/]" };

/**
 * Return whether a path is left out; `path` has its parts separated by `/`.
 *
 * The last pattern that matches decides. `*` and `?` match within a name, `**` over folders too, `[abc]` one character.
 * A pattern with a `/` before its end is for the path from the folder that is sent; others are for the name, wherever it
 * is. One that ends in `/` is for folders alone, with all that is in them. One that begins with `!` takes in again. An
 * empty one, and one that begins with `#`, is for nothing. A backslash takes the next character as it is.
 *
 * @throws TypeError a pattern is no text, or its range of characters cannot be.
 */
export function excludes(patterns: readonly string[]): (path: string, folder: boolean) => boolean {
  if (typeof patterns === "string") throw new TypeError("exclude takes a list of patterns, not one text");
  const rules = patterns.flatMap((pattern) => rule(pattern));
  return (path, folder) => {
    let out = false;
    for (const { matches, back, foldersOnly } of rules) {
      if (out === back && (folder || !foldersOnly) && matches.test(path)) out = !back;
    }
    return out;
  };
}

interface Rule {
  matches: RegExp;
  back: boolean;
  foldersOnly: boolean;
}

function rule(given: string): Rule[] {
  if (typeof given !== "string") throw new TypeError(`a pattern must be text, not ${typeof given}`);
  if (!given.trim() || given.startsWith("#")) return [];
  const back = given.startsWith("!");
  const whole = back ? given.slice(1) : given;
  const text = whole.replace(/\/+$/, "");
  const start = text.includes("/") ? "" : "(?:.*/)?";
  const tokens = text.replace(/^\/+/, "").match(TOKENS) ?? [];
  try {
    const matches = new RegExp(`^${start}${tokens.map(translated).join("")}$`, "su");
    return [{ matches, back, foldersOnly: whole.endsWith("/") }];
  } catch {
    throw new TypeError(`${given} is no pattern`);
  }
}

function translated(token: string): string {
  if (Object.hasOwn(WILD, token)) return WILD[token]!;
  if (token[0] === "*") return "[^/]*";
  if (token[0] === "[" && /[^!^]/.test(token.slice(1, -1))) {
    const inside = token.slice(1, -1).replace(/[\\[\]]/g, "\\$&");
    return `(?!/)[${/^[!^]/.test(inside) ? `^${inside.slice(1)}` : inside}]`;
  }
  return (token[0] === "\\" && token.length > 1 ? token.slice(1) : token).replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
