// Made from docs/reference/protocol.schema.json by tools/protocol.mjs. Do not edit.
import * as c from "./codec.js";

export const VERSION = 1;
const MOST = Number.MAX_SAFE_INTEGER;

/** The messages that the application has taken from one channel. */
export interface Acknowledged {
  upTo: number;
  ranges?: [number, number][];
  window: number;
  turn?: number;
}
export const acknowledgedType = c.struct<Acknowledged>(undefined, {
  upTo: c.int(0, MOST),
  ranges: c.optional(c.list(c.pair(c.int(0, MOST), c.int(0, MOST)), 256), []),
  window: c.int(0, MOST),
  turn: c.optional(c.int(0, MOST), 0),
});

/** Sent after 64 messages, 256 KiB or 20 ms; at once while closing. One that is older than the last is ignored. */
export interface Ack {
  type: "ack";
  channels: Map<string, Acknowledged>;
}
export const ackType = c.struct<Ack>("ack", {
  channels: c.dict(c.text(128, 1), acknowledgedType, 1024),
});

/** Carries only the envelope: `ack` when there is no other message, `id` as a plain yes to a request. */
export interface BareAck {
  type: "ack";
}
export const bareAckType = c.struct<BareAck>("ack", {});

/** Says that the old connection goes on; the epoch of the new one is never used again. The offerer sends it. */
export interface Cancel {
  type: "cancel";
  session?: string;
  to?: string;
  from?: string;
  epoch: number;
}
export const cancelType = c.struct<Cancel>("cancel", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  epoch: c.int(0, MOST),
});

/** An RTCIceCandidateInit. */
export interface Candidate {
  candidate: string;
  sdpMid?: string | null;
  sdpMLineIndex?: number | null;
  usernameFragment?: string | null;
}
export const candidateType = c.struct<Candidate>(undefined, {
  candidate: c.text(1024),
  sdpMid: c.nullable(c.text(64)),
  sdpMLineIndex: c.nullable(c.int(0, 65535)),
  usernameFragment: c.nullable(c.text(256)),
});

/** A batch of ICE candidates. */
export interface Candidates {
  type: "candidates";
  session?: string;
  to?: string;
  from?: string;
  epoch: number;
  candidates: Candidate[];
  end?: boolean;
}
export const candidatesType = c.struct<Candidates>("candidates", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  epoch: c.int(0, MOST),
  candidates: c.list(candidateType, 50),
  end: c.optional(c.bool, false),
});

/** A number of messages and their payload bytes (text counted as UTF-8). */
export interface Total {
  messages?: number;
  bytes?: number;
}
export const totalType = c.struct<Total>(undefined, {
  messages: c.optional(c.int(0, MOST), 0),
  bytes: c.optional(c.int(0, MOST), 0),
});

/** The counts of one side for one channel: the messages that it sent, and those that it took from the peer. */
export interface ChannelAccount {
  accepted?: Total;
  unsent?: Total;
  taken?: Total;
  unread?: Total;
  upTo?: number | null;
  ranges?: [number, number][];
}
export const channelAccountType = c.struct<ChannelAccount>(undefined, {
  accepted: c.optional(totalType),
  unsent: c.optional(totalType),
  taken: c.optional(totalType),
  unread: c.optional(totalType),
  upTo: c.nullable(c.int(0, MOST)),
  ranges: c.optional(c.list(c.pair(c.int(0, MOST), c.int(0, MOST)), 256), []),
});

/** Announces the close of a channel. This side accepts no new messages on it, and still sends those in `final`. */
export interface ChannelClosing {
  reason?: string;
  deadlineMs: number;
  final: number;
}
export const channelClosingType = c.struct<ChannelClosing>(undefined, {
  reason: c.optional(c.said(1024, 65536), ""),
  deadlineMs: c.int(0, MOST),
  final: c.int(0, MOST),
});

/** Closes a room for everybody in it; needs the right `close`. The others get `kicked` or `left`, as at `Kicked`.

    The answer is a plain yes. The asker stays until it leaves. */
export interface CloseRoom {
  type: "closeRoom";
  room: string;
  reason?: string;
}
export const closeRoomType = c.struct<CloseRoom>("closeRoom", {
  room: c.text(256),
  reason: c.optional(c.said(1024, 65536), ""),
});

/** A reason: a code for programs, and a text for people. */
export interface Reason {
  code: string;
  text?: string;
}
export const reasonType = c.struct<Reason>(undefined, {
  code: c.text(64),
  text: c.optional(c.said(1024, 65536), ""),
});

/** The counts of one side for the media of one section, when it said its last word (capability `media1`). */
export interface MediaAccount {
  packets?: number;
  bytes?: number;
  unsentMs?: number;
  arrived?: number;
}
export const mediaAccountType = c.struct<MediaAccount>(undefined, {
  packets: c.optional(c.int(0, MOST), 0),
  bytes: c.optional(c.int(0, MOST), 0),
  unsentMs: c.optional(c.int(0, MOST), 0),
  arrived: c.optional(c.int(0, MOST), 0),
});

/** Says that this side neither sends nor takes messages. It is sent after both `done`, or at the deadline. */
export interface Closed {
  type: "closed";
  session?: string;
  to?: string;
  from?: string;
  receipt: string;
  closer: string;
  reason: Reason;
  channels: Map<string, ChannelAccount>;
  media?: Map<string, MediaAccount>;
}
export const closedType = c.struct<Closed>("closed", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  receipt: c.text(128),
  closer: c.text(128),
  reason: reasonType,
  channels: c.dict(c.text(128, 1), channelAccountType, 1024),
  media: c.optional(c.dict(c.text(16), mediaAccountType, 256), new Map()),
});

/** Announces a close (step 1). This side accepts no new messages, and still sends those in `final`. */
export interface Closing {
  type: "closing";
  session?: string;
  to?: string;
  from?: string;
  receipt: string;
  reason: Reason;
  deadlineMs: number;
  final: Map<string, number>;
}
export const closingType = c.struct<Closing>("closing", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  receipt: c.text(128),
  reason: reasonType,
  deadlineMs: c.int(0, MOST),
  final: c.dict(c.text(128, 1), c.int(0, MOST), 1024),
});

/** A session description for the peer's connection of this epoch. */
export interface Description {
  type: "description";
  session?: string;
  to?: string;
  from?: string;
  epoch: number;
  sdpType: "answer" | "offer" | "pranswer" | "rollback";
  sdp: string;
}
export const descriptionType = c.struct<Description>("description", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  epoch: c.int(0, MOST),
  sdpType: c.oneOf("answer", "offer", "pranswer", "rollback"),
  sdp: c.text(61440),
});

/** Says that this side sends nothing else, and has taken everything up to the peer's `final` (reliable channels). */
export interface Done {
  type: "done";
  session?: string;
  to?: string;
  from?: string;
  final: Map<string, number>;
}
export const doneType = c.struct<Done>("done", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  final: c.dict(c.text(128, 1), c.int(0, MOST), 1024),
});

/** A stage of the close of a channel, while the session goes on (`channels1`).

    Exactly one member of `closing`, `done`, `closed` and `gone` is set. Name and id together name the channel: the name
    may belong to a later one. */
export interface EndChannel {
  type: "endChannel";
  name: string;
  id: number;
  closing?: ChannelClosing | null;
  done?: number | null;
  closed?: ChannelAccount | null;
  heard?: boolean;
  gone?: boolean | null;
}
export const endChannelType = c.struct<EndChannel>("endChannel", {
  name: c.text(128, 1),
  id: c.int(0, 65534),
  closing: c.nullable(channelClosingType),
  done: c.nullable(c.int(0, MOST)),
  closed: c.nullable(channelAccountType),
  heard: c.optional(c.bool, false),
  gone: c.nullable(c.bool),
});

/** A file or a folder in a folder that is sent.

    Attributes:
        path: its path in the folder, parts separated by `/`; a folder comes before what is in it.
        size: bytes; None for a folder.
        modified: when it was changed last, in microseconds since 1970; None: unknown.
        mode: the permission bits; None: unknown. */
export interface FolderEntry {
  path: string;
  size?: number | null;
  modified?: number | null;
  mode?: number | null;
}
export const folderEntryType = c.struct<FolderEntry>(undefined, {
  path: c.text(1024, 1),
  size: c.nullable(c.int(0, MOST)),
  modified: c.nullable(c.int(0, MOST)),
  mode: c.nullable(c.int(0, 511)),
});

/** A part of the manifest, in its order. */
export interface Entries {
  type: "entries";
  entries: FolderEntry[];
  last?: boolean;
}
export const entriesType = c.struct<Entries>("entries", {
  entries: c.list(folderEntryType, 256),
  last: c.optional(c.bool, false),
});

/** Members that any frame may carry in addition to its own. */
export interface Envelope {
  id?: number | null;
  seq?: number | null;
  ack?: number | null;
}
export const envelopeType = c.struct<Envelope>(undefined, {
  id: c.nullable(c.int(0, MOST)),
  seq: c.nullable(c.int(1, MOST)),
  ack: c.nullable(c.int(0, MOST)),
});

/** An error of a request, or of the connection before it closes. */
export interface ErrorMessage {
  type: "error";
  code: string;
  message: string;
  temporary?: boolean;
  peer?: string;
}
export const errorMessageType = c.struct<ErrorMessage>("error", {
  code: c.text(64),
  message: c.said(1024, 65536),
  temporary: c.optional(c.bool, false),
  peer: c.optional(c.text(128), ""),
});

/** Offers a file over `channel`.

    With the capability `files2` it has `chunk` and `key`. Each message of the channel is then one chunk followed by its
    SHA-256 (`HASH` bytes). The last message is the proof alone: the SHA-256 over all these hashes. Without the
    capability it has `sha256`, and the channel carries the bytes of the file in parts of any size.

    With the capability `files3` it may have the members after `key`. */
export interface FileOffer {
  name: string;
  size: number;
  type?: string;
  sha256?: string;
  channel: string;
  chunk?: number | null;
  key?: string;
  entries?: number | null;
  stream?: boolean;
  modified?: number | null;
  mode?: number | null;
}
export const fileOfferType = c.struct<FileOffer>(undefined, {
  name: c.text(255, 1),
  size: c.int(0, MOST),
  type: c.optional(c.text(255), ""),
  sha256: c.optional(c.text(64, 0, /^([0-9a-f]{64})?$/), ""),
  channel: c.text(128, 1),
  chunk: c.nullable(c.int(16384, 8388608)),
  key: c.optional(c.text(32, 0, /^([0-9a-f]{32})?$/), ""),
  entries: c.nullable(c.int(0, MOST)),
  stream: c.optional(c.bool, false),
  modified: c.nullable(c.int(0, MOST)),
  mode: c.nullable(c.int(0, 511)),
});

/** A stage of a file transfer. Exactly one member besides `id` and `proof` is set. */
export interface FileMessage {
  type: "file";
  id: string;
  offer?: FileOffer | null;
  accept?: number | null;
  refuse?: string | null;
  done?: boolean | null;
  proof?: string | null;
  failed?: string | null;
}
export const fileMessageType = c.struct<FileMessage>("file", {
  id: c.text(128),
  offer: c.nullable(fileOfferType),
  accept: c.nullable(c.int(0, MOST)),
  refuse: c.nullable(c.said(1024, 65536)),
  done: c.nullable(c.bool),
  proof: c.nullable(c.text(64, 0, /^([0-9a-f]{64})?$/)),
  failed: c.nullable(c.said(1024, 65536)),
});

/** The server is about to stop. */
export interface Goaway {
  type: "goaway";
  reason: string;
  action?: "reconnect" | "stop";
  afterMs: number;
}
export const goawayType = c.struct<Goaway>("goaway", {
  reason: c.said(1024, 65536),
  action: c.optional(c.oneOf("reconnect", "stop"), "reconnect"),
  afterMs: c.int(0, MOST),
});

/** The answer to `quit`. */
export interface Goodbye {
  type: "goodbye";
}
export const goodbyeType = c.struct<Goodbye>("goodbye", {});

/** The verified beginning of a file that an earlier transfer left.

    Attributes:
        n: the number of its entry, from 0.
        size: bytes: whole chunks, or all of the file.
        proof: the SHA-256 over the hashes of these chunks. */
export interface Had {
  n: number;
  size: number;
  proof: string;
}
export const hadType = c.struct<Had>(undefined, {
  n: c.int(0, 99999),
  size: c.int(0, MOST),
  proof: c.text(64, 0, /^([0-9a-f]{64})?$/),
});

/** Files that the receiver has parts of, and entries that it does not want; in the order of the entries.

    The sender compares the proofs, and sends the rest of each file, or all of it. */
export interface Have {
  type: "have";
  files?: Had[];
  skip?: number[];
  last?: boolean;
}
export const haveType = c.struct<Have>("have", {
  files: c.optional(c.list(hadType, 256), []),
  skip: c.optional(c.list(c.int(0, 99999), 256), []),
  last: c.optional(c.bool, false),
});

/** An RTCIceServer. */
export interface IceServer {
  urls: string[];
  username?: string | null;
  credential?: string | null;
}
export const iceServerType = c.struct<IceServer>(undefined, {
  urls: c.list(c.text(2048), 64),
  username: c.nullable(c.text(1024)),
  credential: c.nullable(c.text(1024)),
});

/** The answer to `iceServers`. */
export interface IceServers {
  type: "iceServersAre";
  iceServers: IceServer[];
  iceTtl?: number;
}
export const iceServersType = c.struct<IceServers>("iceServersAre", {
  iceServers: c.list(iceServerType, 64),
  iceTtl: c.optional(c.int(0, MOST), 0),
});

/** Asks for fresh TURN credentials, after a join. */
export interface IceServersRequest {
  type: "iceServers";
}
export const iceServersRequestType = c.struct<IceServersRequest>("iceServers", {});

/** Joins a room. The answer is `joined`. */
export interface Join {
  type: "join";
  room: string;
  meta?: Record<string, unknown>;
}
export const joinType = c.struct<Join>("join", {
  room: c.text(256, 1),
  meta: c.optional(c.anything(c.text(128), 64), {}),
});

/** A peer in a room. */
export interface Peer {
  peer: string;
  name?: string;
  user?: string;
  meta?: Record<string, unknown>;
  away?: boolean;
}
export const peerType = c.struct<Peer>(undefined, {
  peer: c.text(128),
  name: c.optional(c.text(256), ""),
  user: c.optional(c.text(1024), ""),
  meta: c.optional(c.anything(c.text(128), 64), {}),
  away: c.optional(c.bool, false),
});

/** The answer to `join`, with the other peers in the room. */
export interface Joined {
  type: "joined";
  room: string;
  peers: Peer[];
}
export const joinedType = c.struct<Joined>("joined", {
  room: c.text(256),
  peers: c.list(peerType, 4096),
});

/** Removes a peer from the room; needs the right `kick`. */
export interface Kick {
  type: "kick";
  peer: string;
  reason?: string;
}
export const kickType = c.struct<Kick>("kick", {
  peer: c.text(128),
  reason: c.optional(c.said(1024, 65536), ""),
});

/** This client was removed; close code 3509 follows. */
export interface Kicked {
  type: "kicked";
  reason?: string;
  code?: "kicked" | "room-closed";
}
export const kickedType = c.struct<Kicked>("kicked", {
  reason: c.optional(c.said(1024, 65536), ""),
  code: c.optional(c.oneOf("kicked", "room-closed"), "kicked"),
});

/** Leaves the room. The answer is `left`. */
export interface Leave {
  type: "leave";
  room: string;
  reason?: string;
}
export const leaveType = c.struct<Leave>("leave", {
  room: c.text(256, 1),
  reason: c.optional(c.said(1024, 65536), ""),
});

/** The body of `POST /v1/leave`, which a page sends by `sendBeacon` when it goes away. The seat is free at once.

    With `if_gone` it is sent in advance, by a page that may end without a goodbye. It counts if the socket ends in the
    next seconds. */
export interface Leaving {
  resumeToken: string;
  closing?: Closing[];
  reason?: string;
  ifGone?: boolean;
}
export const leavingType = c.struct<Leaving>(undefined, {
  resumeToken: c.text(8192),
  closing: c.optional(c.list(closingType, 128), []),
  reason: c.optional(c.said(1024, 65536), ""),
  ifGone: c.optional(c.bool, false),
});

/** The answer to `leave`; or, without a request, this client was put out of the room. */
export interface Left {
  type: "left";
  room: string;
  code?: string;
  text?: string;
}
export const leftType = c.struct<Left>("left", {
  room: c.text(256),
  code: c.optional(c.text(64), ""),
  text: c.optional(c.said(1024, 65536), ""),
});

/** Limits of the server. It refuses anything beyond them. */
export interface Limits {
  messageBytes: number;
  sdpBytes: number;
  candidates: number;
  messagesPerSecond: number;
  burst: number;
  rooms: number;
  roomPeers: number;
}
export const limitsType = c.struct<Limits>(undefined, {
  messageBytes: c.int(0, MOST),
  sdpBytes: c.int(0, MOST),
  candidates: c.int(0, MOST),
  messagesPerSecond: c.float(0, MOST),
  burst: c.int(0, MOST),
  rooms: c.int(0, MOST),
  roomPeers: c.int(0, MOST),
});

/** The state of one m-line, for notices. */
export interface MediaState {
  enabled?: boolean;
  ended?: boolean;
  reason?: string;
}
export const mediaStateType = c.struct<MediaState>(undefined, {
  enabled: c.optional(c.bool, true),
  ended: c.optional(c.bool, false),
  reason: c.optional(c.said(1024, 65536), ""),
});

/** A change of tracks: mid to state. */
export interface Media {
  type: "media";
  media: Map<string, MediaState>;
}
export const mediaType = c.struct<Media>("media", {
  media: c.dict(c.text(16), mediaStateType, 256),
});

/** Says that a restarted server gave this side a new peer id. The session keeps its own id.

    It is sent in-band and, with the id of the session, by signaling. The peer must receive both. */
export interface Moved {
  type: "moved";
  session?: string;
  to?: string;
  from?: string;
  peer: string;
}
export const movedType = c.struct<Moved>("moved", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  peer: c.text(128),
});

/** Limits on retransmission, at most one, as in RTCDataChannelInit. Without any the channel is reliable. */
export interface Reliability {
  maxRetransmits?: number | null;
  maxPacketLifeTime?: number | null;
}
export const reliabilityType = c.struct<Reliability>(undefined, {
  maxRetransmits: c.nullable(c.int(0, 65535)),
  maxPacketLifeTime: c.nullable(c.int(0, 65535)),
});

/** Opens a named channel. Nothing is sent on it before `opened`. */
export interface Open {
  type: "open";
  name: string;
  id: number;
  ordered?: boolean;
  reliability?: Reliability;
  window: number;
}
export const openType = c.struct<Open>("open", {
  name: c.text(128, 1),
  id: c.int(0, 65534),
  ordered: c.optional(c.bool, true),
  reliability: c.optional(reliabilityType),
  window: c.int(0, MOST),
});

/** The answer to `open`: the stream id that both use, or the error that both sides raise. */
export interface Opened {
  type: "opened";
  name: string;
  id: number;
  window?: number;
  error?: string;
}
export const openedType = c.struct<Opened>("opened", {
  name: c.text(128, 1),
  id: c.int(0, 65534),
  window: c.optional(c.int(0, MOST), 0),
  error: c.optional(c.said(1024, 65536), ""),
});

/** The socket of a peer ended without `quit`. Its seat is kept for a while. */
export interface PeerAway {
  type: "peerAway";
  room: string;
  peer: string;
}
export const peerAwayType = c.struct<PeerAway>("peerAway", {
  room: c.text(256),
  peer: c.text(128),
});

/** A peer that was away has resumed its seat. */
export interface PeerBack {
  type: "peerBack";
  room: string;
  peer: string;
}
export const peerBackType = c.struct<PeerBack>("peerBack", {
  room: c.text(256),
  peer: c.text(128),
});

/** A peer joined. */
export interface PeerJoined {
  type: "peerJoined";
  room: string;
  peer: Peer;
  reloaded?: string;
}
export const peerJoinedType = c.struct<PeerJoined>("peerJoined", {
  room: c.text(256),
  peer: peerType,
  reloaded: c.optional(c.text(128), ""),
});

/** A peer is gone. */
export interface PeerLeft {
  type: "peerLeft";
  room: string;
  peer: string;
  reason: "kicked" | "left" | "replaced" | "shutdown" | "timeout";
  text?: string;
}
export const peerLeftType = c.struct<PeerLeft>("peerLeft", {
  room: c.text(256),
  peer: c.text(128),
  reason: c.oneOf("kicked", "left", "replaced", "shutdown", "timeout"),
  text: c.optional(c.said(1024, 65536), ""),
});

/** A question that the peer answers with the same `n`. */
export interface Ping {
  type: "ping";
  n: number;
}
export const pingType = c.struct<Ping>("ping", {
  n: c.int(0, MOST),
});

/** The answer to a `ping`. */
export interface Pong {
  type: "pong";
  n: number;
}
export const pongType = c.struct<Pong>("pong", {
  n: c.int(0, MOST),
});

/** Asks whether the socket of a peer is alive. The server answers (`from` empty), and the peer too (`alive` set). */
export interface Probe {
  type: "probe";
  session?: string;
  to?: string;
  from?: string;
  alive?: boolean | null;
}
export const probeType = c.struct<Probe>("probe", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  alive: c.nullable(c.bool),
});

/** Everything was sent; `proof` is that of `proof_of`. */
export interface Proof {
  type: "proof";
  proof: string;
}
export const proofType = c.struct<Proof>("proof", {
  proof: c.text(64, 0, /^([0-9a-f]{64})?$/),
});

/** Leaves for good. The answer is `goodbye` and close code 1000; the seat is free at once. */
export interface Quit {
  type: "quit";
  reason?: string;
}
export const quitType = c.struct<Quit>("quit", {
  reason: c.optional(c.said(1024, 65536), ""),
});

/** Gives a new token before the old one expires. The answer is `refreshed`. */
export interface Refresh {
  type: "refresh";
  token: string;
}
export const refreshType = c.struct<Refresh>("refresh", {
  token: c.text(8192),
});

/** The answer to `refresh`. */
export interface Refreshed {
  type: "refreshed";
  expiresIn: number;
}
export const refreshedType = c.struct<Refreshed>("refreshed", {
  expiresIn: c.float(0, MOST),
});

/** Asks for a reset; the answer is `resetOk`. (asker, n) names it, where n counts the resets of the asker. */
export interface Reset {
  type: "reset";
  session?: string;
  to?: string;
  from?: string;
  asker: string;
  n: number;
  epoch: number;
  level: "full" | "ice" | "transport";
}
export const resetType = c.struct<Reset>("reset", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  asker: c.text(128),
  n: c.int(0, MOST),
  epoch: c.int(0, MOST),
  level: c.oneOf("full", "ice", "transport"),
});

/** Says that this side has paused and joins the reset. */
export interface ResetOk {
  type: "resetOk";
  session?: string;
  to?: string;
  from?: string;
  asker: string;
  n: number;
  epoch: number;
  level: "full" | "ice" | "transport";
}
export const resetOkType = c.struct<ResetOk>("resetOk", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  asker: c.text(128),
  n: c.int(0, MOST),
  epoch: c.int(0, MOST),
  level: c.oneOf("full", "ice", "transport"),
});

/** Takes a seat back after its socket was lost. */
export interface Resume {
  token: string;
  lastSeq: number;
}
export const resumeType = c.struct<Resume>(undefined, {
  token: c.text(8192),
  lastSeq: c.int(0, MOST),
});

/** Says that from now on the connection of `epoch` carries the session. The offerer sends it. */
export interface Switch {
  type: "switch";
  session?: string;
  to?: string;
  from?: string;
  epoch: number;
  have: Map<string, number>;
}
export const switchType = c.struct<Switch>("switch", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  epoch: c.int(0, MOST),
  have: c.dict(c.text(128, 1), c.int(0, MOST), 1024),
});

/** The answer to `switch`, with the last messages that this side has. */
export interface Switched {
  type: "switched";
  session?: string;
  to?: string;
  from?: string;
  epoch: number;
  have: Map<string, number>;
}
export const switchedType = c.struct<Switched>("switched", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  epoch: c.int(0, MOST),
  have: c.dict(c.text(128, 1), c.int(0, MOST), 1024),
});

/** Asks the client to send `refresh` within this time. */
export interface TokenExpiring {
  type: "tokenExpiring";
  inMs: number;
}
export const tokenExpiringType = c.struct<TokenExpiring>("tokenExpiring", {
  inMs: c.int(0, MOST),
});

/** A group of messages that no window lets start, although all messages before them are taken. */
export interface Turn {
  upTo: number;
  cost: number;
}
export const turnType = c.struct<Turn>(undefined, {
  upTo: c.int(0, MOST),
  cost: c.int(0, MOST),
});

/** Asks the closer for more time; granted only if the closer's `on_wait` agrees. */
export interface Wait {
  type: "wait";
  session?: string;
  to?: string;
  from?: string;
  reason?: string;
  etaMs: number;
}
export const waitType = c.struct<Wait>("wait", {
  session: c.optional(c.text(128), ""),
  to: c.optional(c.text(128), ""),
  from: c.optional(c.text(128), ""),
  reason: c.optional(c.said(1024, 65536), ""),
  etaMs: c.int(0, MOST),
});

/** Asks for credit. An `ack` with credit or a turn follows as soon as there is space (`credit2`). */
export interface Want {
  type: "want";
  channels: Map<string, number>;
  turns?: Map<string, Turn>;
}
export const wantType = c.struct<Want>("want", {
  channels: c.dict(c.text(128, 1), c.int(0, MOST), 1024),
  turns: c.optional(c.dict(c.text(128, 1), turnType, 1024), new Map()),
});

/** The answer to `hello`. After a resume, the envelope's `ack` is the last message that the server has. */
export interface Welcome {
  type: "welcome";
  peer: string;
  resumeToken: string;
  resumed: boolean;
  resumeGraceMs: number;
  pingMs: number;
  limits: Limits;
  iceServers?: IceServer[];
  iceTtl?: number;
  can?: string[];
}
export const welcomeType = c.struct<Welcome>("welcome", {
  peer: c.text(128),
  resumeToken: c.text(8192),
  resumed: c.bool,
  resumeGraceMs: c.int(0, MOST),
  pingMs: c.int(0, MOST),
  limits: limitsType,
  iceServers: c.optional(c.list(iceServerType, 64), []),
  iceTtl: c.optional(c.int(0, MOST), 0),
  can: c.optional(c.list(c.text(64), 64), []),
});

/** The first message on each connection, from both sides. */
export interface ControlHello {
  type: "hello";
  version: number;
  peer: string;
  session: string;
  epoch: number;
  have: Map<string, number>;
  heartbeatMs?: number;
  capabilities?: string[];
}
export const controlHelloType = c.struct<ControlHello>("hello", {
  version: c.int(0, 65535),
  peer: c.text(128),
  session: c.text(128),
  epoch: c.int(0, MOST),
  have: c.dict(c.text(128, 1), c.int(0, MOST), 1024),
  heartbeatMs: c.optional(c.int(0, MOST), 1000),
  capabilities: c.optional(c.list(c.text(64), 64), []),
});

/** The first message, within 5 s. */
export interface SignalingHello {
  type: "hello";
  version: number;
  name?: string;
  token?: string | null;
  resume?: Resume | null;
  capabilities?: string[];
}
export const signalingHelloType = c.struct<SignalingHello>("hello", {
  version: c.int(0, 65535),
  name: c.optional(c.text(256), ""),
  token: c.nullable(c.text(8192)),
  resume: c.nullable(resumeType),
  capabilities: c.optional(c.list(c.text(64), 64), []),
});

export type ControlMessage =
  | ControlHello
  | Ping
  | Pong
  | Open
  | Opened
  | Ack
  | Want
  | EndChannel
  | Moved
  | Media
  | FileMessage
  | Closing
  | Wait
  | Done
  | Closed
  | Reset
  | ResetOk
  | Switch
  | Switched
  | Cancel;
export const controlMessageType: Map<string, c.Struct<ControlMessage>> = c.union<ControlMessage>([
  controlHelloType,
  pingType,
  pongType,
  openType,
  openedType,
  ackType,
  wantType,
  endChannelType,
  movedType,
  mediaType,
  fileMessageType,
  closingType,
  waitType,
  doneType,
  closedType,
  resetType,
  resetOkType,
  switchType,
  switchedType,
  cancelType,
]);

export type FolderMessage =
  | Entries
  | Have
  | Proof;
export const folderMessageType: Map<string, c.Struct<FolderMessage>> = c.union<FolderMessage>([
  entriesType,
  haveType,
  proofType,
]);

export type FromClient =
  | SignalingHello
  | Join
  | Leave
  | IceServersRequest
  | Refresh
  | Kick
  | CloseRoom
  | Quit
  | BareAck
  | Description
  | Candidates
  | Probe
  | Moved
  | Closing
  | Wait
  | Done
  | Closed
  | Reset
  | ResetOk
  | Switch
  | Switched
  | Cancel;
export const fromClientType: Map<string, c.Struct<FromClient>> = c.union<FromClient>([
  signalingHelloType,
  joinType,
  leaveType,
  iceServersRequestType,
  refreshType,
  kickType,
  closeRoomType,
  quitType,
  bareAckType,
  descriptionType,
  candidatesType,
  probeType,
  movedType,
  closingType,
  waitType,
  doneType,
  closedType,
  resetType,
  resetOkType,
  switchType,
  switchedType,
  cancelType,
]);

export type FromServer =
  | Welcome
  | Joined
  | Left
  | PeerJoined
  | PeerAway
  | PeerBack
  | PeerLeft
  | Kicked
  | IceServers
  | Refreshed
  | TokenExpiring
  | Goaway
  | Goodbye
  | ErrorMessage
  | BareAck
  | Description
  | Candidates
  | Probe
  | Moved
  | Closing
  | Wait
  | Done
  | Closed
  | Reset
  | ResetOk
  | Switch
  | Switched
  | Cancel;
export const fromServerType: Map<string, c.Struct<FromServer>> = c.union<FromServer>([
  welcomeType,
  joinedType,
  leftType,
  peerJoinedType,
  peerAwayType,
  peerBackType,
  peerLeftType,
  kickedType,
  iceServersType,
  refreshedType,
  tokenExpiringType,
  goawayType,
  goodbyeType,
  errorMessageType,
  bareAckType,
  descriptionType,
  candidatesType,
  probeType,
  movedType,
  closingType,
  waitType,
  doneType,
  closedType,
  resetType,
  resetOkType,
  switchType,
  switchedType,
  cancelType,
]);
