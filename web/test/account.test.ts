import assert from "node:assert/strict";
import { test } from "node:test";
import type { ChannelReceipt } from "adieu-rtc";
import { accounts } from "../src/model/account.js";

const total = (messages: number) => ({ messages, bytes: messages * 10 });
const account = (messages: number) => ({
  accepted: total(messages),
  delivered: total(messages),
  unread: total(1),
  unknown: total(0),
  unsent: total(0),
});

test("channels of files are one row, and what is unknown stays unknown", () => {
  const channel = (messages: number): ChannelReceipt => ({
    sent: account(messages),
    received: account(1),
    reliable: true,
  });
  const unsure = channel(4);
  unsure.sent.unsent = null;
  const rows = accounts({ channels: { chat: channel(2), "file a 1": channel(3), "file b 1": unsure } });
  assert.deepEqual(
    rows.map(([name, totals]) => [name, totals.map((one) => one?.messages ?? null)]),
    [
      ["chat", [2, 2, 1, 0, 0, 1, 1]],
      ["pieces of files", [7, 7, 2, 0, null, 2, 2]],
    ],
  );
});
