/** Words have an effect where the table of states says so: the situations of vectors/states.json, as in Python. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionMachine } from "../src/session/machine/machine.js";
import { type Data, feed, word } from "./replay.js";
import { vectors } from "./vectors.js";

function replayed(name: string, steps: number): SessionMachine {
  const trace = vectors(`session/${name}`);
  const { me, peer, room, options } = trace;
  const machine = new SessionMachine({ me, peer, room, options });
  for (const step of trace.steps.slice(0, steps)) if (step.in) feed(machine, step);
  while (machine.pollAction() || machine.pollEvent());
  return machine;
}

function picture({ state, lastEpoch, reset, closing, resets, timers, words }: SessionMachine): string {
  const plain = (_: string, value: Data) => (value instanceof Map || value instanceof Set ? [...value] : value);
  return JSON.stringify([state, lastEpoch, reset, closing, resets, [...timers.keys()], [...words.keys()]], plain);
}

function hasEffect(machine: SessionMachine, said: Data): boolean {
  const before = picture(machine);
  machine.signalReceived(word(said) as never, machine.now);
  return !!(machine.pollAction() || machine.pollEvent()) || picture(machine) !== before;
}

const situations: Data[] = vectors("states");

test("there are situations", () => assert.ok(situations.length >= 60));

for (const { trace, steps, state, words } of situations) {
  test(`what words do in ${state}, after ${steps} steps of ${trace}`, () => {
    for (const [said, effect] of words) {
      const machine = replayed(trace, steps);
      assert.equal(machine.state, state);
      assert.equal(hasEffect(machine, said), effect, JSON.stringify(said));
    }
  });
}
