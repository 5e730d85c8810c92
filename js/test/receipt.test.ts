/** The sentence at the end of a session, over the traces in vectors/session and over accounts made here. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { line } from "../src/protocol/text.js";
import { type Account, isPart, type Outcome, type Total } from "../src/session/machine/receipt.js";
import { sentence } from "../src/session/notice.js";
import { vectors } from "./vectors.js";

const total = (messages: number): Total => ({ messages, bytes: messages });
const none: Account = {
  accepted: total(0),
  delivered: total(0),
  unread: total(0),
  unknown: total(0),
  unsent: total(0),
};
const outcome = (sent: Partial<Account>, received: Partial<Account> = {}, more: Partial<Outcome> = {}): Outcome => ({
  id: "",
  by: "local",
  closer: "a",
  reason: { code: "left", text: "done" },
  path: "graceful",
  cause: "left",
  evidence: [],
  channels: new Map([["chat", { sent: { ...none, ...sent }, received: { ...none, ...received }, reliable: true }]]),
  steps: [],
  confirmed: true,
  agreed: "",
  unheard: false,
  ...more,
});

/** Of a trace: what its side reads at the end. */
function traced(name: string): string {
  const { outcome } = vectors(`session/${name}`);
  const filled = (sums: Record<string, Partial<Total> | null>) =>
    Object.fromEntries(Object.entries(sums).map(([what, sum]) => [what, sum && { ...total(0), ...sum }]));
  const channels = Object.entries<{ sent: object; received: object; reliable: boolean }>(outcome.channels).map(
    ([channel, { sent, received, reliable }]) =>
      [channel, { sent: filled(sent as never), received: filled(received as never), reliable }] as const,
  );
  return sentence({ ...outcome, channels: new Map(channels) } as unknown as Outcome, "Ben");
}

describe("the sentence", () => {
  for (const [name, expected] of [
    ["graceful_close_a", "You left Ben (done). Everything was delivered."],
    ["unread_a", "You left Ben (done). 3 of your messages were delivered; 3 of them were not read yet."],
    ["unread_b", "Ben left (done). 3 of their messages were not read yet."],
    [
      "closed_when_dead_a",
      "You left Ben (nobody there). Ben's program ended without a word. All your messages were delivered.",
    ],
    ["slept_a", "Ben could no longer be reached."],
    ["slept_b", "This page was suspended, and the connection to Ben was lost."],
    ["impossible_account_a", "Ben left (bye[2J root)."],
  ] as const) {
    test(`of ${name}`, () => assert.equal(traced(name), expected));
  }

  test("tells the losses of both directions", () => {
    assert.equal(
      sentence(outcome({ delivered: total(1) }, { unknown: total(90), unsent: total(5) }), "Ben"),
      "You left Ben (done). 95 of their messages did not arrive; all your messages were delivered.",
    );
    assert.equal(
      sentence(outcome({ unsent: total(2), unknown: total(1) }, { unsent: total(1) }), ""),
      "You left (done). 2 of your messages were not sent and 1 of your messages may not have arrived and " +
        "1 of their messages did not arrive.",
    );
  });

  test("says everything only of everything", () => {
    const state = { sent: { ...none, unknown: total(1) }, received: none, reliable: false };
    const both = outcome({ delivered: total(1) });
    both.channels.set("state", state);
    assert.match(sentence(both, ""), /Everything that must not be lost was delivered\.$/);
    assert.match(
      sentence(outcome({ delivered: total(1) }, {}, { confirmed: false }), ""),
      /All your messages were delivered\.$/,
    );
  });

  test("has no control characters of a name either", () => {
    assert.equal(sentence(outcome({}), "Be\u001b[31mn\n\u202e"), "You left Be[31mn (done).");
  });
});

test("a line is cut by characters, and no half of a pair is left", () => {
  assert.equal(line("😀".repeat(2000)), "😀".repeat(1024));
  assert.equal(line("a\ud83d"), "a\ufffd");
  assert.equal(line("سلام\u200c 👨\u200d👩"), "سلام\u200c 👨\u200d👩");
});

test("a part has no more messages or bytes, and all bytes if it has all messages", () => {
  const sum = (messages: number, bytes: number): Total => ({ messages, bytes });
  assert.ok(isPart(sum(0, 0), sum(0, 0)) && isPart(sum(2, 5), sum(2, 5)) && isPart(sum(1, 5), sum(2, 5)));
  for (const part of [sum(3, 5), sum(2, 4), sum(2, 6), sum(1, 6), sum(0, 1)]) assert.ok(!isPart(part, sum(2, 5)));
  assert.ok(!isPart(sum(0, 5), sum(0, 5)));
});
