/** Two programs with a session, on virtual time: each can freeze, die or lie. */

import type { Platform } from "../platform.js";
import type { Options } from "../session/machine/options.js";
import { Session, shellOf } from "../session/session.js";
import { memorySignaling, type Signaling } from "../signaling/memory.js";
import { Link, type LinkOptions, type Side } from "./link.js";
import { VirtualTime } from "./time.js";

/** A program with a session. */
export class Program {
  readonly session: Session;
  readonly #link: Link;
  readonly #side: Side;
  #asleep: "" | "frozen" | "dead" = "";
  /** Calls that wait for the program to run again. */
  #waiting: (() => void)[] = [];

  /** @internal */
  constructor(link: Link, side: Side, signaling: Signaling, options: Partial<Options>) {
    this.#link = link;
    this.#side = side;
    this.session = new Session({
      connect: () => link.connect(side),
      signaling: this.#gate(signaling),
      role: side,
      name: side === "first" ? "second" : "first",
      options,
      platform: this.#platform(),
    });
  }

  /** Stop, as a page that the browser freezes, or a computer that sleeps: its timers are late when it goes on. */
  freeze(): void {
    if (!this.#asleep) this.#asleep = "frozen";
    this.#link.deafen(this.#side, true);
  }

  /** Go on after `freeze()`. */
  thaw(): void {
    if (this.#asleep !== "frozen") return;
    this.#asleep = "";
    this.#link.deafen(this.#side, false);
    for (const call of this.#waiting.splice(0)) call();
  }

  /** End without a word, as a process that is killed. Nothing of its session is settled from then on. */
  die(): void {
    this.#asleep = "dead";
    this.#link.kill(this.#side);
    this.#waiting = [];
  }

  /** Say what a session would not say: any text, over the control channel of its connection. */
  lie(text: string): void {
    const { session } = this;
    shellOf(session).connections.get(session.epoch)?.sendControl(text);
  }

  #run(call: () => void): void {
    if (!this.#asleep) call();
    else if (this.#asleep === "frozen") this.#waiting.push(call);
  }

  #platform(): Platform {
    const { time } = this.#link;
    return time.platform({ later: (seconds, call) => time.later(seconds, () => this.#run(call)) });
  }

  /** The same signaling for a program that runs. */
  #gate(signaling: Signaling): Signaling {
    return {
      send: async (message) => {
        if (this.#asleep !== "dead") await signaling.send(message);
      },
      receive: async (options) => {
        const message = await signaling.receive(options);
        await new Promise<void>((resolve) => this.#run(resolve));
        return message;
      },
    };
  }
}

/** The options of `virtualPair()`. */
export interface VirtualPairOptions extends LinkOptions {
  /** Numbers of both sessions, see `DEFAULTS`; times there are seconds. */
  options?: Partial<Options>;
}

/** Two programs, their link and their time. */
export interface VirtualPair {
  time: VirtualTime;
  link: Link;
  first: Program;
  second: Program;
}

/** Two programs whose sessions are connected, on virtual time. */
export async function virtualPair({ options = {}, ...link }: VirtualPairOptions = {}): Promise<VirtualPair> {
  const time = new VirtualTime();
  const between = new Link(time, link);
  const [here, there] = memorySignaling();
  const first = new Program(between, "first", here, options);
  const second = new Program(between, "second", there, options);
  await time.until(Promise.all([first.session.start().waitOpen(), second.session.start().waitOpen()]));
  return { time, link: between, first, second };
}
