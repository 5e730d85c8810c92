/** The actions of the session machine for its shell, and its events for the application. */

import type { Level, Word } from "../../protocol/control.js";
import type { FileMessage, MediaState, Reason, Reliability } from "../../protocol/messages.js";
import type { ChannelEndReceipt } from "./receipt.js";

/** The states of a session. */
export type StateName = "connecting" | "open" | "suspect" | "recovering" | "resetting" | "closing" | "closed";

/** Make the connection of this epoch, with its control channel; offer if `offer`, else wait for the offer. */
export interface Connect {
  type: "Connect";
  epoch: number;
  offer: boolean;
}

/** Restart ICE on this connection: make and send an offer. */
export interface RestartIce {
  type: "RestartIce";
  epoch: number;
}

/** Make a negotiated data channel on this connection. */
export interface OpenStream {
  type: "OpenStream";
  epoch: number;
  id: number;
  name: string;
  ordered: boolean;
  reliability: Reliability;
}

/** Send text over this connection's control channel. */
export interface SendControl {
  type: "SendControl";
  epoch: number;
  text: string;
}

/** Send bytes over a data channel. */
export interface SendData {
  type: "SendData";
  epoch: number;
  id: number;
  data: Uint8Array<ArrayBuffer>;
}

/** Feed `drained()` once this data channel buffers at most `most` bytes (at once if it does already). */
export interface AskDrained {
  type: "AskDrained";
  epoch: number;
  id: number;
  most: number;
}

/** Say `fresh()`: how long ago did the other side's ICE agent last answer on this connection? */
export interface AskFresh {
  type: "AskFresh";
  epoch: number;
}

/** Close a data channel (id null: the control channel); `streamClosed()` says when it is. */
export interface CloseStream {
  type: "CloseStream";
  epoch: number;
  id: number | null;
}

/** Close this connection for good; `released()` says when nothing of it is left. */
export interface Release {
  type: "Release";
  epoch: number;
}

/** Say this word by signaling. */
export interface Signal {
  type: "Signal";
  word: Word;
}

/** Ask by signaling whether the other side's socket, and its program, are alive. */
export interface Probe {
  type: "Probe";
}

/** Something to do, now and in this order. */
export type Action =
  | Connect
  | RestartIce
  | OpenStream
  | SendControl
  | SendData
  | AskDrained
  | AskFresh
  | CloseStream
  | Release
  | Signal
  | Probe;

/** The session's state. */
export interface StateChanged {
  type: "StateChanged";
  state: StateName;
  previous: StateName;
  cause: string;
  evidence: string[];
}

/** A named channel is open; `incoming` if the other side asked first. */
export interface ChannelOpened {
  type: "ChannelOpened";
  name: string;
  incoming: boolean;
}

/** A named channel could not be opened. */
export interface ChannelFailed {
  type: "ChannelFailed";
  name: string;
  message: string;
}

/** The other side closes a channel: last words may be sent on it until `deadline` (absolute). */
export interface ChannelClosing {
  type: "ChannelClosing";
  name: string;
  reason: string;
  deadline: number;
}

/** A channel has ended, and the session may go on. Its name may belong to another one from now on. */
export interface ChannelClosed {
  type: "ChannelClosed";
  name: string;
  receipt: ChannelEndReceipt;
}

/** Messages wait on this channel. */
export interface Readable {
  type: "Readable";
  name: string;
}

/** The other application has taken messages of this channel; or there is room again to send. */
export interface Acknowledged {
  type: "Acknowledged";
  name: string;
}

/** The other side is leaving: last words may be sent until `deadline` (absolute). */
export interface ClosingAsked {
  type: "ClosingAsked";
  reason: Reason;
  deadline: number;
}

/** While this side closes, the other asks for more time; `grantWait()` says yes. */
export interface WaitAsked {
  type: "WaitAsked";
  reason: string;
  eta: number;
}

/** A reset has started here. */
export interface ResetStarted {
  type: "ResetStarted";
  level: Level;
  asker: string;
}

/** A reset is over: `error` empty if it went well. */
export interface ResetEnded {
  type: "ResetEnded";
  level: Level;
  asker: string;
  epoch: number;
  duration: number;
  replayed: number;
  error: string;
}

/** A step of a close or a reset, and what is still under way in it. */
export interface Progressed {
  type: "Progressed";
  work: "close" | "reset";
  step: string;
  /** Accepted here and not known to be delivered; pieces of files are not counted. */
  messages: number;
  bytes: number;
  /** Messages that the other side has announced and this one has not taken. */
  incoming: number;
  /** Until it ends at the latest. */
  seconds: number;
}

/** A step of a file transfer. */
export interface FileSaid {
  type: "FileSaid";
  file: FileMessage;
}

/** The other side's report about its tracks. */
export interface MediaSaid {
  type: "MediaSaid";
  media: Map<string, MediaState>;
}

/** The other side has a new peer id (its server was restarted). */
export interface PeerMoved {
  type: "PeerMoved";
  peer: string;
}

/** The session is over; the machine's `outcome` has the account. */
export interface Ended {
  type: "Ended";
}

/** Something to tell the application about a channel. */
export type ChannelToldOf = ChannelOpened | ChannelFailed | ChannelClosing | ChannelClosed | Readable | Acknowledged;

/** Something to tell the application. */
export type Event =
  | StateChanged
  | ChannelToldOf
  | ClosingAsked
  | WaitAsked
  | ResetStarted
  | ResetEnded
  | Progressed
  | FileSaid
  | MediaSaid
  | PeerMoved
  | Ended;
