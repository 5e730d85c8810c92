import assert from "node:assert/strict";
import { test } from "node:test";
import {
  couldNotJoin,
  counted,
  deviceTrouble,
  fileSize,
  joinTrouble,
  list,
  type Standing,
  seconds,
  standing,
  summary,
} from "../src/model/words.js";

const ben = (state: Standing["state"], cause = ""): Standing => ({ name: "Ben", state, cause });
const well = { online: true, server: true };

test("each state of a session is said in words", () => {
  assert.equal(standing(ben("recovering", "network-lost")).text, "Ben’s network dropped, trying again …");
  assert.equal(standing(ben("suspect")).text, "Ben has not answered for a moment …");
  for (const state of ["connecting", "open", "suspect", "recovering", "resetting", "closing", "closed"] as const) {
    assert.match(standing(ben(state, "no such cause")).text, /Ben/);
    assert.match(standing({ name: "", state, cause: "" }).text, /other side/i);
  }
});

test("a name is not taken for a pattern", () => {
  assert.equal(standing({ ...ben("recovering", "busy"), name: "$&" }).text, "$&’s program is busy, waiting for it …");
});

test("the most urgent is said first", () => {
  const ada: Standing = { name: "Ada", state: "open", cause: "" };
  assert.equal(summary([], well).text, "Nobody else is here yet.");
  assert.equal(summary([ada, { ...ada, name: "Cy" }], well).text, "Connected with Ada and Cy.");
  assert.match(summary([ada, ben("recovering", "crashed")], well).text, /^Ben’s program ended/);
  assert.match(summary([ada, ben("connecting")], well).text, /^Ben is here/);
});

test("a network that is this person's own is called so", () => {
  assert.match(summary([ben("recovering", "network-lost")], { online: true, server: false }).text, /^Your network/);
  assert.match(summary([ben("open")], { online: false, server: true }).text, /^You are offline/);
});

test("a server that is away ends nothing, and is told", () => {
  assert.match(
    summary([ben("open")], { online: true, server: false }).text,
    /^Connected with Ben\. The server is away/,
  );
  assert.match(summary([], { online: true, server: false }).text, /^The server is away/);
});

test("what is wrong with a device says what to do", () => {
  for (const state of ["denied", "missing", "busy", "unplugged", "blocked"] as const) {
    assert.match(deviceTrouble("video", state), /camera/);
    assert.match(deviceTrouble("audio", state), /microphone/);
  }
  for (const state of ["off", "asking", "on", "muted"] as const) assert.equal(deviceTrouble("video", state), "");
});

test("who is not let in learns why", () => {
  const refused = (code: number | string) => ({ name: "SignalingRefusedError", code, message: "no" });
  assert.equal(joinTrouble(refused(3500)), "unauthorized");
  assert.equal(joinTrouble(refused("denied")), "denied");
  assert.equal(joinTrouble(refused("room-full")), "full");
  assert.equal(joinTrouble({ name: "SignalingLostError" }), "away");
  assert.match(couldNotJoin("away", undefined), /does not answer/);
  assert.match(couldNotJoin("other", new Error("something new")), /something new/);
});

test("numbers for people", () => {
  assert.equal(counted(1, "message"), "1 message");
  assert.equal(counted(3, "unsent message"), "3 unsent messages");
  assert.equal(fileSize(0), "0 bytes");
  assert.equal(fileSize(999), "999 bytes");
  assert.equal(fileSize(3_100_000), "3.1 MB");
  assert.equal(fileSize(999_999), "1.0 MB");
  assert.equal(fileSize(25_000_000), "25 MB");
  assert.equal(seconds(0.012), "12 ms");
  assert.equal(seconds(0.31), "0.3 seconds");
  assert.equal(seconds(12.4), "12 seconds");
  assert.equal(list([]), "");
  assert.equal(list(["Ada", "Ben", "Cy"]), "Ada, Ben and Cy");
});
