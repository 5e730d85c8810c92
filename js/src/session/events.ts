/** The events of a session. */

import type { Level } from "../protocol/control.js";
import type { MediaState, Reason } from "../protocol/messages.js";
import type { Channel } from "./channel.js";
import type { StateName } from "./machine/actions.js";
import type { DevicesEvent } from "./media.js";
import type { CloseReceipt, PartialFile, ResetReport } from "./receipt.js";
import type { IncomingFile, IncomingFolder } from "./transfer.js";

/** The session's state has changed, or its cause is known better. */
export interface StateEvent {
  state: StateName;
  previous: StateName;
  /** For `suspect`, `recovering` and `closed`: why, as far as it is known; provisional before `closed`. */
  cause: string;
  /** The evidence for the cause, with seconds. */
  evidence: string[];
}

/** The other side is leaving. Last words may be sent until all handlers have settled, or the deadline. */
export interface ClosingEvent {
  reason: Reason;
  /** Milliseconds until the deadline. */
  timeout: number;
  /** Ask the other side for so many milliseconds more; its `onWait` decides. */
  wait(milliseconds: number, reason?: string): void;
}

/** The other side has opened a channel. */
export interface ChannelEvent {
  channel: Channel;
}

/** The way to the server, or whatever carries signaling, is up or down. No session ends by it. */
export interface SignalingChange {
  up: boolean;
  reason: string;
}

/** A reset has started (neither `report` nor `error`), succeeded (`report`), or failed (`error`). */
export interface ResetEvent {
  level: Level;
  asker: string;
  report?: ResetReport;
  error?: string;
}

/** A step of a close or a reset that runs, when it begins and four times a second. */
export interface ProgressEvent {
  work: "close" | "reset";
  /**
   * The name: of a close `drain`, `channels`, `connection`; of a reset `asked` (the sides agree), `building` (the new path or
   * connection), `switching` (to it).
   */
  step: string;
  /** The level of a reset. */
  level: Level | undefined;
  /** Accepted here and not known to be delivered: those that the receipt would call unknown or unsent. */
  messages: number;
  /** The bytes of these messages. */
  bytes: number;
  /** Messages that the other side has announced with its close and that are not here yet. */
  incoming: number;
  /** Files that are not whole, in either direction. They are not among the messages. */
  files: readonly PartialFile[];
  /** Milliseconds until it ends at the latest. */
  timeout: number;
}

/** The end, once. */
export interface ClosedEvent {
  receipt: CloseReceipt;
}

/** The other side sends a track. After a reset the event fires again, for the new connection, with streams of the same ids. */
export interface TrackEvent {
  track: MediaStreamTrack;
  streams: readonly MediaStream[];
  transceiver: RTCRtpTransceiver;
}

/** The other side's report about its tracks, by the `mid` of their transceivers. */
export interface MediaEvent {
  media: Map<string, MediaState>;
}

export type { DevicesEvent };

/** The events of a session, by name. */
export interface SessionEvents {
  state: StateEvent;
  closing: ClosingEvent;
  closed: ClosedEvent;
  channel: ChannelEvent;
  file: IncomingFile;
  folder: IncomingFolder;
  signaling: SignalingChange;
  reset: ResetEvent;
  progress: ProgressEvent;
  track: TrackEvent;
  media: MediaEvent;
  devices: DevicesEvent;
}
