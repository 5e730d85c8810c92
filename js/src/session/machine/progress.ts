/**
 * The steps that one can watch: what a close or a reset does at the moment, and what is still under way.
 *
 * Nothing is counted while nobody watches. A step that begins is reported at once, and the numbers within it four times
 * a second. Under way are the messages that the receipt would call unknown or unsent if the session ended now; the
 * pieces of files are not among them.
 */

import { FILE_CHANNEL } from "../../protocol/control.js";
import { hasOwn } from "./account.js";
import type { MachineState } from "./state.js";

/** Seconds between two reports of one step. */
const EVERY = 0.25;

/** Report the step if it is a new one, or if the last report is old enough. */
export function look(m: MachineState): void {
  const { closing, reset, watch, now } = m;
  const step = m.outcome ? undefined : closing ? closing.step.name : reset?.phase;
  if (!watch || !step) {
    m.timers.delete("progress");
    return;
  }
  const due = step !== watch.step || now >= watch.due;
  if (due) Object.assign(watch, { step, due: now + EVERY });
  m.timers.set("progress", watch.due);
  if (!due) return;
  let messages = 0;
  let bytes = 0;
  let incoming = 0;
  for (const [name, channel] of m.channels) {
    if (name.startsWith(FILE_CHANNEL) || hasOwn(channel)) continue; // named as a file; or in a receipt of its own
    const { sender, receiver, reliable } = channel;
    const { accepted, delivered } = sender;
    // Of an unreliable channel nothing is known of those that have left.
    messages += reliable ? accepted.messages - delivered.messages : sender.queue.length;
    bytes += reliable ? accepted.bytes - delivered.bytes : sender.queuedBytes;
    if (reliable) incoming += Math.max((closing?.final?.get(name) ?? 0) - receiver.upTo, 0);
  }
  const end = closing?.deadline ?? m.timers.get("reset") ?? now;
  const seconds = Math.max(end - now, 0);
  m.report({ type: "Progressed", work: closing ? "close" : "reset", step, messages, bytes, incoming, seconds });
}
