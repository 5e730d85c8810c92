/** The manifest of a folder: the entries of the other side, and the paths that they may have here. */

import { fromHex, utf8 } from "../../bytes.js";
import { AT_ONCE, encode, MAX_DEPTH, MAX_PATHS } from "../../protocol/folders.js";
import type { Entries, FolderEntry } from "../../protocol/messages.js";
import { Sha256 } from "../../sha256.js";
import { cut, safe } from "../names.js";

/** No names, but ways to elsewhere. */
const NOWHERE = ["", ".", ".."];
/** Bytes of any name on a disk. */
const MAX_ON_DISK = 255;
/** Characters of a text. */
const PAGE = 128 * 1024;

/** Return a safe name inside a folder that is received: as `safe`, but it may be hidden. */
function inner(name: string): string {
  return /^\..*[^. ]/s.test(name) ? `.${safe(name.slice(1))}` : safe(name);
}

/** The name to try when `number` names like it are taken; no longer on a disk than any may be. */
export function numbered(name: string, number: number): string {
  const mark = ` (${number})`;
  const fit = cut(name, MAX_ON_DISK - mark.length);
  const dot = fit.lastIndexOf(".");
  return dot > 0 ? fit.slice(0, dot) + mark + fit.slice(dot) : fit + mark;
}

/** The entries of a folder of the other side, checked as they come. */
export class Manifest {
  readonly entries: FolderEntry[] = [];
  /** Paths of the entries here: safe for any disk, never out of the folder, each another. */
  readonly paths: string[] = [];
  #characters = 0;
  readonly #digest = new Sha256();
  /** The sender's folders, and their paths here. */
  readonly #folders = new Map([["", ""]]);
  readonly #raw = new Set<string>();
  readonly #taken = new Set<string>();
  readonly #numbers = new Map<string, number>();

  constructor(
    readonly count: number,
    private missing: number,
  ) {}

  /**
   * Take a part of it, and the text that it came as.
   *
   * @throws Error it is more than was offered, or an entry cannot be; the path is named.
   */
  add(text: string, { entries, last }: Entries): void {
    this.#digest.add(utf8(text));
    for (const entry of entries) {
      if (this.entries.length >= this.count) wrong(`more than the ${this.count} entries that were offered`);
      this.#characters += entry.path.length;
      this.missing -= entry.size ?? 0;
      if (this.missing < 0 || this.#characters > MAX_PATHS) wrong("more bytes than were offered, or than it may");
      this.paths.push(this.#place(entry));
      this.entries.push(entry);
    }
    if (last && (this.entries.length !== this.count || this.missing)) wrong("less than was offered");
  }

  #place({ path, size }: FolderEntry): string {
    const parts = path.split("/");
    const name = parts.at(-1)!;
    const parent = this.#folders.get(parts.slice(0, -1).join("/"));
    const shown = JSON.stringify(path.slice(0, 100));
    if (path.includes("\0") || parts.some((part) => NOWHERE.includes(part)))
      wrong(`a path that leads elsewhere: ${shown}`);
    if (parent === undefined) wrong(`${shown}, but no folder for it before`);
    if (this.#raw.has(path)) wrong(`${shown} twice`);
    if (parts.length > MAX_DEPTH) wrong(`a path of more than ${MAX_DEPTH} parts`);
    this.#raw.add(path);
    const place = this.#free(parent && `${parent}/`, inner(name));
    if (size == null) this.#folders.set(path, place);
    return place;
  }

  #free(before: string, name: string): string {
    let place = before + name;
    while (this.#taken.has(place)) {
      const number = (this.#numbers.get(before + name) ?? 0) + 1;
      this.#numbers.set(before + name, number);
      place = before + numbered(name, number);
    }
    this.#taken.add(place);
    return place;
  }

  /** The SHA-256 over its texts. */
  get proof(): Uint8Array<ArrayBuffer> {
    return fromHex(this.#digest.hex());
  }
}

function wrong(what: string): never {
  throw new Error(`the list of the folder has ${what}`);
}

/** Yield the texts that carry a manifest, in order. */
export function* pages(entries: readonly FolderEntry[]): Generator<string> {
  let page: FolderEntry[] = [];
  let size = 0;
  for (const entry of entries) {
    const length = 6 * entry.path.length + 100;
    if (page.length >= AT_ONCE || (page.length && size + length > PAGE)) {
      yield encode({ type: "entries", entries: page });
      page = [];
      size = 0;
    }
    page.push(entry);
    size += length;
  }
  yield encode({ type: "entries", entries: page, last: true });
}
