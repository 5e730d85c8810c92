/**
 * Messages between a signaling client and the server, WebSocket subprotocol `adieu.v1+json`.
 *
 * They are JSON text frames tagged by `type`. Every message may carry the members of the envelope. `id` is the number
 * of a request, repeated in its answer. `seq` numbers the messages that must survive a lost socket, for each direction.
 * `ack` is the last `seq` received.
 */

import { decode, parse } from "./codec.js";
import type { Word } from "./control.js";
import {
  type Candidates,
  type Description,
  type Envelope,
  envelopeType,
  type FromClient,
  type FromServer,
  fromClientType,
  fromServerType,
  type Moved,
  type Probe,
} from "./messages.js";

export const SUBPROTOCOL = "adieu.v1+json";

/** Messages that the server relays from one peer to another. */
export type Relayed = Description | Candidates | Probe | Moved | Word;

export interface Frame<T> {
  envelope: Envelope;
  /** Undefined for a type of a later version. */
  message: T | undefined;
}

/** WebSocket close codes. 3500 and above are final; after all others a client reconnects. */
export const CLOSE_CODES = {
  QUIT: 1000,
  TOO_BIG: 1009,
  LOST: 3000,
  SHUTDOWN: 3001,
  EXPIRED: 3005,
  SLOW: 3008,
  NO_PONG: 3012,
  TOO_MANY: 3013,
  INVALID_TOKEN: 3500,
  BAD_REQUEST: 3501,
  LIMIT: 3504,
  DENIED: 3507,
  KICKED: 3509,
} as const;

const FINAL = new Set<number>(Object.values(CLOSE_CODES).filter((code) => code >= 3500 || code === 1000));

/** Whether a socket that ended with this code shall not be opened again; unknown codes are temporary. */
export function isFinal(code: number): boolean {
  return FINAL.has(code);
}

/** The message alone, to be wrapped when it is sent: the envelope of a replayed frame is a new one. */
export function encodeBody(message: FromClient | FromServer): string {
  const kinds = fromClientType.has(message.type as never) ? fromClientType : fromServerType;
  return kinds.get(message.type)!.write(message as never);
}

/** Put the envelope's members in front of those of an encoded message (which has at least its `type`). */
export function wrap(body: string, envelope: Envelope): string {
  const head = envelopeType.write(envelope);
  return head === "{}" ? body : `${head.slice(0, -1)},${body.slice(1)}`;
}

/**
 * Read a frame from a client.
 *
 * @throws TypeError it is not JSON, or a member is wrong; the message names which.
 */
export function decodeClient(text: string): Frame<FromClient> {
  const value = parse(text);
  return { envelope: envelopeType.read(value, "envelope"), message: decode(value, fromClientType) };
}

/** Read a frame from the server; as `decodeClient`. */
export function decodeServer(text: string): Frame<FromServer> {
  const value = parse(text);
  return { envelope: envelopeType.read(value, "envelope"), message: decode(value, fromServerType) };
}
