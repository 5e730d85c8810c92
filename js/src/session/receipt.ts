/** The receipt of a session, which both sides hold (closing rules S2, S5). */

import { fromUtf8 } from "../bytes.js";
import { FILE_CHANNEL, type Level } from "../protocol/control.js";
import type { Reason } from "../protocol/messages.js";
import { describe, type Ledger } from "./ledger.js";
import type { Numbered, Payload } from "./machine/held.js";
import { type ChannelReceipt, isClean, type Outcome, type StepReceipt } from "./machine/receipt.js";
import type { Sender } from "./machine/sender.js";
import type { Recording } from "./recording.js";

/** A message that did not arrive, or may not have. `send()` takes it again. */
export class Message {
  constructor(
    /** As it was given to `send()`. */
    readonly data: string | Uint8Array,
    /** The number on its channel. */
    readonly seq: number,
    /** The id of the receipt that accounts for it, so that a receiver who has the message can tell. */
    readonly receipt: string,
    /** Whether any of it left. */
    readonly sent: boolean,
  ) {}
}

/** A file, or a folder, that arrived whole. */
export interface FileReceipt {
  /** As it was offered; on the receiving side, fit for a disk. */
  name: string;
  /** Bytes. */
  size: number;
  /**
   * The SHA-256 over the hashes of its chunks, hex; equal on both sides. That of a folder is over its manifest and the
   * proofs of its files; if the other side is of the first version, it is that of the file.
   */
  proof: string;
  /** Whether this side sent it; otherwise it was received. */
  sent: boolean;
  /** The number of files in a folder; undefined for a file. */
  files?: number;
}

/** A file that is not whole: under way, or cut off by the end of the session. */
export interface PartialFile {
  /** As it was offered; on the receiving side, fit for a disk. */
  name: string;
  size: number;
  /** Bytes that are there, as far as this side knows. */
  done: number;
  /** Whether this side sends it; otherwise it is received. */
  sent: boolean;
}

/** The account of a track that was sent, by this side's count and the other side's reports. */
export interface MediaSent {
  /** Packets that left, and the bytes that they carried. */
  packets: number;
  payloadBytes: number;
  /** Packets that the other side's last report covers, and those that it reports as lost; null without a report. */
  arrived: number | null;
  lost: number | null;
}

/** The account of a track of the other side. */
export interface MediaReceived {
  /** Packets that came, and the bytes that they carried. */
  packets: number;
  payloadBytes: number;
  /** Packets that never came. */
  lost: number;
}

/** The account of the media of one section, of the last connection of the session. */
export interface MediaReceipt {
  kind: "audio" | "video";
  /** Null if nothing was sent. */
  sent: MediaSent | null;
  /** Null if nothing came. */
  received: MediaReceived | null;
}

/** How a session ended, and what became of each message. */
export class CloseReceipt {
  /** Equal on both sides. */
  readonly id: string;
  /** The side that ended the session. */
  readonly by: Outcome["by"];
  /** `code` for programs, `text` for people. */
  readonly reason: Reason;
  readonly path: Outcome["path"];
  /** Why, one of `CAUSES`; two joined by a comma where they look the same from here. */
  readonly cause: string;
  /** The evidence for the cause. */
  readonly evidence: readonly string[];
  /** The page's own channels by name; null if this side cannot know. */
  readonly channels: Readonly<Record<string, ChannelReceipt>>;
  /** The five steps; start and duration in seconds, as in every language. */
  readonly steps: readonly StepReceipt[];
  /** This side has the other's last word. */
  readonly confirmed: boolean;
  /**
   * The canonical part, JSON; equal byte for byte on both sides where both are confirmed. (With a peer of the version
   * before, a reason of its own that has control characters is cleaned here alone.)
   */
  readonly agreed: string;
  /** Confirmed, nothing of a reliable channel is unknown or unsent, and no file is partial. */
  readonly clean: boolean;
  /** The session's flight recorder, if the receipt is not clean; `session.recording()` has it always. */
  readonly recording: (() => Promise<Recording>) | undefined;
  readonly #senders: Map<string, Sender>;

  constructor(
    outcome: Outcome,
    /** The things that are still held. */
    readonly ledger: Ledger,
    /** One sentence for a person. */
    readonly notice: string,
    senders: Map<string, Sender>,
    /**
     * The last thousand that arrived whole, in either direction. Each side keeps its own account: it is not part of
     * `agreed`, but the proofs are equal.
     */
    readonly files: readonly FileReceipt[] = [],
    /** The files that the end has cut off. They can go on in the next session, where they stopped. */
    readonly partial: readonly PartialFile[] = [],
    recording?: () => Promise<Recording>,
    /** The account of media by mid, as this side counted. Both sides' counts are in `agreed`. */
    readonly media: Readonly<Record<string, MediaReceipt>> = {},
  ) {
    this.id = outcome.id;
    this.by = outcome.by;
    this.reason = outcome.reason;
    this.path = outcome.path;
    this.cause = outcome.cause;
    this.evidence = outcome.evidence;
    // Without a prototype: the other side gives names too.
    this.channels = Object.assign(Object.create(null), Object.fromEntries(ownChannels(outcome)));
    this.steps = outcome.steps;
    this.confirmed = outcome.confirmed;
    this.agreed = outcome.agreed;
    this.clean = isClean(outcome) && !partial.length;
    this.recording = this.clean ? undefined : recording;
    this.#senders = senders;
  }

  /** Take back what never left on this channel: sending it again is safe. Empty if there was no such channel. */
  unsent(name: string): Message[] {
    return (this.#senders.get(name)?.unsent() ?? []).map((message) => this.#message(message, false));
  }

  /**
   * Return the messages that left and are not known to have arrived. Sent again, they may arrive twice, but a receiver
   * with adieu recognizes them for ten minutes. Unreliable channels keep nothing. For an unordered channel this may
   * include delivered messages, if the other side has not reported which ones it took. That is so for the previous
   * version, and for more than 256 gaps.
   */
  unknown(name: string): Message[] {
    return (this.#senders.get(name)?.unknown() ?? []).map((message) => this.#message(message, true));
  }

  #message({ seq, payload }: Numbered, sent: boolean): Message {
    const [receipt, first] = payload.again ?? [this.id, seq];
    return new Message(messageOf(payload), first, receipt, sent);
  }

  /** All of it but the messages. */
  toJSON(): Record<string, unknown> {
    const { ledger, agreed, recording: _, ...members } = this;
    return { ...members, ledger: ledger.held.map(describe), agreed: JSON.parse(agreed) };
  }
}

/** A message as the page sees it. */
export function messageOf({ data, text }: Payload): string | Uint8Array {
  return text ? fromUtf8(data) : data;
}

/** The channels that do not carry files. */
export function ownChannels({ channels }: Outcome): [name: string, receipt: ChannelReceipt][] {
  return [...channels].filter(([name]) => !name.startsWith(FILE_CHANNEL));
}

/** How a reset went. */
export interface ResetReport {
  /** The highest that either side asked for. */
  level: Level;
  /** The peer id of the side that asked first. */
  asker: string;
  /** The number of the connection that carries the session now. */
  epoch: number;
  /** Seconds, as in every language. */
  duration: number;
  /** Messages of this side that were sent again over the new connection. */
  replayed: number;
}
