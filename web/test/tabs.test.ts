import assert from "node:assert/strict";
import { test } from "node:test";
import { Place } from "../src/model/tabs.js";
import { install } from "./browser.js";

/** Locks of one browser, as its tabs share them. */
class FakeLocks {
  #held = new Map<string, Promise<unknown>>();
  async request(name: string, { signal }: { signal: AbortSignal }, hold: () => Promise<void>): Promise<void> {
    const stopped = new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    stopped.catch(() => undefined);
    while (this.#held.has(name)) await Promise.race([this.#held.get(name), stopped]);
    const held = hold();
    this.#held.set(name, held);
    await held;
    this.#held.delete(name);
  }
}

const stays = async () => {};

test("a room has one place for each browser, until it is free", async () => {
  install({ navigator: { locks: new FakeLocks() } });
  const [first, second] = [new Place("lab"), new Place("lab")];
  assert.ok(await first.take(stays, 20));
  assert.ok(!(await second.take(stays, 20)));
  const other = new Place("other");
  assert.ok(await other.take(stays, 20));
  first.free();
  assert.ok(await second.take(stays, 20));
  second.free();
  other.free();
});

test("a tab can be asked to leave for another one", async () => {
  install({ navigator: { locks: new FakeLocks() } });
  const [first, second] = [new Place("lab"), new Place("lab")];
  let left = 0;
  await first.take(async () => void left++, 20);
  assert.ok(await second.takeOver(stays));
  assert.equal(left, 1);
  second.free();
});

test("without locks nobody is kept out", async () => {
  install({ navigator: {} });
  const free = new Place("lab");
  assert.ok(await free.take(stays));
  free.free();
  const blocked = { request: () => Promise.reject(new DOMException("blocked", "SecurityError")) };
  install({ navigator: { locks: blocked } });
  const place = new Place("lab");
  assert.ok(await place.take(stays));
  place.free();
});
