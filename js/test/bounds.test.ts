/** Every member of every message has a bound, and the decoder keeps it: no number, text, list or map is without one. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "../src/protocol/codec.js";
import { beyond, ofStruct, schema, typeOf, whole } from "./bounds.js";

describe("a decoder keeps every bound of", () => {
  for (const name of Object.keys(schema.$defs)) {
    test(name, () => {
      const type = typeOf(name);
      assert.doesNotThrow(() => type.read(whole(name), name));
      for (const [where, bad] of ofStruct(name, name)) {
        assert.throws(() => type.read(bad, name), TypeError, `taken: ${where}`);
      }
    });
  }
});

test("a member without a bound is seen", () => {
  for (const loose of [
    { type: "integer" },
    { type: "number" },
    { type: "string" },
    { type: "array" },
    { type: "object" },
  ]) {
    assert.throws(() => beyond(loose, "Loose.member"), /Loose\.member/);
  }
});

test("JSON is nested no deeper than 16", () => {
  const nested = (levels: number) => `${"[".repeat(levels)}0${"]".repeat(levels)}`;
  parse(nested(16));
  assert.throws(() => parse(nested(17)), /deeper than 16/);
  assert.throws(() => parse(`{"x":${nested(16)}}`), /deeper than 16/);
  for (const text of [`["${"[{".repeat(50)}"]`, `["\\"${"[{".repeat(50)}\\\\"]`, `{"${"[".repeat(50)}":1}`]) {
    assert.deepEqual(parse(text), JSON.parse(text));
  }
});
