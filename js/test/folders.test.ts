/** Folders and streams, over connections of this process, on virtual time; and the vectors of both languages. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { concat, fromHex, hex } from "../src/bytes.js";
import { digest } from "../src/hashing.js";
import type { IncomingFolder, Session } from "../src/index.js";
import { CHUNK } from "../src/protocol/control.js";
import { decode, decodePieces, encode, encodePieces, type Piece, proofOf } from "../src/protocol/folders.js";
import type { FolderEntry } from "../src/protocol/messages.js";
import { excludes } from "../src/session/files/excludes.js";
import { Manifest, numbered, pages } from "../src/session/files/manifest.js";
import { shellOf } from "../src/session/session.js";
import { hostile, pair, wordsOf } from "./pair.js";
import { vectors } from "./vectors.js";

type Bytes = Uint8Array<ArrayBuffer>;
/** Virtual seconds: hashing takes real time, and a busy machine a lot of it. */
const HOUR = 3600;

function bytes(size: number, seed = 1): Bytes {
  const data = new Uint32Array(Math.ceil(size / 4));
  for (let n = 0; n < data.length; n++) data[n] = Math.imul(n + seed, 2654435761);
  return new Uint8Array(data.buffer, 0, size);
}

function file(path: string, data: Bytes, lastModified = 1_600_000_000_123): File {
  const made = new File([data], path.split("/").at(-1)!, { lastModified });
  return Object.defineProperty(made, "webkitRelativePath", { value: path });
}

test("a numbered name has a bound, and keeps its end", () => {
  assert.equal(numbered("film.mp4", 2), "film (2).mp4");
  assert.equal(numbered(".hidden", 1), ".hidden (1)");
  const long = numbered(`${"ä".repeat(300)}.jpg`, 12);
  assert.ok(new TextEncoder().encode(long).length <= 255, long);
  assert.match(long, /ä \(12\)\.jpg$/);
  assert.ok(numbered(`a.${"x".repeat(300)}`, 1).length <= 255);
});

const PHOTOS = { "a.txt": 5, empty: 0, ".hidden": 3, "deep/er/x.bin": CHUNK + 7, "deep/y": 1, "large.bin": 3 * CHUNK };
const photos = () => Object.entries(PHOTOS).map(([path, size], n) => file(`photos/${path}`, bytes(size, n)));

async function content(files: Map<string, File>): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [path, one] of files) found[path] = hex(await digest(new Uint8Array(await one.arrayBuffer())));
  return found;
}

const wanted = async () =>
  content(new Map(photos().map((one) => [one.webkitRelativePath.replace("photos/", ""), one])));

describe("vectors", () => {
  test("patterns leave out what they say", () => {
    for (const { patterns, out, in: kept } of vectors("files/excludes")) {
      const excluded = excludes(patterns);
      const left = (path: string) => excluded(path.replace(/\/$/, ""), path.endsWith("/"));
      for (const path of out) assert.ok(left(path), `${patterns}: ${path}`);
      for (const path of kept) assert.ok(!left(path), `${patterns}: ${path}`);
    }
    assert.throws(() => excludes(["[z-a]"]), { name: "TypeError", message: /no pattern/ });
    assert.throws(() => excludes("*.pyc" as never), { name: "TypeError" });
  });

  function taken(entries: FolderEntry[]): Manifest {
    const manifest = new Manifest(
      entries.length,
      entries.reduce((sum, { size }) => sum + (size ?? 0), 0),
    );
    for (const text of pages(entries)) manifest.add(text, decode(text) as never);
    return manifest;
  }

  const { valid, invalid } = vectors("files/manifests");
  for (const { name, entries, paths } of valid) {
    test(`a manifest: ${name}`, () => assert.deepEqual(taken(entries).paths, paths));
  }
  for (const { name, entries, why } of invalid) {
    test(`no manifest: ${name}`, () => assert.throws(() => taken(entries), { message: new RegExp(why) }));
  }

  const protocol = vectors("protocol/folders");
  test("texts and pieces are read and written the same, and refused the same", async () => {
    for (const { json } of protocol.valid) assert.equal(encode(decode(json)), json);
    for (const { name, json } of protocol.invalid) assert.throws(() => decode(json), TypeError, name);
    for (const { hex: text, pieces } of protocol.pieces) {
      const read = decodePieces(fromHex(text));
      assert.deepEqual(
        read.map(({ n, at, data }) => [n, at, hex(data)]),
        pieces,
      );
      assert.equal(hex(encodePieces(read)), text);
      for (const { data, hash } of read) assert.equal(hex(await digest(data.slice())), hex(hash));
    }
    for (const { name, hex: text } of protocol.wrong) {
      assert.throws(() => decodePieces(fromHex(text)), TypeError, name);
    }
    const { manifest, files, proof } = protocol.proof;
    assert.equal(proofOf(fromHex(manifest), files.map(fromHex)), proof);
  });
});

describe("folders", () => {
  function taking(session: Session, options?: never): Promise<Map<string, File> | Error>[] {
    const results: Promise<Map<string, File> | Error>[] = [];
    session.addEventListener("folder", (folder) => {
      results.push(folder.accept(options).catch((error: Error) => error));
    });
    return results;
  }

  test("files from before 1970 and from far years arrive", async () => {
    const { time, a, b } = await pair();
    const results = taking(b);
    const odd = [file("odd/old", bytes(5), -86_400_000), file("odd/far", bytes(6), 8.64e15)];
    const transfer = await time.until(a.sendFolder(odd));
    await time.until(transfer.wait(), HOUR);
    assert.deepEqual([...((await results[0]) as Map<string, File>).keys()].sort(), ["far", "old"]);
    assert.equal(a.state, "open");
  });

  test("one arrives with all that is in it, and both receipts name it", async () => {
    const { time, a, b } = await pair();
    const offers: IncomingFolder[] = [];
    b.addEventListener("folder", (folder) => void offers.push(folder));
    const results = taking(b);
    const transfer = await time.until(a.sendFolder(photos()));
    await time.until(transfer.wait(), HOUR);
    const got = (await results[0]) as Map<string, File>;
    assert.deepEqual(await content(got), await wanted());
    assert.equal(got.get("a.txt")!.lastModified, 1_600_000_000_123);
    const { name, count, size, done, proof } = offers[0]!;
    assert.deepEqual([name, count, size, done, proof], ["photos", 8, transfer.size, transfer.size, transfer.proof]);
    const receipt = await time.until(a.close());
    assert.deepEqual(receipt.files, [{ name: "photos", size, proof, sent: true, files: 6 }]);
    assert.deepEqual(b.receipt!.files, [{ name: "photos", size, proof, sent: false, files: 6 }]);
  });

  test("patterns leave files out", async () => {
    const { time, a, b } = await pair();
    const results = taking(b);
    await time.until((await time.until(a.sendFolder(photos(), { exclude: ["*.bin", ".*"] }))).wait(), HOUR);
    assert.deepEqual([...((await results[0]) as Map<string, File>).keys()].sort(), ["a.txt", "deep/y", "empty"]);
    await time.until(a.close());
  });

  test("an answer that cannot be is refused, and the offer stays", async () => {
    const { time, a, b } = await pair();
    const got = new Promise<Map<string, File>>((resolve, reject) => {
      b.addEventListener("folder", (folder) => {
        const wrong = { exists: "replace", to: undefined } as never;
        const message = 'exists must be "rename" or "overwrite" or "skip", not "replace"';
        assert
          .rejects(folder.accept(wrong), { name: "TypeError", message })
          .then(() => folder.accept())
          .then(resolve, reject);
      });
    });
    await time.until((await time.until(a.sendFolder(photos()))).wait(), HOUR);
    assert.equal((await got).size, 6);
    await time.until(a.close());
  });

  test("many small files share messages", async () => {
    const { time, a, b } = await pair();
    const results = taking(b);
    const many = Array.from({ length: 600 }, (_, n) => file(`many/${n}`, bytes(50, n)));
    await time.until((await time.until(a.sendFolder(many))).wait(), HOUR);
    assert.equal(((await results[0]) as Map<string, File>).size, 600);
    const [channel] = [...shellOf(a).machine.channels].filter(([name]) => name.startsWith("file "));
    assert.ok(channel![1].sender.accepted.messages < 10);
    await time.until(a.close());
  });

  test("one that was cut off goes on at the chunk", async () => {
    const { time, a, b } = await pair();
    const ended = new Promise<Error>((resolve) => {
      b.addEventListener("folder", (folder) => {
        folder.addEventListener("progress", () => {
          if (folder.done > 2 * CHUNK) void a.close({ timeout: 0 });
        });
        folder.accept().catch(resolve);
      });
    });
    const large = () => [...photos(), file("photos/z.bin", bytes(12 * CHUNK, 9))];
    await time.until(a.sendFolder(large()));
    assert.match((await time.until(ended, HOUR)).message, /ended/);
    const again = await pair();
    const begun: number[] = [];
    again.b.addEventListener("folder", (folder) => {
      folder.addEventListener("progress", () => void begun.push(folder.done));
    });
    const results = taking(again.b);
    const transfer = await again.time.until(again.a.sendFolder(large()));
    await again.time.until(transfer.wait(), HOUR);
    assert.ok(begun[0]! > CHUNK, `${begun[0]}`);
    assert.equal(((await results[0]) as Map<string, File>).get("z.bin")!.size, 12 * CHUNK);
    await again.time.until(again.a.close());
  });

  test("a page that handles files alone refuses folders; a peer of the version before gets none", async () => {
    const { time, a, b } = await pair();
    b.addEventListener("file", () => assert.fail("a folder is no file"));
    const transfer = await time.until(a.sendFolder(photos()));
    await assert.rejects(time.until(transfer.wait()), /no handler for f/);
    const old = await pair({ capabilities: ["channels1", "credit2", "files2", "unread1"] });
    const refused = await old.time.until(old.a.sendFolder(photos()));
    await assert.rejects(old.time.until(refused.wait()), /neither folders nor streams/);
    await time.until(a.close());
    await old.time.until(old.a.close());
  });
});

describe("streams", () => {
  for (const size of [0, 5, CHUNK, 2 * CHUNK + 9]) {
    test(`of ${size} bytes arrive as files`, async () => {
      const { time, a, b } = await pair();
      const got: Promise<File>[] = [];
      b.addEventListener("file", (one) => {
        assert.ok(one.stream);
        got.push(one.accept());
      });
      const data = bytes(size);
      async function* parts() {
        for (let at = 0; at < size; at += 70_001) yield data.subarray(at, at + 70_001);
      }
      const transfer = await time.until(a.sendFile(parts(), { name: "made.bin" }));
      await time.until(transfer.wait(), HOUR);
      const whole = await got[0]!;
      assert.deepEqual([whole.name, whole.size, transfer.size], ["made.bin", size, size]);
      assert.deepEqual(new Uint8Array(await whole.arrayBuffer()), new Uint8Array(data));
      await time.until(a.close());
    });
  }

  test("a file goes into a stream as it comes, and no byte is kept in the page", async () => {
    const { time, a, b } = await pair();
    const parts: Uint8Array[] = [];
    let closed = false;
    const to = new WritableStream<Uint8Array>({
      write: (part) => void parts.push(part),
      close: () => void (closed = true),
    });
    const got = new Promise<unknown>((resolve) => b.addEventListener("file", (one) => resolve(one.accept({ to }))));
    const transfer = await time.until(a.sendFile(new File([bytes(3 * CHUNK + 5)], "film")));
    await time.until(transfer.wait(), HOUR);
    assert.equal(await got, undefined);
    assert.ok(closed);
    assert.deepEqual(concat(parts), new Uint8Array(bytes(3 * CHUNK + 5)));
    await time.until(a.close());
  });
});

describe("a peer that lies", () => {
  const one: FolderEntry = { path: "a", size: CHUNK + 1 };
  const two: FolderEntry = { path: "b", size: 3 };
  const list = (...entries: FolderEntry[]) => encode({ type: "entries", entries, last: true });
  const piece = async (n: number, at: number, data: Bytes): Promise<Piece> => ({
    n,
    at,
    data,
    hash: await digest(data),
  });
  const data = bytes(CHUNK);
  const abc = new Uint8Array([1, 2, 3]);
  const lies: Record<string, () => Promise<(string | Bytes)[]>> = {
    "a hash": async () => [encodePieces([{ ...(await piece(0, 0, data)), hash: new Uint8Array(32) }])],
    "a later file first": async () => [encodePieces([await piece(1, 0, abc)])],
    "a later piece first": async () => [encodePieces([await piece(0, CHUNK, abc.slice(0, 1))])],
    "a piece twice": async () => [encodePieces([await piece(0, 0, data), await piece(0, 0, data)])],
    "a short piece": async () => [encodePieces([await piece(0, 0, data.slice(1))])],
    "an entry that is not there": async () => [encodePieces([await piece(2, 0, abc)])],
    "a proof": async () => [
      encodePieces([await piece(0, 0, data), await piece(0, CHUNK, abc.slice(0, 1))]),
      encodePieces([await piece(1, 0, abc)]),
      encode({ type: "proof", proof: "0".repeat(64) }),
    ],
    "a missing file": async () => [encode({ type: "proof", proof: "0".repeat(64) })],
    rubbish: async () => [new Uint8Array([5, 1, 2])],
    nothing: async () => [new Uint8Array()],
    "another text": async () => [list(one)],
  };
  const lists: Record<string, string> = {
    "a way out": list({ path: "../a", size: CHUNK + 1 }, two),
    "more than offered": list(one, two, { path: "c", size: 0 }),
    "less than offered": list(one),
    "larger than offered": list(one, { path: "b", size: 4 }),
    "no list": "{}",
  };
  for (const name of [...Object.keys(lies), ...Object.keys(lists)]) {
    test(`of ${name} gets an error, and the session goes on`, async () => {
      const { time, a, b } = await pair();
      const results: Promise<unknown>[] = [];
      b.addEventListener("folder", (folder) => void results.push(folder.accept().catch((error: Error) => error)));
      const offer = { name: "f", size: CHUNK + 4, channel: "file x", chunk: CHUNK, key: "ab".repeat(16), entries: 2 };
      hostile(a, { id: "by hand", offer });
      const channel = await time.until(a.open("file x"));
      const messages = name in lies ? [list(one, two), ...(await lies[name]!())] : [lists[name]!];
      for (const message of messages) await time.until(channel.send(message));
      await time.pass(1);
      const error = (await time.until(results[0]!)) as Error;
      assert.equal(error.name, "TransferError");
      assert.equal(b.state, "open");
      await time.until(a.close({ timeout: 1000 }));
    });
  }

  test("of a million names is refused at once", async () => {
    const { time, a, b } = await pair();
    b.addEventListener("folder", () => assert.fail("it is refused before"));
    const said = wordsOf(b);
    const offer = { name: "f", size: 4, channel: "file x", chunk: CHUNK, key: "ab".repeat(16), entries: 1_000_000 };
    hostile(a, { id: "x", offer });
    await time.pass(1);
    assert.match(said[0]!.refuse!, /1000000 files; 100000 at most/);
    await time.until(a.close());
  });
});
