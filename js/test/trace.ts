/** A trace of the session machine, as Python's wrote it: the machine here has to do and tell the same. */

import assert from "node:assert/strict";
import { decode, encode } from "../src/protocol/control.js";
import { reliabilityType } from "../src/protocol/messages.js";
import { SessionMachine } from "../src/session/machine/machine.js";
import { type Data, feed } from "./replay.js";
import { toBase64 } from "./vectors.js";

/** As the traces write it: bytes in base64, messages as the protocol has them, nothing that is a default. */
function plain(output: Data): Data {
  if (!output) return output;
  const { data, word, text, reliability, file, media, receipt, ...rest } = output;
  if (receipt) rest.receipt = { ...receipt, sent: account(receipt.sent), received: account(receipt.received) };
  if (data) rest.data = toBase64(data);
  if (word) rest.word = JSON.parse(encode(word));
  if (text) rest.text = encode(decode(text)!);
  if (reliability) rest.reliability = JSON.parse(reliabilityType.write(reliability));
  return rest;
}

/** Whether a default is written out differs; what is said does not. */
function expected(output: Data): Data {
  return output.text ? { ...output, text: encode(decode(output.text)!) } : output;
}

/** What exactly is wrong with a message is said in the words of each language. */
function worded(output: Data): Data {
  return (
    output && JSON.parse(JSON.stringify(output).replace(/a wrong control message: [^"\\]*/g, "a wrong control message"))
  );
}

const total = (value: Data) => value && Object.fromEntries(Object.entries(value).filter(([, count]) => count));
const account = (value: Data) => Object.fromEntries(Object.entries(value).map(([name, sum]) => [name, total(sum)]));

function outcome(machine: SessionMachine): Data {
  if (!machine.outcome) return null;
  const channels = Object.fromEntries(
    [...machine.outcome.channels].map(([name, { sent, received, reliable }]) => [
      name,
      { sent: account(sent), received: account(received), reliable },
    ]),
  );
  return JSON.parse(JSON.stringify({ ...machine.outcome, channels }));
}

/** Feed a machine what the trace says, and compare all that it does and tells. */
export function follow(written: Data): void {
  const trace = worded(written);
  const { me, peer, room } = trace;
  const machine = new SessionMachine({ me, peer, room, options: trace.options });
  trace.steps.forEach((step: Data, number: number) => {
    if (step.in) feed(machine, step);
    else if (step.do) assert.deepEqual(worded(plain(machine.pollAction())), expected(step.do), `step ${number}`);
    else assert.deepEqual(worded(plain(machine.pollEvent())), step.tell, `step ${number}`);
  });
  assert.equal(machine.pollAction(), undefined);
  assert.equal(machine.pollEvent(), undefined);
  assert.deepEqual(worded(outcome(machine)), trace.outcome);
}
