/** Files to and from a peer of the first version: hashed before they are offered, and proved as a whole. */

import { hex } from "../../bytes.js";
import { elsewhere } from "../../hashing-worker.js";
import type { Line, Received, Receiving } from "./cargo.js";
import { keepHalf, takeHalf } from "./halves.js";

/** Bytes of a message. */
const PIECE = 256 * 1024;
const wholes = new WeakMap<Blob, Promise<string>>();

/** Return the hash of a whole file, which is made once, a piece at a time; hex. Nothing native does that. */
export function whole(file: Blob): Promise<string> {
  const hash = wholes.get(file) ?? elsewhere(file).then(hex);
  wholes.set(file, hash);
  hash.catch(() => wholes.delete(file));
  return hash;
}

/** Send a file from a byte on. `most`: bytes of a message. */
export async function sendFirst(line: Line, file: Blob, from: number, sha256: string, most: number): Promise<void> {
  const piece = Math.min(PIECE, most);
  for (let at = from; at < file.size; at += piece) {
    const end = Math.min(at + piece, file.size);
    if (end === file.size) line.prove(sha256);
    await line.send(new Uint8Array(await file.slice(at, end).arrayBuffer()), end);
  }
}

/** Receive a file. If not all of it comes, the part that is here is kept. */
export async function receiveFirst(from: Receiving): Promise<Received<File>> {
  const { size, type = "", sha256 = "", modified } = from.offer;
  const half = takeHalf(sha256, size);
  try {
    await from.begin(half.size);
    while (half.size < size) {
      const data = await from.next();
      if (typeof data === "string" || half.size + data.length > size) {
        throw new TypeError("the sender sent more than it offered");
      }
      half.add(data);
      from.came(half.size);
    }
  } catch (error) {
    keepHalf(sha256, half);
    throw error;
  }
  const lastModified = modified != null && { lastModified: Math.floor(modified / 1000) };
  const file = new File(half.pieces, from.name, { type, ...lastModified });
  if ((await whole(file)) !== sha256) throw new TypeError("it arrived damaged: its hash is not the one announced");
  return { value: file, proof: sha256, size };
}
