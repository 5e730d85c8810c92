/**
 * SHA-256 of the chunks of files, never in the thread of a page. Pages with TLS and local pages hash natively, others in
 * a worker.
 */

type Bytes = Uint8Array<ArrayBuffer>;

/** The hash of some bytes. */
export async function digest(data: Bytes): Promise<Bytes> {
  const { subtle } = crypto;
  if (subtle) return new Uint8Array(await subtle.digest("SHA-256", data));
  return (await import("./session/files/folders.js")).elsewhere(data);
}
