/** The recovery policy is replaceable, and a reported cause does not flicker (closing rules S7, S10). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CAUSES, confidence, PeerEvidence } from "../src/session/machine/cause.js";
import { Ladder, type RecoveryPolicy } from "../src/session/machine/options.js";
import * as recovery from "../src/session/machine/recovery.js";
import * as reset from "../src/session/machine/reset.js";
import { MachineState } from "../src/session/machine/state.js";

const RESET = { type: "reset", session: "", to: "", from: "", asker: "b", level: "transport" } as const;

/** A machine in a silence that began at 0, without a connection. */
function silent(policy: unknown): MachineState {
  const m = new MachineState({ me: "a", peer: "b", options: { recovery: policy as RecoveryPolicy } });
  m.phase = "recovering";
  m.evidence.signaling = false;
  m.silence = { since: 0, attempts: 0, excused: false, suspected: true };
  return m;
}

test("a policy of the page decides when it is asked again", () => {
  const m = silent({ step: (silence: number) => ["wait", silence + 2.5] });
  m.now = 3;
  recovery.climb(m);
  assert.deepEqual(m.evidence.lines(), []);
});

for (const [name, policy] of Object.entries({
  "an unknown step": { step: () => ["explode", 4] },
  "no step": { step: () => [undefined, 4] },
  "no time": { step: () => ["wait", Number.NaN] },
  "no end": { step: () => ["wait", Number.POSITIVE_INFINITY] },
  nothing: { step: () => undefined },
  "an error": {
    step() {
      throw new Error("no");
    },
  },
})) {
  test(`the default decides where a policy answers with ${name}, and the evidence says so`, () => {
    const m = silent(policy);
    m.now = 61;
    recovery.climb(m);
    assert.ok(m.closing, "it gives up as the default does");
    assert.ok(m.evidence.lines().some((line) => line.includes("the recovery policy failed: the default decides")));
    const early = silent(policy);
    early.now = 4;
    recovery.climb(early);
    assert.equal(early.closing, undefined);
    assert.ok(early.timers.get("ladder")! < 10);
  });
}

test("a new connection has its time whatever the policy says, and the policy hears of it", () => {
  const asked: number[] = [];
  const m = silent({
    step: (silence: number, attempts: number) => {
      asked.push(attempts);
      return ["transport", silence + 0.1];
    },
  });
  m.evidence.signaling = true;
  const epochs = [4, 4.1, 8.9, 9, 9.1].map((now) => {
    m.now = now;
    recovery.climb(m);
    return m.reset?.epoch;
  });
  assert.deepEqual(epochs, [1, 1, 1, 2, 2]);
  assert.deepEqual(asked, [0, 1, 1, 1, 2]);
});

test("a side that makes a connection follows the other to its next, which has given that one up", () => {
  const m = silent(new Ladder());
  m.now = 1;
  reset.handleWord(m, { ...RESET, n: 1, epoch: 2 });
  assert.deepEqual([...m.connections.keys()], [2]);
  reset.handleWord(m, { ...RESET, n: 2, epoch: 3 });
  assert.deepEqual([...m.connections.keys()], [3]);
  assert.equal(m.reset?.epoch, 3);
});

test("the ladder counts from a rung that came late", () => {
  const ladder = new Ladder();
  assert.deepEqual(ladder.step(8, 0), ["transport", 18]);
  assert.deepEqual(ladder.step(37, 0), ["transport", 47]);
  assert.deepEqual(ladder.step(55, 1), ["transport", 60]);
});

test("what is no policy is refused, before anything begins", () => {
  for (const wrong of [undefined, null, {}, 5])
    assert.throws(() => silent(wrong), /recovery=.*: it needs a method step/);
});

test("two pieces of evidence in turn do not flicker", () => {
  const evidence = new PeerEvidence();
  evidence.reported = evidence.told(0);
  const heard = [evidence.reported];
  for (let tenth = 1; tenth < 200; tenth++) {
    evidence.probePeer = tenth % 2 === 0;
    const cause = evidence.told(tenth / 10);
    if (cause !== evidence.reported) heard.push((evidence.reported = cause));
  }
  assert.ok(heard.length >= 2 && heard.length <= 5, String(heard));
});

test("each cause says how sure it is", () => {
  assert.equal(confidence("frozen, network-lost"), "possible");
  assert.deepEqual(CAUSES.filter((cause) => confidence(cause) === "likely").sort(), ["crashed", "frozen"]);
  assert.equal(new Ladder().step(61, 0)[0], "give-up");
});
