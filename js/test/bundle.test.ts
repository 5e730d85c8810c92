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
  assert.ok(size <= 46_600, `${size} bytes compressed`);
});

test("what folders and streams need is loaded when it is used, and no larger than it should be", () => {
  const later = "adieu-rtc.folders.min.js";
  const size = brotliCompressSync(readFileSync(new URL(`../../dist/${later}`, import.meta.url))).length;
  assert.ok(size <= 8100, `${size} bytes compressed`);
  assert.ok(readFileSync(bundle, "utf8").includes(`import(\`./${later}\`)`));
});

for (const [what, later, most] of [
  ["a recording", "adieu-rtc.recording.min.js", 2400],
  ["the account of media", "adieu-rtc.media.min.js", 900],
  ["transfers over several sessions", "adieu-rtc.carrying.min.js", 1200],
] as const) {
  test(`what ${what} needs is loaded when it is used, and no larger than it should be`, () => {
    const size = brotliCompressSync(readFileSync(new URL(`../../dist/${later}`, import.meta.url))).length;
    assert.ok(size <= most, `${size} bytes compressed`);
    assert.ok(readFileSync(bundle, "utf8").includes(`import(\`./${later}\`)`));
  });
}

test("goodbye alone is no larger than it should be", () => {
  const size = brotliCompressSync(readFileSync(new URL("../../dist/goodbye.min.js", import.meta.url))).length;
  assert.ok(size <= 4096, `${size} bytes compressed`);
});

test("the bundle has what the modules have", async () => {
  const [whole, small] = await Promise.all([import(modules), import(bundle.href)]);
  assert.deepEqual(Object.keys(small), Object.keys(whole));
  assert.deepEqual(members(small), members(whole));
});
