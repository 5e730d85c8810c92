/** Entering a room on a signaling server. */

import { checked } from "../bytes.js";
import { checkConnect } from "./connect.js";
import { Room } from "./room.js";
import type { JoinOptions } from "./room-options.js";

/**
 * Join a room on a signaling server. `room.close()` closes all its sessions gracefully and leaves.
 *
 * ```ts
 * const room = await join("ws://127.0.0.1:8080/ws", { room: "lab", name: "ada" });
 * const session = await room.session();
 * ```
 *
 * @param url the url of the server, as `adieu serve` prints it.
 * @throws SignalingLostError the server at `url` does not answer.
 * @throws SignalingRefusedError the server or the room refuses this client.
 * @throws TypeError the url or the room name is not valid.
 */
export async function join(url: string, options: JoinOptions): Promise<Room> {
  if (typeof options !== "object" || options === null) {
    throw new TypeError('join(url, options): give at least a room, as { room: "lab" }');
  }
  const room = checked("a room's name", options.room, 1, 256);
  const name = checked("a person's name", options.name ?? "", 0, 256);
  if (options.connect !== undefined) checkConnect(options.connect);
  return new Room(url, { ...options, room, name }).enter();
}
