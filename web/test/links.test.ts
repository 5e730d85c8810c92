import assert from "node:assert/strict";
import { test } from "node:test";
import { parts } from "../src/model/links.js";

const links = (text: string) => parts(text).flatMap(({ href }) => href ?? []);
const shown = (text: string) => parts(text).flatMap(({ href, text }) => (href ? text : []));

test("an address in a sentence is one, without the sentence", () => {
  assert.deepEqual(parts("see https://example.org/a?b=c#d, it is good"), [
    { text: "see " },
    { text: "https://example.org/a?b=c#d", href: "https://example.org/a?b=c#d" },
    { text: ", it is good" },
  ]);
  assert.deepEqual(shown("(https://example.org/a_(b)) and http://example.org/x_(y)."), [
    "https://example.org/a_(b)",
    "http://example.org/x_(y)",
  ]);
  assert.deepEqual(shown("HTTPS://Example.org! “http://b.example/”?"), ["HTTPS://Example.org", "http://b.example/"]);
});

test("all of the text is there again, in its order", () => {
  for (const text of ["", "a", "https://a.example", "x https://a.example. y\nhttp://b.example/) z", "https://"]) {
    assert.equal(
      parts(text)
        .map(({ text }) => text)
        .join(""),
      text,
    );
  }
});

test("nothing but http and https is a link", () => {
  for (const text of [
    "javascript:alert(1)",
    "javascript://example.org/%0aalert(1)",
    "data:text/html,<b>x</b>",
    "ftp://example.org",
    "file:///etc/passwd",
    "//example.org",
    "www.example.org",
    "xhttps:/example.org",
    "https://",
    "https://[::1",
  ]) {
    assert.deepEqual(links(text), [], text);
  }
});

test("no address is a link that looks like another than it is", () => {
  assert.deepEqual(links("https://bank.example@evil.example/"), []);
  assert.deepEqual(links("https://bank.example:443@evil.example/"), []);
  // A mark that turns the direction of reading ends it, so does a control character.
  assert.deepEqual(shown("https://evil.example/\u202egro.knab"), ["https://evil.example/"]);
  assert.deepEqual(shown("https://example.org/\u0000x"), ["https://example.org/"]);
});

test("a text that is all brackets takes no time", () => {
  const began = performance.now();
  parts(`https://example.org/${")".repeat(100_000)}`);
  parts("https://".repeat(20_000));
  assert.ok(performance.now() - began < 500);
});
