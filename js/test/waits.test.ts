/** Waits that must end, and those that must not: of files, streams, handlers and timers. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { digest } from "../src/hashing.js";
import { Session } from "../src/index.js";
import { browser } from "../src/platform.js";
import { encode, encodePieces } from "../src/protocol/folders.js";
import { Source } from "../src/session/files/parts.js";
import { memorySignaling } from "../src/signaling/memory.js";
import { Wire } from "./fakes.js";
import { hostile, pair } from "./pair.js";
import { VirtualTime } from "./time.js";

const CHUNK = 1024 * 1024;
const after = (time: VirtualTime, seconds: number) =>
  new Promise<void>((resolve) => void time.later(seconds, () => resolve()));

describe("files", () => {
  test("a file is not disturbed by the one before it on its channel that failed", async () => {
    const { time, a, b } = await pair();
    const got: Promise<unknown>[] = [];
    b.addEventListener("file", (file) => void got.push(file.accept().catch((error: Error) => error.message)));
    async function* camera() {
      yield new Uint8Array(CHUNK);
      await after(time, 2);
      throw new Error("camera gone");
    }
    const one = await time.until(a.sendFile(camera(), { name: "one" }));
    await assert.rejects(time.until(one.wait()), /camera gone/);
    assert.match((await time.until(got[0]!)) as string, /camera gone/);
    const two = await time.until(a.sendFile(new File([new Uint8Array(2 * CHUNK + 1).fill(2)], "two")));
    await time.until(two.wait(), 3600);
    assert.equal(((await got[1]!) as File).size, 2 * CHUNK + 1);
    await time.until(a.close());
  });

  test("streams that are silent and cancelled stop no other file, and are closed", async () => {
    const { time, a, b } = await pair();
    b.addEventListener("file", (file) => void file.accept().catch(() => undefined));
    let cancelled = 0;
    for (let n = 0; n < 8; n++) {
      const silent = new ReadableStream<Uint8Array>({ cancel: () => void cancelled++ });
      const never: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]: () => ({
          next: () => new Promise<never>(() => undefined),
          return: async () => ({ done: true, value: cancelled++ }),
        }),
      };
      const transfer = await time.until(a.sendFile(n % 2 ? silent : never, { name: "silent" }));
      await time.pass(0.5);
      transfer.cancel();
      await assert.rejects(time.until(transfer.wait()), /cancelled/);
    }
    const last = await time.until(a.sendFile(new File(["hello"], "last")));
    await time.until(last.wait(), 60);
    assert.equal(cancelled, 8);
    await time.until(a.close());
  });

  test("a stream that is refused is cancelled", async () => {
    const { time, a, b } = await pair();
    b.addEventListener("file", (file) => file.refuse("no"));
    let cancelled = false;
    const stream = new ReadableStream<Uint8Array>({ cancel: () => void (cancelled = true) });
    const transfer = await time.until(a.sendFile(stream, { name: "refused" }));
    await assert.rejects(time.until(transfer.wait()), /refused/);
    await time.pass(0.1);
    assert.ok(cancelled);
    await time.until(a.close());
  });

  test("one that was sent in large chunks can be sent in smaller ones", async () => {
    const file = new File([new Uint8Array(100_000).fill(7)], "film");
    const large = (await Source.of(file).chunk(0, 65536)).slice(-32);
    const small = (await Source.of(file).chunk(0, 16384)).slice(-32);
    assert.deepEqual(large, await digest(new Uint8Array(65536).fill(7)));
    assert.deepEqual(small, await digest(new Uint8Array(16384).fill(7)));
    assert.ok(Source.of(file).key(65536) !== Source.of(file).key(16384));
    assert.match(Source.of(file).key(65536), /^[0-9a-f]{32}$/);
  });

  test("what is here of a folder outlives a session that ends before its list is here", async () => {
    const chunk = 16384;
    const data = new Uint8Array(chunk).fill(3);
    const offer = { name: "f", size: 3 * chunk, channel: "file x", chunk, key: "cd".repeat(16), entries: 1 };
    const list = encode({ type: "entries", entries: [{ path: "a", size: 3 * chunk }], last: true });
    let have = "";
    for (const messages of [[list, encodePieces([{ n: 0, at: 0, data, hash: await digest(data) }])], [], [list]]) {
      const { time, a, b } = await pair();
      b.addEventListener("folder", (folder) => void folder.accept().catch(() => undefined));
      hostile(a, { id: "by hand", offer });
      const channel = await time.until(a.open("file x"));
      for (const message of messages) await time.until(channel.send(message));
      if (messages.length) have = (await time.until(channel.receive())) as string;
      await time.pass(1);
      await time.until(a.close({ timeout: 0 }));
      await time.pass(1);
    }
    assert.equal(JSON.parse(have).files[0].size, chunk);
  });
});

describe("handlers", () => {
  test("of a channel get what is here when the session ends, however slow they are, and its end", async () => {
    const { time, a, b } = await pair();
    const [here, there] = await time.until(Promise.all([a.open("c"), b.open("c")]));
    const heard: unknown[] = [];
    there.addEventListener("message", async (message) => {
      heard.push(message);
      await after(time, 2);
    });
    there.addEventListener("closed", () => void heard.push("closed"));
    for (const message of ["0", "1", "2"]) await time.until(here.send(message));
    assert.equal((await time.until(a.close())).clean, true);
    await time.pass(10);
    assert.deepEqual(heard.sort(), ["0", "1", "2", "closed"]);
    assert.deepEqual(there.handlers, []);
  });

  test("of a channel that never end are forgotten", async () => {
    const { time, a, b } = await pair();
    const [here, there] = await time.until(Promise.all([a.open("c"), b.open("c")]));
    there.addEventListener("message", () => new Promise(() => undefined));
    await time.until(here.send("0"));
    await time.until(a.close());
    await time.pass(10);
    assert.deepEqual(there.handlers, []);
  });

  test("one that asks somebody before it accepts a file holds up no other event", async () => {
    const { time, a, b } = await pair();
    const seen: string[] = [];
    b.addEventListener("file", async (file) => {
      seen.push(file.name);
      await after(time, 1);
      await file.accept().catch(() => undefined);
    });
    b.addEventListener("closing", () => void seen.push("closing"));
    for (const name of ["one", "two"]) {
      const never: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }),
      };
      await time.until(a.sendFile(never, { name }));
    }
    await time.pass(3);
    assert.deepEqual(seen, ["one", "two"]);
    const began = time.now;
    await time.until(a.close({ timeout: 8000 }));
    assert.equal(seen[2], "closing");
    assert.ok(time.now - began < 5, `${time.now - began} s`);
  });
});

for (const [what, onWait, granted] of [
  ["says true", () => true, true],
  ["promises something", async () => false, false],
] as const) {
  test(`an onWait that ${what} grants ${granted ? "" : "no "}time`, async () => {
    const time = new VirtualTime();
    const wire = new Wire(time);
    const [one, two] = memorySignaling();
    const more = { connect: () => wire.connect(), platform: time.platform() };
    const a = new Session({ ...more, signaling: one, role: "first", onWait: onWait as () => boolean }).start();
    const b = new Session({ ...more, signaling: two, role: "second" }).start();
    await time.until(Promise.all([a.waitOpen(), b.waitOpen()]));
    b.addEventListener("closing", async (event) => {
      event.wait(10_000, "saving");
      await after(time, 9);
    });
    const began = time.now;
    await time.until(a.close({ timeout: 3000 }));
    assert.equal(time.now - began > 5, granted);
  });
}

test("a timer of more than 24 days, or without an end, does not end at once", async () => {
  const called: string[] = [];
  const cancels = [30 * 86400, Number.POSITIVE_INFINITY].map((seconds) =>
    browser.later(seconds, () => void called.push(`${seconds}`)),
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(called, []);
  for (const cancel of cancels) cancel();
});
