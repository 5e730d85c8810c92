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

export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

export function toBase64(data: Uint8Array): string {
  return btoa(String.fromCharCode(...data));
}
