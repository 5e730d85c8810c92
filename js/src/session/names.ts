/** Names of files: what of the other side's words may become a name on a disk. */

import { utf8 } from "../bytes.js";

/** The most bytes of a name from outside, in UTF-8. File systems allow 255; the rest is for a browser's additions. */
const MAX_NAME = 200;
/** Bytes: a longer end is no type of a file, and is not kept when a name is cut. */
const MAX_SUFFIX = 32;
/** Characters that are not seen, or turn what is seen around. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** Names of devices on Windows, whatever comes after a dot. */
const RESERVED = /^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³])$/i;

/**
 * Return a safe file name for every folder of every system, whatever `name` is. It is one part of a path, not the name
 * of a device, and has at most `MAX_NAME` bytes. It has no invisible characters, no characters that Windows reserves,
 * and no dots or blanks at its ends.
 */
export function safe(name: string): string {
  const last = name
    .replace(/[\\/]+$/, "")
    .split(/[\\/]/)
    .at(-1)!;
  const seen = last.replace(HIDDEN, "").replace(/\p{Zs}/gu, " ");
  const clean = cut(seen.replace(/[<>:"|?*]/g, "_").replace(/^[. ]+|[. ]+$/g, ""), MAX_NAME - 1);
  const stem = clean.replace(/ *(\..*)?$/, "");
  return clean.startsWith("~") || RESERVED.test(stem) ? `_${clean}` : clean || "file";
}

/** A name of at most `most` bytes in UTF-8, which keeps its suffix, and ends in no dot or blank if it was cut. */
export function cut(name: string, most: number): string {
  if (size(name) <= most) return name;
  const dot = name.lastIndexOf(".");
  const suffix = dot > 0 && size(name.slice(dot)) <= MAX_SUFFIX ? name.slice(dot) : "";
  const stem = [...name.slice(0, name.length - suffix.length)];
  let room = most - size(suffix);
  const end = stem.findIndex((character) => (room -= size(character)) < 0);
  return (end < 0 ? stem : stem.slice(0, end)).join("").replace(/[. ]+$/, "") + suffix;
}

function size(text: string): number {
  return utf8(text).length;
}
