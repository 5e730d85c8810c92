/** All files of a sending as one folder: which one of the list it is, and its place on a disk. */

import { numbered } from "../../../js/src/session/files/manifest.js";
import { safe } from "../../../js/src/session/names.js";
import { type Entry, FOLDER } from "./messages.js";

/** The name of the folder that carries several files and folders. */
const SEVERAL = "files";

/** Return the path of the one folder that has everything in it, with a slash, or an empty text. */
export function trunk([first, ...others]: readonly Entry[]): string {
  if (first?.size !== FOLDER || first.path.includes("/")) return "";
  const begin = `${first.path}/`;
  return others.every(({ path }) => path.startsWith(begin)) ? begin : "";
}

/** Return how many files and folders the one folder has. */
export function countOf(entries: readonly Entry[]): number {
  return entries.length - Number(trunk(entries) !== "");
}

/**
 * Return the disk as one that gives one new folder alone, so that a second attempt goes on in the first one's folder.
 *
 * @param disk the folder that the person has chosen.
 */
export async function placeOn(
  disk: FileSystemDirectoryHandle,
  entries: readonly Entry[],
): Promise<FileSystemDirectoryHandle> {
  const name = safe(trunk(entries) || SEVERAL);
  let free = name;
  for (let number = 1; await isTaken(disk, free); number++) free = numbered(name, number);
  const folder = await disk.getDirectoryHandle(free, { create: true });
  return { getDirectoryHandle: async () => folder } as unknown as FileSystemDirectoryHandle;
}

async function isTaken(disk: FileSystemDirectoryHandle, name: string): Promise<boolean> {
  try {
    await disk.getFileHandle(name);
    return true;
  } catch (error) {
    return (error as DOMException).name === "TypeMismatchError"; // it is a folder
  }
}
