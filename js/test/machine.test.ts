/** The traces in vectors/session hold: the machine does and tells what they say, as the one in Python. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "../src/protocol/control.js";
import { reliabilityType } from "../src/protocol/messages.js";
import { SessionMachine } from "../src/session/machine/machine.js";
import { type Data, feed } from "./replay.js";
import { fromBase64, names, toBase64, vectors } from "./vectors.js";

/** As the traces write it: bytes in base64, messages as the protocol has them, nothing that is a default. */
function plain(output: Data): Data {
  if (!output) return output;
  const { data, word, text, reliability, file, media, ...rest } = output;
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

function outcome(machine: SessionMachine): Data {
  if (!machine.outcome) return null;
  const total = (value: Data) => value && Object.fromEntries(Object.entries(value).filter(([, count]) => count));
  const account = (value: Data) => Object.fromEntries(Object.entries(value).map(([name, sum]) => [name, total(sum)]));
  const channels = Object.fromEntries(
    [...machine.outcome.channels].map(([name, { sent, received, reliable }]) => [
      name,
      { sent: account(sent), received: account(received), reliable },
    ]),
  );
  return JSON.parse(JSON.stringify({ ...machine.outcome, channels }));
}

const all = names("session");

test("there are traces", () => assert.ok(all.length >= 16));

for (const name of all) {
  test(`the machine does what ${name} says`, () => {
    const trace = worded(vectors(`session/${name}`));
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
  });
}

test("a reader that waits gets a message in the input that brings it", () => {
  const { me, peer, room, options, steps } = vectors("session/graceful_close_b");
  const machine = new SessionMachine({ me, peer, room, options });
  const at = steps.findIndex((step: Data) => step.in === "data_received");
  for (const step of steps.slice(0, at)) if (step.in) feed(machine, step);
  while (machine.pollAction() || machine.pollEvent());
  const { now, args } = steps[at];
  const bring = () => machine.dataReceived(args[0], args[1], fromBase64(args[2]), now);
  machine.readerChanged("chat", true, now);
  assert.equal(new TextDecoder().decode(bring()!.data), "hello");
  assert.equal(machine.pollEvent(), undefined);
  assert.equal(machine.channels.get("chat")!.receiver.taken.messages, 1);
  assert.equal(bring(), undefined, "twice the same");
  machine.handleTimeout(machine.pollTimeout()!);
  const said: Data = machine.pollAction();
  assert.equal(JSON.parse(said.text).type, "ack");
});
