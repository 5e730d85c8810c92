import assert from "node:assert/strict";
import { test } from "node:test";
import { type Account, CAUSES, type ChannelReceipt } from "adieu-rtc";
import type { Outcome } from "../../js/src/session/machine/receipt.js";
import { sentence } from "../../js/src/session/notice.js";
import { ending } from "../src/model/ending.js";

const total = (messages: number) => ({ messages, bytes: messages });
const file = (name: string, sent: boolean) => ({ name, size: 100, proof: "", sent, done: 30 });

function account(given: Partial<Record<keyof Account, number>> = {}): Account {
  const all = { accepted: 0, delivered: 0, unread: 0, unknown: 0, unsent: 0, ...given };
  return Object.fromEntries(Object.entries(all).map(([name, number]) => [name, total(number)])) as unknown as Account;
}

type Counts = Parameters<typeof account>[0];
const channel = (sent: Counts, received: Counts = {}, reliable = true): ChannelReceipt => ({
  sent: account(sent),
  received: account(received),
  reliable,
});

const CHANNELS: ChannelReceipt[][] = [
  [],
  [channel({ delivered: 3 })],
  [channel({ delivered: 3 }, { unknown: 1 })],
  [channel({ delivered: 3, unread: 1 })],
  [channel({ delivered: 3, unsent: 1 }, { unread: 2 })],
  [channel({ unknown: 2, unsent: 1 }, { unsent: 1, unread: 1 })],
  [channel({ delivered: 2 }), channel({ delivered: 1, unknown: 4 }, {}, false)],
];
const FILES = [
  { files: [], partial: [] },
  { files: [file("a.txt", true)], partial: [] },
  { files: [file("a.txt", true), file("b.txt", true)], partial: [] },
  { files: [file("a.txt", true)], partial: [file("film.mp4", true)] },
  { files: [], partial: [file("film.mp4", false), file("c.txt", true), file("d.txt", true)] },
];

test("a room that is closed for all is named as programs name it", () => {
  for (const by of ["local", "remote", "both", "network"]) {
    const receipt = { by, cause: "room-closed", reason: { code: "room-closed", text: "it is late" }, confirmed: true };
    const said = ending({ ...receipt, channels: {}, files: [], partial: [], notice: "" } as never, "Ben");
    assert.equal(said, "The room was closed for everybody (it is late).");
  }
});

test("in English the page says what the SDK says, of every end", () => {
  let count = 0;
  for (const by of ["local", "remote", "both", "network"] as const) {
    for (const cause of [...CAUSES, "frozen, network-lost", "toString"]) {
      for (const [number, channels] of CHANNELS.entries()) {
        for (const { files, partial } of FILES) {
          for (const bits of [0, 1, 2, 3, 4, 5, 6, 7]) {
            const outcome = {
              ...{ by, cause, reason: { code: cause, text: bits & 1 ? "had to go" : "" }, confirmed: !!(bits & 2) },
              ...{ channels: new Map(channels.map((one, at) => [`channel ${at}`, one])), unheard: !!(bits & 4) },
            };
            const name = number % 2 ? "Ben" : "";
            const notice = sentence(outcome as unknown as Outcome, name, files, partial);
            const receipt = { ...outcome, channels: Object.fromEntries(outcome.channels), files, partial, notice };
            assert.equal(ending(receipt as never, name), notice);
            count++;
          }
        }
      }
    }
  }
  assert.ok(count > 15_000, `${count}`);
});
