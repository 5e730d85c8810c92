/** The options and events of a room. */

import type { Platform } from "../platform.js";
import type { Peer, PeerAway, PeerBack, PeerJoined, PeerLeft } from "../protocol/messages.js";
import type { Token } from "../signaling/client.js";
import type { SignalingEvent } from "../signaling/events.js";
import type { WaitOptions } from "./channel.js";
import type { Options } from "./machine/options.js";
import type { Unconnected } from "./pair.js";
import type { OnWait, Session } from "./session.js";

/** The options of `join()`. */
export interface JoinOptions extends WaitOptions {
  /** Where peers find each other. */
  room: string;
  /** The name that people see. */
  name?: string;
  /** A JWT, or a function that makes one; for a server with keys. */
  token?: Token;
  /**
   * Whether a peer gets a session (its addresses become known to us, and ours to it). By default everybody in the room
   * does.
   */
  accept?: (peer: Peer) => boolean | Promise<boolean>;
  /** Metadata for the other peers. */
  meta?: Record<string, unknown>;
  /** Makes an RTCPeerConnection; by default one with the server's ICE servers. */
  connect?: () => RTCPeerConnection;
  /** Numbers, see `DEFAULTS`; times there are seconds. */
  options?: Partial<Options>;
  onWait?: OnWait;
  platform?: Platform;
}

/** The options of `Room.session()`. */
export interface SessionOptions extends WaitOptions {
  /** The name of the peer. */
  name?: string;
}

/** The events of a room, by name. */
export interface RoomEvents {
  /** A session that has just been made. */
  session: { session: Session };
  /** The server's report about a peer in the room. */
  peer: PeerJoined | PeerAway | PeerBack | PeerLeft;
  /** Somebody is here and not connected, for another reason than before. */
  unconnected: Unconnected;
  /** A change of the connection to the server. */
  signaling: SignalingEvent;
}

/** An id of this tab that survives a reload, so that the server can tell a reload from leaving. */
export function tab(): { tab?: string } {
  try {
    const known = sessionStorage.getItem("adieu-tab");
    const id = known ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("");
    if (!known) sessionStorage.setItem("adieu-tab", id);
    return { tab: id };
  } catch {
    return {}; // storage is blocked, or there is none
  }
}
