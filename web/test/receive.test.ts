import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joined } from "node:path";
import { test } from "node:test";
import type { join } from "adieu-rtc";
import { fromHex, hex } from "../../js/src/bytes.js";
import { linkOf } from "../src/receive/link.js";
import { parse } from "../src/receive/messages.js";
import { fingerprintOf, linkMac, Pin } from "../src/receive/proof.js";
import { digestOfList, Receiving } from "../src/receive/receiving.js";
import { type Stored, safePath, zipped } from "../src/receive/zip.js";
import { settled } from "./browser.js";
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

/** What Python finds in a ZIP file: the number of its files, the first damaged one, the texts of the first few. */
async function unpacked(stored: Stored[], max?: number): Promise<[number, string | null, Record<string, string>]> {
  const folder = mkdtempSync(joined(tmpdir(), "adieu-zip-"));
  try {
    const file = joined(folder, "files.zip");
    writeFileSync(file, new Uint8Array(await (await zipped(stored, max)).arrayBuffer()));
    const program = `import json, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as found:
    names = found.namelist()
    texts = {name: found.read(name).decode() for name in names[:9]}
    print(json.dumps([len(names), found.testzip() if len(names) < 9 else None, texts]))`;
    const { PYTHON = process.platform === "win32" ? "python" : "python3" } = process.env;
    return JSON.parse(execFileSync(PYTHON, ["-c", program, file], { encoding: "utf-8" }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("other programs read a ZIP file, with wide numbers too", async () => {
  const texts = { "folder/é": "first", "folder/b": "x".repeat(300), "folder/c": "" };
  const stored = Object.entries(texts).map(([path, text]) => ({ path, file: new Blob([text]) }));
  for (const max of [undefined, 1, 5, 100, 400]) {
    assert.deepEqual(await unpacked(stored, max), [3, null, texts], `${max}`);
  }
});

test("a folder of more files than the first version of ZIP can count is packed whole", async () => {
  for (const count of [65535, 65536]) {
    const file = new Blob([]);
    const [found] = await unpacked(Array.from({ length: count }, (_, number) => ({ path: `f/${number}`, file })));
    assert.equal(found, count);
  }
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
    if ("large" in trouble) assert.equal(sender.sessions[0]!.timeout, 1000, "the sender hears why");
    if ("extra" in trouble) assert.deepEqual(sender.refused, Array(3).fill("not in the list"));
    if ("wrongProof" in trouble) assert.equal(sender.listed, 0);
  });
}

test("a browser without WebRTC says so, and the person can try again", async () => {
  const failing = { generateCertificate: () => Promise.reject(new DOMException("turned off", "NotSupportedError")) };
  for (const RTCPeerConnection of [undefined, failing]) {
    const sender = new FakeSender(FILES);
    Object.assign(globalThis, { RTCPeerConnection });
    const enter = sender.enter as unknown as typeof join;
    const model = new Receiving({ server: "ws://x/ws", link: sender.link, enter });
    await assert.rejects(model.begin());
    assert.equal(model.phase, "ready");
  }
});

test("the ICE servers are asked for again before their credentials expire, for open connections too", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  class FakeConnection {
    static generateCertificate = async () => ({});
    signalingState = "stable";
    constructor(public configuration: RTCConfiguration) {}
    async setRemoteDescription() {}
    getConfiguration() {
      return this.configuration;
    }
    setConfiguration(configuration: RTCConfiguration) {
      this.configuration = configuration;
    }
  }
  Object.assign(globalThis, { RTCPeerConnection: FakeConnection });
  let asked = 0;
  let leave = (_: Error) => {};
  const iceServers = async () => {
    if (++asked === 2) throw new Error("the server is away");
    return [[{ urls: "turn:x", username: `${asked}` }], 3600];
  };
  const session = () => new Promise((_, reject) => (leave = reject));
  const entered: Parameters<typeof join>[1][] = [];
  const enter = async (_: string, options: Parameters<typeof join>[1]) => {
    entered.push(options);
    return { client: { iceServers }, peers: [], session, close: async () => [] };
  };
  const link = { room: "x", key: new Uint8Array(16) };
  const model = new Receiving({ server: "ws://x/ws", link, enter: enter as unknown as typeof join });
  const over = model.begin();
  await settled();
  const [{ accept, connect }] = entered as [Required<Parameters<typeof join>[1]>];
  assert.ok(await accept({ meta: { "adieu send": "sender" } } as never));
  const user = (pc: RTCPeerConnection) => pc.getConfiguration().iceServers![0]!.username;
  const first = connect();
  assert.equal(user(first), "1");
  t.mock.timers.tick(2400_000);
  await settled();
  assert.equal(asked, 2);
  t.mock.timers.tick(30_000);
  await settled();
  assert.deepEqual([user(first), user(connect())], ["3", "3"]);
  leave(new Error("over"));
  await over;
  t.mock.timers.tick(3600_000);
  await settled();
  assert.equal(asked, 3, "it is not asked after the end");
});
