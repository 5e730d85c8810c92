/** Feeds a machine what a trace of vectors/session says. */

import { controlMessageType } from "../src/protocol/messages.js";
import type { Payload } from "../src/session/machine/held.js";
import type { SessionMachine } from "../src/session/machine/machine.js";
import { fromBase64 } from "./vectors.js";

// biome-ignore lint/suspicious/noExplicitAny: the traces are data
export type Data = any;

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const payload = ({ data, text, again }: Data): Payload => ({ data: fromBase64(data), text, again: again ?? undefined });
export const word = (said: Data) => controlMessageType.get(said.type)!.read(said, said.type);

export function feed(machine: SessionMachine, { in: method, now, args, named }: Data): void {
  switch (method) {
    case "send":
      machine.send(args[0], payload(args[1]), now);
      break;
    case "data_received":
      machine.dataReceived(args[0], args[1], fromBase64(args[2]), now);
      break;
    case "signal_received":
      machine.signalReceived(word(args[0]) as never, now);
      break;
    case "open_channel":
      machine.openChannel(args[0], named, now);
      break;
    default:
      (machine as Data)[camel(method)](...args, now);
  }
}
