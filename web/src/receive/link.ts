/** Links of `adieu send`: a place on the server, and a key. Both come after the `#`, which browsers send to no server. */

import { roomOf } from "../model/link.js";

/** The place and the key of a link. */
export interface Link {
  /** The room where the sender waits. */
  readonly room: string;
  /** 128 random bits. */
  readonly key: Uint8Array<ArrayBuffer>;
}

const LINK = /^receive\/([0-9a-z]{1,32})\/([0-9A-Za-z_-]{22})$/;

/** Return the link that an address is; undefined: it is another address. */
export function linkOf(place: { hash: string }): Link | undefined {
  const [, where, key] = LINK.exec(roomOf(place)) ?? [];
  if (!where || !key) return undefined;
  const text = atob(`${key.replaceAll("-", "+").replaceAll("_", "/")}==`);
  return { room: `send-${where}`, key: Uint8Array.from(text, (byte) => byte.charCodeAt(0)) };
}
