/**
 * Two that keep the protocol: none ends the other for it, and all that was sent on reliable channels arrives.
 *
 * Whatever the mixture of channels, sizes, options, slow readers and connections that go and come. `ADIEU_WALKS` makes
 * it longer; the walks are the same in every run.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Walk } from "./honest.js";
import { Seen } from "./victim.js";

const WALKS = Number(process.env["ADIEU_WALKS"] ?? 40);
const FIRST = Number(process.env["ADIEU_FIRST_WALK"] ?? 0);
const LONG = { timeout: 60_000 + WALKS * 2000 };

async function walked(seed: number, ...more: [before?: boolean, options?: object, much?: number]): Promise<Seen> {
  const walk = new Walk(seed, ...more);
  try {
    await walk.run();
  } catch (error) {
    throw new Error(`walk ${seed}: ${(error as Error).stack}`);
  }
  return walk.seen;
}

test("between honest peers all arrives, and none is ended", LONG, async () => {
  const seen = new Seen();
  for (let seed = FIRST; seed < FIRST + WALKS; seed++) {
    for (const [what, often] of await walked(seed)) seen.set(what, (seen.get(what) ?? 0) + often);
  }
  for (const what of ["hungry", "turns", "gaps", "new connections", "closed"]) {
    assert.ok((seen.get(what) ?? 0) > 2 * WALKS, `walks that try ${what} too seldom: ${JSON.stringify([...seen])}`);
  }
});

test("also with the version before", LONG, async () => {
  for (let seed = FIRST; seed < FIRST + WALKS / 4; seed++) await walked(seed, true);
});

test("also with largest messages, and the options that nobody sets", LONG, async () => {
  for (const before of [false, true]) await walked(FIRST, before, {}, 100 << 20);
});
