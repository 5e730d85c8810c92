/** The flight recorder: one format in both languages, bounded, without secrets; attached to what tells of trouble. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ResetFailedError, SessionClosedError, UndeliveredError } from "../src/index.js";
import { Recorder } from "../src/session/recorder.js";
import { recordingOf } from "../src/session/recording.js";
import { pair } from "./pair.js";
import { vectors } from "./vectors.js";

for (const { name, head, notes, recording } of vectors("recorder/recordings")) {
  test(`a recording is what the vector says: ${name}`, () => {
    const recorder = new Recorder();
    for (const [when, mark, note] of notes) recorder.note(when, mark, note);
    const receipt = head.receipt && { toJSON: () => ({ ...head.receipt, agreed: {}, files: [], partial: [] }) };
    const { began, program, ...made } = JSON.parse(JSON.stringify(recordingOf(recorder, head, receipt)));
    assert.deepEqual(made, recording);
    assert.equal(program, "browser");
    assert.equal(began > 1.6e9, notes.length > 0);
  });
}

test("a recorder is a ring, and counts what it drops", () => {
  const recorder = new Recorder();
  for (let n = 0; n < 6000; n++) recorder.note(n, "=", { type: "made" });
  const head = { session: "", me: "", peer: "" };
  const { lines, dropped } = recordingOf(recorder, head, undefined);
  assert.deepEqual([lines.length, dropped, lines.at(-1)![0]], [2000, 4000, 5999]);
  recorder.note(6000, ">", `{"type":"ping","n":1}${" ".repeat(2048)}`);
  assert.deepEqual(recordingOf(recorder, head, undefined).lines.at(-1)![2], { type: "unreadable", characters: 2069 });
});

test("a session has its recording at any time, with its receipt once it has ended", async () => {
  const { a, b, time } = await pair();
  const [channel] = await time.until(Promise.all([a.open("chat"), b.open("chat")]));
  await channel.send("a secret of Ada");
  await time.until(a.reset());
  const before = await a.recording();
  assert.deepEqual([before.session, before.me, before.peer, before.receipt], [a.id, a.me, a.peer, null]);
  const receipt = await time.until(a.close("done"));
  assert.ok(receipt.clean && receipt.recording === undefined);
  const recording = await a.recording();
  assert.equal(recording.receipt?.["id"], receipt.id);
  assert.equal("agreed" in recording.receipt!, false);
  const types = recording.lines.map(([, , { type }]) => type);
  for (const type of [
    "made",
    "hello",
    "StateChanged",
    "ChannelOpened",
    "askReset",
    "ResetEnded",
    "askClose",
    "notice",
  ]) {
    assert.ok(types.includes(type), type);
  }
  const text = JSON.stringify([recording, await b.recording()]);
  for (const secret of ["a secret of Ada", "a=ice-pwd", "candidate:", "fingerprint"]) assert.ok(!text.includes(secret));
});

test("what tells of trouble has the recording", async () => {
  const { a, b, time, wire } = await pair();
  const [channel] = await time.until(Promise.all([a.open("chat"), b.open("chat")]));
  wire.cut = true;
  const sent = await channel.send("nobody hears it");
  const delivered = sent.delivered().catch((error) => error);
  const receipt = await time.until(a.close({ timeout: 300 }));
  assert.ok(!receipt.clean);
  assert.equal((await receipt.recording!()).receipt?.["id"], receipt.id);
  assert.equal(new SessionClosedError("ended", receipt).recording, receipt.recording);
  assert.equal("recording" in receipt.toJSON(), false);
  const error = await time.until(delivered);
  assert.ok(error instanceof UndeliveredError);
  assert.equal((await error.recording!()).session, a.id);
});

test("a reset that failed has the recording", async () => {
  const { a, time, wire } = await pair();
  wire.cut = true;
  const error = await time.until(a.reset().catch((error) => error));
  assert.ok(error instanceof ResetFailedError || error instanceof SessionClosedError);
  assert.ok((await error.recording!()).lines.some(([, , { type }]) => type === "askReset"));
});
