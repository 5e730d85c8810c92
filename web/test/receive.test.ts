import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { join } from "adieu-rtc";
import { fromHex, hex } from "../../js/src/bytes.js";
import { linkOf } from "../src/receive/link.js";
import { parse } from "../src/receive/messages.js";
import { fingerprintOf, linkMac, Pin } from "../src/receive/proof.js";
import { digestOfList, Receiving } from "../src/receive/receiving.js";
import { safePath } from "../src/receive/zip.js";
import { FakeSender } from "./sender.js";

// The tests are built into web/build.
const VECTORS = JSON.parse(readFileSync(new URL("../../vectors/sending/link.json", import.meta.url), "utf-8"));

test("links, proofs and digests are those of the program", () => {
  const { link, room, key, fingerprints, macs, entries, proofs, digest } = VECTORS;
  const read = linkOf(new URL(link))!;
  assert.deepEqual([read.room, hex(read.key)], [room, key]);
  for (const who of ["sender", "receiver"] as const) {
    assert.equal(hex(linkMac(fromHex(key), who, fingerprints.sender, fingerprints.receiver)), macs[who]);
  }
  const list = entries.map(([path, size]: [string, number]) => ({ path, size }));
  const known = new Map(Object.entries(proofs as Record<string, string>).map(([number, proof]) => [+number, proof]));
  assert.equal(digestOfList(list, known), digest);
});

test("a room is no link, and a link that was pasted as a room is one", () => {
  for (const hash of ["", "#lab", "#receive/a", "#receive/a/short", `#receive/A/${"A".repeat(22)}`]) {
    assert.equal(linkOf({ hash }), undefined, hash);
  }
  assert.ok(linkOf({ hash: `#${encodeURIComponent(`receive/a/${"A".repeat(22)}`)}` }));
});

test("a description has one fingerprint, or it is refused", () => {
  const line = (value: string, name = "sha-256") => `a=fingerprint:${name} ${value}\r\n`;
  const one = Array.from({ length: 32 }, () => "0F").join(":");
  assert.equal(fingerprintOf({ sdp: line(one) + line(one.toLowerCase()) }), "0f".repeat(32));
  const wrong = ["", line(one, "sha-1"), line(one) + line(one.replace("0F", "0E")), line(one) + line(one, "sha-512")];
  for (const sdp of wrong) assert.throws(() => fingerprintOf({ sdp }), /somebody is between/);
  assert.throws(() => fingerprintOf(undefined));
});

test("after the proof another certificate is refused, and a connection that has one is closed", async () => {
  const made: FakeConnection[] = [];
  class FakeConnection {
    signalingState = "stable";
    remoteDescription: { sdp: string } | null = null;
    constructor() {
      made.push(this);
    }
    async setRemoteDescription(description: { sdp: string }) {
      this.remoteDescription = description;
    }
    close() {
      this.signalingState = "closed";
    }
  }
  Object.assign(globalThis, { RTCPeerConnection: FakeConnection });
  const sdp = (digit: string) => ({ sdp: `a=fingerprint:sha-256 ${Array(32).fill(digit).join(":")}` }) as never;
  const pin = new Pin({} as RTCCertificate);
  for (const digit of ["AA", "BB"]) await pin.connection([]).setRemoteDescription(sdp(digit));
  pin.set("aa".repeat(32));
  assert.deepEqual(
    made.map(({ signalingState }) => signalingState),
    ["stable", "closed"],
  );
  const later = pin.connection([]);
  await assert.rejects(later.setRemoteDescription(sdp("BB")), { name: "OperationError" });
  await later.setRemoteDescription(sdp("AA"));
  pin.clear();
  await pin.connection([]).setRemoteDescription(sdp("BB"));
});

test("malformed messages of the sender are refused", () => {
  const long = JSON.stringify({ type: "entries", last: true, entries: Array(201).fill(["a", 1]) });
  for (const text of [
    "",
    "{}",
    "[]",
    "?",
    "null",
    '{"type":"have"}',
    '{"type":"done","digest":"x"}',
    long,
    '{"type":"entries","entries":[["",1]],"last":true}',
    '{"type":"entries","entries":[["a",-2]],"last":true}',
    '{"type":"entries","entries":[["a",1.5]],"last":true}',
    '{"type":"entries","entries":[null],"last":true}',
    '{"type":"missing","files":[-1],"last":true}',
    '{"type":"missing","files":[0]}',
    `{"type":"failed","text":"${"x".repeat(501)}"}`,
    '{"type":"confirm"}',
  ]) {
    // biome-ignore format: a list
    assert.throws(() => parse(text), /does not understand/, text);
  }
  assert.deepEqual(parse('{"type":"entries","entries":[["a",1,420,5],["b",-1]],"last":true}'), {
    type: "entries",
    last: true,
    whole: false,
    entries: [
      { path: "a", size: 1 },
      { path: "b", size: -1 },
    ],
  });
});

test("a path in a ZIP file stays below its folder", () => {
  const paths = { "../../etc/passwd": "file/file/etc/passwd", "/etc/passwd": "file/etc/passwd", "a/../b": "a/file/b",
    "a/.git/config": "a/.git/config", ".ssh/keys": "ssh/keys", "a\\..\\b": "b", "a/CON/x": "a/_CON/x" }; // biome-ignore format: a list
  for (const [path, safe] of Object.entries(paths)) assert.equal(safePath(path), safe);
});

const FILES = { "folder/a": "first", "folder/b": "second", "folder/c": "" };

async function receiving(sender: FakeSender, to?: FileSystemDirectoryHandle): Promise<Receiving> {
  sender.install();
  const model = new Receiving({
    server: "ws://x/ws",
    link: sender.link,
    enter: sender.enter as unknown as typeof join,
  });
  await model.begin(to ? { to } : {});
  return model;
}

test("everything arrives, and both hold the receipt", async () => {
  const sender = new FakeSender(FILES);
  const model = await receiving(sender);
  assert.deepEqual([model.phase, model.why], ["done", ""]);
  const texts = await Promise.all(model.items.map(({ file }) => file!.text()));
  assert.deepEqual(texts, ["first", "second", ""]);
  assert.equal(model.receipt, sender.sessions[0]!.id);
  assert.deepEqual([model.done, model.size], [11, 11]);
});

test("after a lost session only what is missing is sent again", async () => {
  const sender = new FakeSender(FILES, { endsAfter: 1 });
  const model = await receiving(sender);
  assert.equal(model.phase, "done");
  assert.deepEqual(sender.sent, [["0"], ["1", "2"]]);
  assert.deepEqual(sender.claimed, [[], [0]]);
});

test("a file that is another one by now is sent again", async () => {
  const sender = new FakeSender(FILES, { endsAfter: 1, changes: true });
  const model = await receiving(sender);
  assert.equal(model.phase, "done");
  assert.deepEqual(sender.sent, [["0"], ["0", "1", "2"]]);
});

const FOLDER = { "folder/": "", ...FILES };

test("one folder comes in one transfer", async () => {
  const sender = new FakeSender(FOLDER, { whole: true });
  const model = await receiving(sender);
  assert.deepEqual([model.phase, model.why], ["done", ""]);
  assert.deepEqual(sender.sent, [["folder"]]);
  assert.deepEqual(sender.claimed, [[]]);
  const texts = await Promise.all(model.items.map(async ({ path, file }) => [path, await file!.text()]));
  assert.deepEqual(Object.fromEntries(texts), FILES);
  assert.deepEqual([model.done, model.size, model.isSaved], [11, 11, false]);
  assert.deepEqual(
    model.items.map(({ done }) => done),
    [5, 6, 0],
  );
});

test("a folder goes to a new one on the disk, where the next attempt goes on", async () => {
  const made: string[] = [];
  const taken = { folder: "TypeMismatchError", "folder (1)": "" };
  const disk = {
    getFileHandle: async (name: keyof typeof taken) => {
      if (taken[name] !== "") throw new DOMException("", taken[name] ?? "NotFoundError");
    },
    getDirectoryHandle: async (name: string) => made.push(name) && { name },
  } as unknown as FileSystemDirectoryHandle;
  const sender = new FakeSender(FOLDER, { whole: true, endsAfter: 1 });
  const model = await receiving(sender, disk);
  assert.deepEqual([model.phase, model.isSaved], ["done", true]);
  assert.deepEqual(made, ["folder (2)"]);
  assert.deepEqual(sender.places, [{ name: "folder (2)" }, { name: "folder (2)" }]);
});

for (const [what, trouble] of Object.entries({ count: { otherCount: true }, size: { otherSize: true } })) {
  test(`a folder of another ${what} than the list is refused`, async () => {
    const sender = new FakeSender(FOLDER, { whole: true, ...trouble });
    const model = await receiving(sender);
    assert.deepEqual(sender.refused, ["not in the list"]);
    assert.equal(model.phase, "done", "the right one is taken");
  });
}

test("files of another size than the list are not kept", async () => {
  const model = await receiving(new FakeSender(FOLDER, { whole: true, otherFiles: true }));
  assert.deepEqual([model.phase, model.why], ["failed", "not in the list"]);
  assert.ok(model.items.every(({ file }) => !file));
});

for (const [name, trouble, why] of [
  ["a sender that cannot prove itself gets no list out of this page", { wrongProof: true }, /somebody is between/],
  ["the words of a sender that has proved nothing are not shown", { stranger: true }, /somebody is between/],
  ["a file that is not in the list is refused", { extra: true }, /^$/],
  ["different hashes are a failure", { wrongDigest: true }, /list of hashes differs/],
  ["an end that is not confirmed is no success", { unconfirmed: true }, /not confirmed/],
  ["a sender that says it is done too early is not believed", { early: true }, /files are missing/],
  ["a file too large for a browser is not begun", { large: true }, /too large for a browser/],
  ["a list too long to hold is refused", { longPaths: true }, /more than 100000 entries/],
  ["the words of a sender that fails are cleaned", { odd: true }, /^bad news$/],
] as const) {
  test(name, async () => {
    const sender = new FakeSender(FILES, trouble);
    const model = await receiving(sender);
    assert.match(model.why, why);
    assert.equal(model.phase, "extra" in trouble ? "done" : "failed");
    if ("extra" in trouble) assert.deepEqual(sender.refused, Array(3).fill("not in the list"));
    if ("wrongProof" in trouble) assert.equal(sender.listed, 0);
  });
}
