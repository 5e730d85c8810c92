/** The route by way of a room's server. */

import { report } from "../promises.js";
import type { Relayed } from "../protocol/signaling.js";
import type { SignalingClient } from "../signaling/client.js";
import type { Shell } from "./shell.js";
import type { SignalingRoute } from "./signaling-route.js";

/** The members of the room that a route uses. */
export interface RouteRoom {
  readonly client: Pick<SignalingClient, "send" | "probe">;
  address(shell: Shell): string;
  claimed(shell: Shell, peer: string): void;
  stateChanged(shell: Shell): void;
}

/** Sends through the server of the room. The room itself passes incoming messages to the session. */
export class RoomRoute implements SignalingRoute {
  /** The session's; set before `start`. */
  shell!: Shell;
  peer: string;
  readonly #room: RouteRoom;

  constructor(room: RouteRoom, peer: string) {
    this.#room = room;
    this.peer = peer;
  }

  send(message: Relayed): void {
    try {
      this.#room.client.send({ ...message, to: this.#room.address(this.shell) });
    } catch (error) {
      report(error); // too long for the server: in-band it may be said nevertheless
    }
  }

  probe(): void {
    this.#room.client.probe(this.#room.address(this.shell)).then(
      ({ socket, program }) => {
        this.shell.probed(false, socket);
        if (program) this.shell.probed(true, true);
      },
      () => undefined, // the server does not answer: nothing is learnt
    );
  }

  moved(peer: string): void {
    this.#room.claimed(this.shell, peer);
  }

  stateChanged(): void {
    this.#room.stateChanged(this.shell);
  }
}
