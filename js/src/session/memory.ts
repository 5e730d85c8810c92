/** Two connected sessions in one page: for a first try and for tests. */

import { browser } from "../platform.js";
import { memorySignaling } from "../signaling/memory.js";
import type { Options } from "./machine/options.js";
import { Session } from "./session.js";

/** The options of `memoryPair()`. */
export interface PairOptions {
  /** Makes an RTCPeerConnection. */
  connect?: () => RTCPeerConnection;
  /** Numbers, see `DEFAULTS`; times there are seconds. */
  options?: Partial<Options>;
}

/** Two connected sessions, `first` and `second`, with signaling in memory. Close one, and both are. */
export async function memoryPair({
  connect = () => browser.makeConnection({}),
  options = {},
}: PairOptions = {}): Promise<[first: Session, second: Session]> {
  const [here, there] = memorySignaling();
  const first = new Session({ connect, signaling: here, role: "first", name: "second", options }).start();
  const second = new Session({ connect, signaling: there, role: "second", name: "first", options }).start();
  await Promise.all([first.waitOpen(), second.waitOpen()]);
  return [first, second];
}
