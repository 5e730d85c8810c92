/** Whatever a peer says, in whatever state: a close ends in its time, what is held has a bound, nothing is thrown. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { beyond } from "./bounds.js";
import { Seen, WALKS, Walk } from "./hostile.js";

const STEPS = 120;
/** How often the walks have to be in each state. */
const LEAST: Record<string, number> = {
  connecting: 10,
  open: 1500,
  suspect: 2,
  recovering: 40,
  resetting: 1200,
  closing: 1200,
  closed: 220,
  "closing by local": 1200,
  "closing by remote": 200,
  "closing by both": 30,
  "closing by network": 30,
  "step drain": 300,
  "step channels": 40,
  "step connection": 500,
  "step clean-up": 500,
  "last words": 60,
  "path graceful": 7,
  "path deadline": 40,
  "path abrupt": 170,
  "by local": 170,
  "by remote": 15,
  "by both": 15,
  "by network": 15,
  "reset ice asked": 180,
  "reset ice building": 40,
  "reset transport asked": 290,
  "reset transport building": 130,
  "reset transport switching": 60,
  "reset full asked": 240,
  "reset full building": 450,
  "reset full switching": 70,
  halves: 250,
  "pieces before their turn": 170,
  gaps: 4000,
  packed: 500,
  hungry: 1,
  "beyond a bound": 5,
  "ended in silence": 3,
  "ended after an hour": 1,
};

test("whatever a peer says, a close ends in its time and nothing grows", () => {
  const seen = new Seen();
  for (let seed = 0; seed < WALKS; seed++) {
    try {
      new Walk(seed, seen, beyond).run(STEPS);
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
