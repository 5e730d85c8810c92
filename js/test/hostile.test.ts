/** Whatever a peer says, in whatever state: a close ends in its time, what is held has a bound, nothing is thrown. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { beyond, type Data, ofStruct, schema } from "./bounds.js";
import { NONSENSE, WALKS, Walk, walked } from "./hostile.js";
import { Seen } from "./victim.js";

const STEPS = 120;
/** How often the walks have to be in each state. */
const LEAST: Record<string, number> = {
  connecting: 6,
  open: 2000,
  suspect: 2,
  recovering: 60,
  resetting: 1500,
  closing: 2000,
  closed: 400,
  "closing by local": 2000,
  "closing by remote": 250,
  "closing by both": 40,
  "closing by network": 10,
  "step drain": 250,
  "step channels": 50,
  "step connection": 1000,
  "step clean-up": 1200,
  "last words": 70,
  "path graceful": 8,
  "path deadline": 40,
  "path abrupt": 400,
  "by local": 400,
  "by remote": 25,
  "by both": 15,
  "by network": 12,
  "reset ice asked": 100,
  "reset ice building": 60,
  "reset transport asked": 400,
  "reset transport building": 150,
  "reset transport switching": 2,
  "reset full asked": 300,
  "reset full building": 400,
  "reset full switching": 50,
  halves: 250,
  "pieces before their turn": 90,
  gaps: 20000,
  packed: 800,
  hungry: 70,
  "beyond a bound": 20,
  "ended in silence": 5,
  "ended after an hour": 2,
};

test("whatever a peer says, a close ends in its time and nothing grows", () => {
  const seen = new Seen();
  for (let seed = 0; seed < WALKS; seed++) {
    try {
      for (const [what, often] of walked(seed, beyond, STEPS)) seen.set(what, (seen.get(what) ?? 0) + often);
    } catch (error) {
      throw new Error(`walk ${seed}: ${(error as Error).stack}`);
    }
  }
  if (process.env["ADIEU_COUNTS"])
    for (const [what, often] of [...seen].sort()) console.log(JSON.stringify(what), often);
  const missed = Object.entries(LEAST).filter(([what, least]) => (seen.get(what) ?? 0) < least);
  assert.deepEqual(
    missed.map(([what]) => [what, seen.get(what)]),
    [],
  );
});

/** A session that stands, of which nothing was said yet. */
function opened(): Walk {
  for (let seed = 0; seed < 100; seed++) {
    const walk = new Walk(seed, new Seen(), beyond);
    if (walk.m.state === "open" && !walk.m.channels.size) return walk;
  }
  throw assert.fail("no session stands");
}

test("each value beyond a bound, and all nonsense, ends the session as a protocol error", () => {
  const wrong: [string, unknown][] = schema.protocols.control.anyOf.flatMap(({ $ref }: Data) => {
    const name = $ref.split("/").at(-1);
    return ofStruct(name, name);
  });
  const texts = wrong.map(([where, made]): [string, string] => [where, JSON.stringify(made)]);
  // What JSON has no word for would be said as null, which may stand for nothing.
  const said = texts.filter(([, text]) => !text.includes("null"));
  assert.ok(said.length > 150);
  for (const [where, text] of [...said, ...NONSENSE.map((text) => [text.slice(0, 40), text] as const)]) {
    const walk = opened();
    walk.sayText(1, text);
    walk.victim.run(2);
    assert.equal(walk.m.outcome?.cause, "protocol-error", where);
  }
});
