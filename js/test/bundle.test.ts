/** The bundle: its size, and that it is what the modules are. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliCompressSync } from "node:zlib";

const modules = new URL("../../dist/index.js", import.meta.url).href;
const bundle = new URL("../../dist/adieu-rtc.min.js", import.meta.url);

// biome-ignore lint/suspicious/noExplicitAny: looked at by name
type Exports = Record<string, any>;

function members(exported: Exports): Record<string, string[]> {
  const own = (value: object) => Object.getOwnPropertyNames(value).sort();
  return Object.fromEntries(
    Object.keys(exported).map((name) => [name, own(exported[name].prototype ?? exported[name])]),
  );
}

test("the bundle is no larger than it should be", () => {
  const size = brotliCompressSync(readFileSync(bundle)).length;
  assert.ok(size <= 43_000, `${size} bytes compressed`);
});

test("goodbye alone is no larger than it should be", () => {
  const size = brotliCompressSync(readFileSync(new URL("../../dist/goodbye.min.js", import.meta.url))).length;
  assert.ok(size <= 4096, `${size} bytes compressed`);
});

test("the bundle has what the modules have", async () => {
  const [whole, small] = await Promise.all([import(modules), import(bundle.href)]);
  assert.deepEqual(Object.keys(small), Object.keys(whole));
  assert.deepEqual(members(small), members(whole));
});
