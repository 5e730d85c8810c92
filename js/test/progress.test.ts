/** The steps of a close or a reset that a page watches; files by their names; what is still held, and who made it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProgressEvent } from "../src/index.js";
import { shellOf } from "../src/session/session.js";
import { pair } from "./pair.js";

const film = (size: number) => new File([new Uint8Array(size)], "film.mp4");

test("a close tells its steps, what is under way, and the time that is left", async () => {
  const { a, b, time } = await pair({ closingBound: 100_000 });
  const told: ProgressEvent[] = [];
  a.addEventListener("progress", (event) => void told.push(event));
  const [channel] = await time.until(Promise.all([a.open("chat"), b.open("chat")]));
  while (!shellOf(a).machine.watch) await time.until(Promise.resolve()); // the module that counts is loaded
  for (let n = 0; n < 6; n++) await channel.send(new Uint8Array(40_000));
  const receipt = await time.until(a.close({ timeout: 2000 }));
  assert.deepEqual([...new Set(told.map(({ step }) => step))].slice(0, 2), ["drain", "channels"]);
  const { sent } = receipt.channels["chat"]!;
  const last = told.at(-1)!;
  assert.ok(told[0]!.messages > 0 && told[0]!.timeout <= 2000);
  assert.ok(last.messages >= sent.unknown!.messages + sent.unsent!.messages);
  assert.ok(told.every(({ work, level, files }) => work === "close" && !level && !files.length));
});

test("a reset tells its level, and nothing is counted when nobody listens", async () => {
  const { a, time } = await pair();
  const { machine } = shellOf(a);
  assert.equal(machine.watch, undefined);
  const told: ProgressEvent[] = [];
  const hear = (event: ProgressEvent) => void told.push(event);
  a.addEventListener("progress", hear);
  while (!machine.watch) await time.until(Promise.resolve());
  await time.until(a.reset("full"));
  assert.ok(told.length && told.every(({ work, level }) => work === "reset" && level === "full"));
  a.removeEventListener("progress", hear);
  await time.until(a.reset());
  assert.equal(machine.watch, undefined);
});

test("a slow handler gets the newest step, and one of `closing` does not keep it back", async () => {
  const { a, b, time } = await pair();
  const seconds: number[] = [];
  const pause = (wait: number) => new Promise<void>((resolve) => void time.later(wait, resolve));
  b.addEventListener("closing", () => pause(3));
  b.addEventListener("progress", async ({ timeout }) => {
    seconds.push(timeout / 1000);
    await pause(1);
  });
  while (!shellOf(b).machine.watch) await time.until(Promise.resolve());
  await time.until(a.close({ timeout: 5000 }));
  assert.ok(seconds.length >= 2 && seconds.length <= 5, `${seconds}`);
});

test("a file that the end cuts off is named on both sides, and its pieces are not", async () => {
  const { a, b, time, wire } = await pair({ window: 2 << 20 });
  b.addEventListener("file", (file) => void file.accept().catch(() => undefined));
  const transfer = await a.sendFile(film(16 << 20));
  transfer.wait().catch(() => undefined);
  await time.until(
    new Promise<void>((resolve) =>
      transfer.addEventListener("progress", () => {
        wire.cut = true;
        resolve();
      }),
    ),
  );
  const receipt = await time.until(a.close({ timeout: 500 }));
  const [file] = receipt.partial;
  assert.equal(file?.name, "film.mp4");
  assert.ok(file?.sent && file.done > 0 && file.done < file.size);
  assert.match(receipt.notice, /^You left Ben\. \d+ % of film\.mp4 was sent\.$/);
  assert.ok(!receipt.clean);
  assert.deepEqual(Object.keys(receipt.channels), []);
  wire.heal();
  const there = await time.until(b.waitClosed());
  assert.match(there.notice, /\d+ % of film\.mp4 arrived/);
});

test("a file that arrived is named", async () => {
  const { a, b, time } = await pair();
  b.addEventListener("file", (file) => void file.accept());
  await time.until((await a.sendFile(film(1000))).wait());
  const receipt = await time.until(a.close());
  assert.equal(receipt.notice, "You left Ben. The file film.mp4 was delivered.");
  assert.ok(receipt.clean);
});

test("the ledger names each thing with the line that made it, until nothing is left", async () => {
  const { a, b, time } = await pair();
  a.addEventListener("state", () => undefined);
  await time.until(a.open("chat"));
  await a.sendFile(film(10));
  const words = String(a.ledger());
  for (const what of [
    /listener: of state of a session/,
    /channel: chat/,
    /transfer: film\.mp4/,
    /connection: 1/,
    /timer/,
  ]) {
    assert.match(words, what);
  }
  for (const { kind, where } of a.ledger().held) {
    if (kind !== "transfer" && kind !== "connection") assert.match(where, /progress\.test|pair\.|node:/, kind);
  }
  assert.throws(
    () => a.ledger().assertReleased(),
    /still held:\n- listener: of state of a session \(made at .*progress/,
  );
  await time.until(Promise.all([a.close(), b.waitClosed()]));
  await time.pass(2);
  a.ledger().assertReleased();
});

test("a hint that the network has changed renews the path at once", async () => {
  const { a, time } = await pair();
  const resets: string[] = [];
  a.addEventListener("reset", ({ level, report }) => void resets.push(report ? `${level} done` : level));
  a.hint("network-changed");
  await time.pass(1);
  assert.deepEqual(resets, ["ice", "ice done"]);
  assert.throws(() => a.hint("" as never), /hint must be "network-changed", not ""/);
  await time.until(a.close());
  a.hint("network-changed");
});
