/**
 * SHA-256 of files and their chunks, never in the thread of a page. Pages with TLS and local pages hash natively,
 * others in a worker.
 */

import { hex } from "./bytes.js";

type Bytes = Uint8Array<ArrayBuffer>;

/** The hash of some bytes. */
export async function digest(data: Bytes): Promise<Bytes> {
  const { subtle } = crypto;
  return subtle ? new Uint8Array(await subtle.digest("SHA-256", data)) : elsewhere(data);
}

/** The hash of a whole file, which is read a piece at a time; hex. Nothing native does that. */
export async function digestOf(file: Blob): Promise<string> {
  return hex(await elsewhere(file));
}

async function elsewhere(what: Blob | Bytes): Promise<Bytes> {
  return (await import("./session/files/folders.js")).elsewhere(what);
}
