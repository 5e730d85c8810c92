/** The messages and traces that every language replays. */

import { readdirSync, readFileSync } from "node:fs";

const FOLDER = new URL("../../../vectors/", import.meta.url);

// biome-ignore lint/suspicious/noExplicitAny: the vectors are data
export function vectors(path: string): any {
  return JSON.parse(readFileSync(new URL(`${path}.json`, FOLDER), "utf8"));
}

export function names(folder: string): string[] {
  return readdirSync(new URL(`${folder}/`, FOLDER))
    .map((file) => file.replace(".json", ""))
    .sort();
}
