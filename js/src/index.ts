/** WebRTC sessions that close, reset and reconnect with proof: the browser half of adieu. */

export * from "./errors.js";
export type { Platform } from "./platform.js";
export type { Level } from "./protocol/control.js";
export type { MediaState, Peer, Reason } from "./protocol/messages.js";
export type { CarriedTransfer } from "./session/carrying.js";
export {
  Channel,
  type ChannelClosedEvent,
  type ChannelCloseOptions,
  type ChannelClosingEvent,
  type Sent,
  type WaitOptions,
} from "./session/channel.js";
export { connectionBudget, LIMIT, PROVOKE } from "./session/connection-budget.js";
export type * from "./session/events.js";
export type {
  AcceptFileOptions,
  AcceptFolderOptions,
  FolderSource,
  StreamSource,
} from "./session/files/folders.js";
export { join } from "./session/join.js";
export type { Held, Ledger } from "./session/ledger.js";
export type { StateName } from "./session/machine/actions.js";
export { CAUSES } from "./session/machine/cause.js";
export { DEFAULTS, Ladder, type Options, type RecoveryPolicy } from "./session/machine/options.js";
export type { Account, ChannelEndReceipt, ChannelReceipt, StepReceipt, Total } from "./session/machine/receipt.js";
export { memoryPair, type PairOptions } from "./session/memory.js";
export type { Unconnected } from "./session/pair.js";
export {
  CloseReceipt,
  type FileReceipt,
  type MediaReceipt,
  type MediaReceived,
  type MediaSent,
  Message,
  type PartialFile,
  type ResetReport,
} from "./session/receipt.js";
export type { RecordedMembers, Recording } from "./session/recording.js";
export { Room } from "./session/room.js";
export type { JoinOptions, RoomEvents, SessionOptions } from "./session/room-options.js";
export {
  type CloseOptions,
  type OnWait,
  type OpenOptions,
  type ResetOptions,
  Session,
  type SessionInit,
} from "./session/session.js";
export type {
  IncomingFile,
  IncomingFolder,
  SendFileOptions,
  SendFolderOptions,
  Transfer,
} from "./session/transfer.js";
export { SignalingClient, type Token } from "./signaling/client.js";
export type { SignalingEvent } from "./signaling/events.js";
export { memorySignaling, type Signaling } from "./signaling/memory.js";
