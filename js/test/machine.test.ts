/** The traces in vectors/session hold: the machine does and tells what they say, as the one in Python. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionMachine } from "../src/session/machine/machine.js";
import { type Data, feed } from "./replay.js";
import { follow } from "./trace.js";
import { fromBase64, names, vectors } from "./vectors.js";

const all = names("session");

test("there are traces", () => assert.ok(all.length >= 16));

for (const name of all) {
  test(`the machine does what ${name} says`, () => follow(vectors(`session/${name}`)));
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
