/** Messages on the channel of a folder (`files3`): the manifest, the parts that the receiver has, the bytes, the proof. */

import { concat } from "../bytes.js";
import { Sha256 } from "../sha256.js";
import { decode as decodeUnion, parse } from "./codec.js";
import { type FolderMessage, folderMessageType } from "./messages.js";

/** Files and folders in a manifest. */
export const MAX_ENTRIES = 100_000;
/** Characters of a path in the folder. */
export const MAX_PATH = 1024;
/** Parts of a path. */
export const MAX_DEPTH = 64;
/** Characters of all paths of a manifest. */
export const MAX_PATHS = 16 * 1024 * 1024;
/** Entries in a text, and pieces in a binary message. */
export const AT_ONCE = 256;
/** Characters of a text. */
const MAX_PAGE = 2 * 1024 * 1024;
/** Bytes that a binary message has beside those of its pieces. */
export const MAX_HEAD = 32 * 1024;
/** Bytes of a SHA-256. */
const HASH = 32;

type Bytes = Uint8Array<ArrayBuffer>;

/** Return the text of a message. */
export function encode(message: FolderMessage): string {
  return folderMessageType.get(message.type)!.write(message);
}

/**
 * Read a text.
 *
 * @throws TypeError it is no such text, or beyond a bound.
 */
export function decode(text: string): FolderMessage {
  if (text.length > MAX_PAGE) throw new TypeError(`a list of ${text.length} characters; the limit is ${MAX_PAGE}`);
  const message = decodeUnion(parse(text), folderMessageType);
  if (!message) throw new TypeError("no text of a folder");
  return message;
}

/** A piece of a file: a whole chunk of it, or its last one. */
export interface Piece {
  /** The number of the entry, from 0. */
  n: number;
  /** The place of its first byte in the file. */
  at: number;
  data: Bytes;
  /** The SHA-256 of `data`. */
  hash: Bytes;
}

/** A QUIC variable-length integer. */
function varint(value: number): number[] {
  const length = [0x40, 0x4000, 0x4000_0000].filter((limit) => value >= limit).length;
  const bytes: number[] = [];
  for (let left = value, at = 1 << length; at--; left = Math.floor(left / 256)) bytes[at] = left % 256;
  bytes[0]! |= length << 6;
  return bytes;
}

/** Return the binary message that carries some pieces: their numbers, then their bytes, then their hashes. */
export function encodePieces(pieces: readonly Piece[]): Bytes {
  const head = pieces.flatMap(({ n, at, data }) => [...varint(n), ...varint(at), ...varint(data.length)]);
  const start = Uint8Array.from([...varint(pieces.length), ...head]);
  return concat([start, ...pieces.map(({ data }) => data), ...pieces.map(({ hash }) => hash)]);
}

/**
 * Read a binary message. The hashes are not verified.
 *
 * @throws TypeError its numbers do not fit together.
 */
export function decodePieces(message: Bytes): Piece[] {
  let at = 0;
  const number = (): number => {
    const end = at + (1 << (message[at]! >> 6));
    if (!(end <= message.length)) throw new TypeError("a message of pieces is cut short");
    let value = message[at]! & 0x3f;
    while (++at < end) value = value * 256 + message[at]!;
    if (value > Number.MAX_SAFE_INTEGER) throw new TypeError("a number that a double does not hold");
    return value;
  };
  const count = number();
  if (!count || count > AT_ONCE) throw new TypeError(`a message of ${count} pieces; 1 to ${AT_ONCE}`);
  const places = Array.from({ length: count }, () => [number(), number(), number()] as const);
  const hashes = places.reduce((end, [, , size]) => end + size, at);
  if (places.some(([n, , size]) => n >= MAX_ENTRIES || !size) || hashes + HASH * count !== message.length) {
    throw new TypeError("the pieces of a message are not as it says");
  }
  return places.map(([n, place, size], index) => {
    const data = message.subarray(at, (at += size));
    const begin = hashes + HASH * index;
    return { n, at: place, data, hash: message.subarray(begin, begin + HASH) };
  });
}

/** Return the proof of a folder: the SHA-256 over that of its manifest and those of its files. */
export function proofOf(manifest: Bytes, proofs: Iterable<Bytes>): string {
  const proof = new Sha256().add(manifest);
  for (const each of proofs) proof.add(each);
  return proof.hex();
}
