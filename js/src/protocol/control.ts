/**
 * In-band: the control channel `adieu` and the header of session messages.
 *
 * The control channel is negotiated, id 1022, ordered, reliable, protocol `adieu.v1`; JSON text tagged by `type`.
 */

import { hex } from "../bytes.js";
import { decode as decodeUnion, parse } from "./codec.js";
import {
  type Cancel,
  type Closed,
  type Closing,
  type ControlMessage,
  controlMessageType,
  type Done,
  type Reset,
  type ResetOk,
  type Switch,
  type Switched,
  type Wait,
} from "./messages.js";

export const LABEL = "adieu";
export const PROTOCOL = "adieu.v1";
export const CONTROL_ID = 1022;
/** Session channels count downwards by two from these, by which peer id opened them. */
export const FIRST_ID_SMALLER = 1020;
export const FIRST_ID_LARGER = 1021;
/** A longer control message is a protocol error. */
export const MAX_CONTROL = 256 * 1024;
export const MAX_FRAGMENT = 64 * 1024;
export const MAX_HEADER = 17;
/** A side whose engine takes no larger SCTP message cannot carry a session. */
export const MIN_MESSAGE = 1024;
export const DEFAULT_WINDOW = 4 * 1024 * 1024;
export const DEFAULT_MAX_MESSAGE = 16 * 1024 * 1024;
/** Bytes of credit that a message takes beside its payload, with `credit2` on both sides. */
export const COST = 256;
/** Bytes. If the window is at most this, larger messages do not start (`credit2`). */
export const SMALL = 64 * 1024;
/** Runs in one acknowledgement, the rest waits for the next; and in one account of a session. */
export const MAX_RANGES = 256;
/** Capabilities of this version beyond `VERSION`, sent in `hello`. A session uses those that both sides have. */
export const CAPABILITIES: readonly string[] = ["channels1", "credit2", "files2", "files3", "media1", "unread1"];
/** Characters of a file's name, and of its type. */
export const MAX_FILE_TEXT = 255;
/** Channels whose names begin so belong to files. */
export const FILE_CHANNEL = "file ";
/** Bytes of a file that are proved together: as this side sends them, and the least that may be. */
export const CHUNK = 1024 * 1024;
export const MIN_CHUNK = 16 * 1024;
/** Bytes of a SHA-256. */
export const HASH = 32;

/** Closing and reset words: the same in-band and by signaling, where they carry `session` and `to` too. */
export type Word = Closing | Wait | Done | Closed | Reset | ResetOk | Switch | Switched | Cancel;
/** How deep a reset goes: the ICE path; the connection; the connection, tracks and devices. */
export type Level = Reset["level"];

/** The text of a control message. */
export function encode(message: ControlMessage): string {
  return controlMessageType.get(message.type)!.write(message);
}

/**
 * Read a control message; undefined for a type of a later version, which is ignored.
 *
 * @throws TypeError it is not JSON, too long, or a member is wrong; the message names which.
 */
export function decode(text: string): ControlMessage | undefined {
  if (text.length > MAX_CONTROL) {
    throw new TypeError(`a control message of ${text.length} characters; the limit is ${MAX_CONTROL}`);
  }
  return decodeUnion(parse(text), controlMessageType);
}

// --- the header of session messages ---------------------------------------------------------------------------

const TEXT = 1;
const FIRST = 2;
const LAST = 4;
const AGAIN = 8;
const WHOLE = FIRST | LAST;
export const RECEIPT_BYTES = 16;

/** A message sent again: the receipt id and the sequence number of the first time. */
export type Again = [receipt: string, seq: number];

/** The header before the payload of one SCTP message. */
export interface Header {
  text: boolean;
  first: boolean;
  last: boolean;
  /** The number of the message, from 1. */
  seq: number;
  /** The index of the fragment within the message, from 0. */
  index: number;
  /** On a first fragment of a message sent again. */
  again: Again | undefined;
}

/** One SCTP message of a session channel: a whole message or a piece of one. */
export interface Fragment extends Header {
  payload: Uint8Array;
}

/** A QUIC variable-length integer (RFC 9000 section 16): 1, 2, 4 or 8 bytes, which the two highest bits tell. */
function encodeVarint(value: number): number[] {
  const length = [0x40, 0x4000, 0x4000_0000].filter((limit) => value >= limit).length;
  const bytes: number[] = [];
  for (let left = value, at = 1 << length; at--; left = Math.floor(left / 256)) bytes[at] = left % 256;
  bytes[0]! |= length << 6;
  return bytes;
}

/** The bytes before the payload: at most `MAX_HEADER`, and `RECEIPT_BYTES + 8` more with `again`. */
export function encodeHeader({ text, first, last, seq, index, again }: Header): Uint8Array {
  const flags = (text ? TEXT : 0) | (first ? FIRST : 0) | (last ? LAST : 0);
  const head = [flags, ...encodeVarint(seq)];
  if ((flags & WHOLE) !== WHOLE) head.push(...encodeVarint(index));
  if (again && first) {
    head[0] = flags | AGAIN;
    const [receipt, original] = again;
    for (let at = 0; at < receipt.length; at += 2) head.push(Number.parseInt(receipt.slice(at, at + 2), 16));
    head.push(...encodeVarint(original));
  }
  return Uint8Array.from(head);
}

/** Read one SCTP message of a session channel. Throws `TypeError` when the header is wrong. */
export function decodeFragment(data: Uint8Array): Fragment {
  const cut = () => new TypeError("a header cut short");
  let at = 1;
  const varint = (): number => {
    const end = at + (1 << (data[at]! >> 6));
    if (end > data.length) throw cut();
    let value = data[at]! & 0x3f;
    while (++at < end) value = value * 256 + data[at]!;
    if (value > Number.MAX_SAFE_INTEGER) throw new TypeError("a number that a double does not hold");
    return value;
  };
  const flags = data[0];
  if (flags === undefined) throw new TypeError("an empty message has no header");
  if (flags & 0xf0) throw new TypeError(`unknown header bits 0x${(flags & 0xf0).toString(16)}`);
  const first = (flags & FIRST) !== 0;
  const seq = varint();
  if (seq === 0) throw new TypeError("sequence numbers start at 1");
  let index = 0;
  if ((flags & WHOLE) !== WHOLE) {
    index = varint();
    if ((index === 0) !== first) throw new TypeError(`fragment ${index} with first=${first}`);
  }
  let again: Again | undefined;
  if (flags & AGAIN) {
    if (!first) throw new TypeError("only a first fragment says that a message is sent again");
    const receipt = data.subarray(at, at + RECEIPT_BYTES);
    if (receipt.length !== RECEIPT_BYTES) throw cut();
    at += RECEIPT_BYTES;
    again = [hex(receipt), varint()];
  }
  return {
    text: (flags & TEXT) !== 0,
    first,
    last: (flags & LAST) !== 0,
    seq,
    index,
    again,
    payload: data.subarray(at),
  };
}
