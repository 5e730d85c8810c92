/** Two sessions over connections of this process, on virtual time. */

import { Session } from "../src/index.js";
import type { FileMessage } from "../src/protocol/messages.js";
import type { Options } from "../src/session/machine/options.js";
import { shellOf } from "../src/session/session.js";
import { type MemorySignaling, memorySignaling } from "../src/signaling/memory.js";
import { Wire } from "./fakes.js";
import { VirtualTime } from "./time.js";

export interface Pair {
  time: VirtualTime;
  wire: Wire;
  ends: [MemorySignaling, MemorySignaling];
  a: Session;
  b: Session;
}

/** `second`: the options of the second side, if it has others. */
export async function pair(options: Partial<Options> = {}, second = options, delay = 0.01): Promise<Pair> {
  const time = new VirtualTime();
  const wire = new Wire(time, delay);
  const ends = memorySignaling();
  const make = (role: "first" | "second", signaling: MemorySignaling) =>
    new Session({
      connect: () => wire.connect(),
      signaling,
      role,
      name: role === "first" ? "Ben" : "Ada",
      options: role === "first" ? options : second,
      platform: time.platform(),
    }).start();
  const a = make("first", ends[0]);
  const b = make("second", ends[1]);
  await time.until(Promise.all([a.waitOpen(), b.waitOpen()]));
  return { time, wire, ends, a, b };
}

/** Have a session say a word about a file that it would not say. */
export function hostile(session: Session, word: Omit<FileMessage, "type">): void {
  shellOf(session).step((now) => shellOf(session).machine.sayFile({ type: "file", ...word }, now));
}

/** The words about files that a session says from now on. */
export function wordsOf(session: Session): FileMessage[] {
  const said: FileMessage[] = [];
  const { machine } = shellOf(session);
  const plain = machine.sayFile.bind(machine);
  machine.sayFile = (word, now) => {
    said.push(word);
    plain(word, now);
  };
  return said;
}
