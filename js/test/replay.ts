/** Feeds a machine what a trace of vectors/session says. */

import { controlMessageType } from "../src/protocol/messages.js";
import type { Payload } from "../src/session/machine/held.js";
import type { SessionMachine } from "../src/session/machine/machine.js";
import { agree } from "../src/session/machine/media.js";
import { look } from "../src/session/machine/progress.js";
import { fromBase64 } from "./vectors.js";

// biome-ignore lint/suspicious/noExplicitAny: the traces are data
export type Data = any;

const camel = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const payload = ({ data, text, again }: Data): Payload => ({ data: fromBase64(data), text, again: again ?? undefined });
export const word = (said: Data) => controlMessageType.get(said.type)!.read(said, said.type);

/** As the decoder gives them. */
function accounts(media: Data): Data {
  const said = { type: "closed", receipt: "r", closer: "b", reason: { code: "left" }, channels: {}, media };
  return (word(said) as Data).media;
}

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
    case "watch_progress":
      machine.watchProgress(args[0] ? look : undefined, now);
      break;
    case "network_changed":
      machine.networkChanged(args[0], now, named.at_once);
      break;
    case "ask_close":
      machine.askClose(args[0], args[1], now, named.speaking);
      break;
    case "last_words_over":
      machine.lastWordsOver(now, named.speaking);
      break;
    case "media_counted":
      machine.mediaCounted(accounts(args[0]), agree, now);
      break;
    case "open_channel":
      machine.openChannel(args[0], named, now);
      break;
    default:
      (machine as Data)[camel(method)](...args, now);
  }
}
