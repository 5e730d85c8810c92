/** The route over signaling of the page's own: point to point, without a server and without presence. */

import { SignalingLostError } from "../errors.js";
import type { Platform } from "../platform.js";
import { decode } from "../protocol/codec.js";
import { type Candidates, type Description, type FromClient, fromClientType } from "../protocol/messages.js";
import { encodeBody, type Relayed } from "../protocol/signaling.js";
import type { Signaling } from "../signaling/memory.js";
import type { Shell } from "./shell.js";
import type { SignalingRoute } from "./signaling-route.js";

/** Seconds: an offer to which nothing has come back is sent again after this time. */
const SAY_AGAIN = 1;

/**
 * Sends and receives over a `Signaling` of the page's own.
 *
 * The side that starts later may have missed what was sent before, and nothing says so. So an offer is sent again, every
 * second, until it is answered.
 */
export class DirectRoute implements SignalingRoute {
  peer = "";
  /** The session's; set before `start`. */
  shell!: Shell;
  readonly #stopped = new AbortController();
  #sending: Promise<void> = Promise.resolve();
  /** How many messages have not left yet. */
  #waiting = 0;
  /** Epochs of which a description has come from the other side. */
  readonly #heard = new Set<number>();
  /** The offer and its candidates, until it is answered. */
  #unheard: (Description | Candidates)[] = [];
  #cancelTimer: (() => void) | undefined;
  readonly #signaling: Signaling;
  readonly #platform: Platform;

  constructor(signaling: Signaling, platform: Platform) {
    this.#signaling = signaling;
    this.#platform = platform;
  }

  start(): void {
    void this.#receive();
    if (!this.shell.machine.smaller) this.#greet();
    this.#repeatLater();
  }

  stop(): void {
    this.#cancelTimer?.();
    this.#stopped.abort();
  }

  send(message: Relayed): void {
    if (message.type === "description" && message.sdpType === "offer" && !this.#heard.has(message.epoch)) {
      this.#unheard = [message]; // of an older connection nothing is expected now
    } else if (message.type === "candidates" && message.epoch === this.#unheard[0]?.epoch) {
      this.#unheard.push(message);
    }
    this.#say(message);
  }

  #say(message: Relayed): void {
    const { shell } = this;
    const { session, peer, me } = shell.machine;
    const said = JSON.parse(encodeBody({ ...message, session, to: peer, from: me } as FromClient));
    this.#waiting++;
    this.#sending = this.#sending
      .then(() => this.#signaling.send(said))
      .then(() => {
        this.#waiting--; // not after a failure: it has ended for good
      })
      .catch((error) => shell.signalingChanged(false, String(error)));
  }

  /** Say only that this side is there; the other has the first word. */
  #greet(): void {
    this.#say({ type: "candidates", epoch: 1, candidates: [] });
  }

  #repeatLater(): void {
    const { machine } = this.shell;
    this.#cancelTimer = this.#platform.later(SAY_AGAIN, () => {
      if (this.shell.receipt) return;
      if (!machine.peer && !machine.smaller && !this.#waiting) this.#greet();
      this.#sayAgain();
      this.#repeatLater();
    });
  }

  #sayAgain(): void {
    if (this.#waiting) return; // it has not even left
    for (const message of this.#unheard) this.#say(message);
  }

  async #receive(): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      let message: Relayed;
      try {
        message = decode(await this.#signaling.receive({ signal }), fromClientType) as Relayed;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof SignalingLostError) this.shell.signalingChanged(false, error.message);
        else this.shell.signalingBroken(String(error));
        return;
      }
      if (message) this.#received(message);
    }
  }

  #received(message: Relayed): void {
    const { shell } = this;
    const { machine } = shell;
    const { from, type } = message;
    if (!machine.peer && from) {
      shell.step((now) => machine.introduced(from, now));
      if (machine.smaller && type !== "description") this.#sayAgain(); // it was not there when the offer was sent
    }
    if (!from || from !== machine.peer) return;
    if (type === "description") {
      this.#heard.add(message.epoch);
      if (message.epoch === this.#unheard[0]?.epoch) this.#unheard = [];
    } else if (type === "candidates" && !this.#heard.has(message.epoch)) {
      return; // a greeting; or the description was lost, and has them when it is sent again
    }
    shell.signaled(message);
  }
}
