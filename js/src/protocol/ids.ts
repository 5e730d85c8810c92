/** The names that both sides of a session compute without asking each other. */

import { compare, utf8 } from "../bytes.js";
import { Sha256 } from "../sha256.js";

function hash(kind: string, ...parts: string[]): string {
  const digest = new Sha256().add(utf8(kind));
  for (const part of parts) {
    const data = utf8(part);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, data.length);
    digest.add(length).add(data);
  }
  return digest.hex().slice(0, 32);
}

/** The id of the nth session of two peers in a room: 32 hex digits, whichever side asks. */
export function sessionId(room: string, one: string, other: string, n = 1): string {
  return hash("adieu session", room, ...[one, other].sort(compare), ...(n === 1 ? [] : [String(n)]));
}

/** The id of the receipt that ends this session: 32 hex digits, known from the start, nobody's choice. */
export function receiptId(session: string): string {
  return hash("adieu receipt", session);
}
