/** A ZIP file of received files, without compression: the blobs themselves are its parts, so nothing is copied. */

import { utf8 } from "../../../js/src/bytes.js";
import { safe } from "../../../js/src/session/names.js";
import { words } from "../words/language.js";

/** A file to be stored. */
export interface Stored {
  /** The path with slashes. */
  readonly path: string;
  readonly file?: Blob | undefined;
}

const PIECE = 1024 * 1024;
/** Larger numbers need the format's second version, ZIP64. */
const MAX = 0xffffffff;
const MAX_FILES = 0xffff;
const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const UTF_8 = 0x0800;
const VERSION = 20;
/** The first of January 1980, the earliest that the format has. */
const DATE = 0x21;

/** Return the ZIP file. Throws RangeError: there is too much for this format. */
export async function zipped(all: readonly Stored[]): Promise<Blob> {
  const parts: BlobPart[] = [];
  const ends: BlobPart[] = [];
  let at = 0;
  let central = 0;
  const names = new Set<string>();
  for (const { path, file } of all) {
    if (!file) continue;
    const name = utf8(unused(safePath(path), names));
    const members = [UTF_8, 0, 0, DATE] as const;
    const sum = await crc32(file);
    const head = record([[4, LOCAL], [2, VERSION], ...short(members), [4, sum], [4, file.size], [4, file.size]], name);
    const entry = record(
      [[4, CENTRAL], [2, VERSION], [2, VERSION], ...short(members), [4, sum], [4, file.size], [4, file.size]],
      name,
      [
        [2, 0],
        [2, 0],
        [2, 0],
        [4, 0],
        [4, at],
      ],
    );
    parts.push(head, file);
    ends.push(entry);
    at += head.length + file.size;
    central += entry.length;
  }
  const count = ends.length;
  if (at + central > MAX || count > MAX_FILES) throw new RangeError(words().receive.why.zip);
  const last = packed([
    [4, END],
    [2, 0],
    [2, 0],
    [2, count],
    [2, count],
    [4, central],
    [4, at],
    [2, 0],
  ]);
  return new Blob([...parts, ...ends, last], { type: "application/zip" });
}

type Field = readonly [bytes: 2 | 4, value: number];

function short(values: readonly number[]): Field[] {
  return values.map((value) => [2, value]);
}

/** A header: its fields, the lengths of the name and of nothing, further fields, the name. */
function record(fields: Field[], name: Uint8Array<ArrayBuffer>, more: Field[] = []): Uint8Array<ArrayBuffer> {
  const head = packed([...fields, [2, name.length], [2, 0], ...more]);
  const whole = new Uint8Array(head.length + name.length);
  whole.set(head);
  whole.set(name, head.length);
  return whole;
}

function packed(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
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
