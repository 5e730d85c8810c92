/** Types for a transfer and its contents, which know of each other by these alone. */

import type { FileOffer, FolderEntry } from "../../protocol/messages.js";

type Bytes = Uint8Array<ArrayBuffer>;
export type Digest = (data: Bytes) => Promise<Bytes>;

/** The way of a transfer's messages. */
export interface Line {
  /** Send a message; `position` is the number of the transfer's bytes that are sent with it. */
  send(message: Bytes | string, position?: number): Promise<void>;
  receive(): Promise<Bytes | string>;
  /** Wait for it, unless the transfer ends before. */
  wait<T>(work: Promise<T>): Promise<T>;
  /** Tell the proof, before the message after which the receiver is done. */
  prove(proof: string): void;
  digest: Digest;
}

/** Something to send that is not a `Blob`. */
export interface Cargo {
  /** Bytes; of a stream those sent so far. */
  size: number;
  files?: number;
  entries?: readonly FolderEntry[];
  /** Return the members of the offer that tell what is sent. `most`: bytes of a message. */
  offer(most: number): Partial<FileOffer>;
  send(line: Line): Promise<void>;
  /** The transfer is over before its end. */
  stop?(): void;
}

/** The part of an incoming file or folder that is received here. */
export interface Receiving {
  offer: FileOffer;
  /** Safe for any disk. */
  name: string;
  /** Tell the sender to begin, at this byte. */
  begin(at: number): Promise<void>;
  next(): Promise<Bytes | string>;
  send(text: string): Promise<unknown>;
  came(done: number): void;
  digest: Digest;
}

export interface Received<T> {
  value: T;
  proof: string;
  size: number;
  files?: number;
}
