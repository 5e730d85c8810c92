/**
 * A ZIP file of received files, without compression: the blobs themselves are its parts, so nothing is copied. Numbers
 * that are too large for the format's first version are written as ZIP64 has them.
 */

import { utf8 } from "../../../js/src/bytes.js";
import { safe } from "../../../js/src/session/names.js";

/** A file to be stored. */
export interface Stored {
  /** The path with slashes. */
  readonly path: string;
  readonly file?: Blob | undefined;
}

const PIECE = 1024 * 1024;
/** Stand for a number that ZIP64 has. */
const MAX = 0xffffffff;
const MAX_FILES = 0xffff;
const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR = 0x07064b50;
const UTF_8 = 0x0800;
const VERSION = 20;
const VERSION_64 = 45;
/** The first of January 1980, the earliest that the format has. */
const DATE = 0x21;

/**
 * Return the ZIP file.
 *
 * @param max numbers from this one on are written as ZIP64 has them.
 */
export async function zipped(all: readonly Stored[], max = MAX): Promise<Blob> {
  const parts: BlobPart[] = [];
  const ends: BlobPart[] = [];
  let at = 0;
  let central = 0;
  const names = new Set<string>();
  for (const { path, file } of all) {
    if (!file) continue;
    const name = utf8(unused(safePath(path), names));
    const sizes = [file.size, file.size];
    const members: Field[] = [...short([UTF_8, 0, 0, DATE]), [4, await crc32(file)], ...narrow(sizes, max)];
    const wide = sizes.filter((value) => value >= max);
    const head = record([[4, LOCAL], [2, versionOf(wide)], ...members], name, wide);
    if (at >= max) wide.push(at);
    const version = versionOf(wide);
    const more: Field[] = [...short([0, 0, 0]), [4, 0], ...narrow([at], max)];
    const entry = record([[4, CENTRAL], [2, version], [2, version], ...members], name, wide, more);
    parts.push(head, file);
    ends.push(entry);
    at += head.length + file.size;
    central += entry.length;
  }
  return new Blob([...parts, ...ends, end(ends.length, central, at, max)], { type: "application/zip" });
}

type Field = readonly [bytes: 2 | 4 | 8, value: number];

function short(values: readonly number[]): Field[] {
  return values.map((value) => [2, value]);
}

/** Return numbers as the first version has them; those from `max` on are elsewhere. */
function narrow(values: readonly number[], max: number): Field[] {
  return values.map((value) => [4, value >= max ? MAX : value]);
}

function versionOf(wide: readonly number[]): number {
  return wide.length ? VERSION_64 : VERSION;
}

/** A header: its fields, the lengths of the name and of the wide numbers, further fields, the name, the wide numbers. */
function record(
  fields: Field[],
  name: Uint8Array<ArrayBuffer>,
  wide: readonly number[],
  more: Field[] = [],
): Uint8Array<ArrayBuffer> {
  const numbers = wide.map((value): Field => [8, value]);
  const extra = packed(wide.length ? [[2, 1], [2, 8 * wide.length], ...numbers] : []);
  const head = packed([...fields, [2, name.length], [2, extra.length], ...more]);
  const whole = new Uint8Array(head.length + name.length + extra.length);
  whole.set(head);
  whole.set(name, head.length);
  whole.set(extra, head.length + name.length);
  return whole;
}

/** The end of the file: so many entries, of so many bytes, which begin there. */
function end(count: number, bytes: number, at: number, max: number): Uint8Array<ArrayBuffer> {
  const many = Math.min(count, MAX_FILES);
  const first: Field[] = [[4, END], ...short([0, 0, many, many]), ...narrow([bytes, at], max), [2, 0]];
  if (count < MAX_FILES && bytes < max && at < max) return packed(first);
  const start: Field[] = [
    [4, END_64],
    [8, 44],
    [2, VERSION_64],
    [2, VERSION_64],
    [4, 0],
    [4, 0],
  ];
  const last: Field[] = [[8, count], [8, count], [8, bytes], [8, at]]; // biome-ignore format: a list
  const locator: Field[] = [[4, LOCATOR], [4, 0], [8, at + bytes], [4, 1]]; // biome-ignore format: a list
  return packed([...start, ...last, ...locator, ...first]);
}

function packed(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else if (bytes === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += bytes;
  }
  return new Uint8Array(view.buffer);
}

/** A path below the folder where it is unpacked, whatever the sender calls it. */
export function safePath(path: string): string {
  const [first = "", ...inner] = path.split("/");
  const hidden = (part: string) => (/^\.[^. ]/.test(part) ? `.${safe(part.slice(1))}` : safe(part));
  return [safe(first), ...inner.map(hidden)].join("/");
}

function unused(path: string, names: Set<string>): string {
  let found = path;
  for (let number = 1; names.has(found); number++) found = path.replace(/(\.[^./]*)?$/, ` (${number})$1`);
  names.add(found);
  return found;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

async function crc32(file: Blob): Promise<number> {
  let sum = 0xffffffff;
  for (let at = 0; at < file.size; at += PIECE) {
    for (const byte of new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer())) {
      sum = TABLE[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
    }
  }
  return (sum ^ 0xffffffff) >>> 0;
}
