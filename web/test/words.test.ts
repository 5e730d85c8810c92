import assert from "node:assert/strict";
import { test } from "node:test";
import type { Account, ChannelReceipt } from "adieu-rtc";
import type { DeviceState, Kind } from "../src/model/devices.js";
import {
  couldNotJoin,
  deviceTroubles,
  fileSize,
  joinTrouble,
  list,
  parting,
  type Standing,
  seconds,
  short,
  standing,
  summary,
} from "../src/model/words.js";

const ben = (state: Standing["state"], cause = "", silent = 0): Standing => ({ label: "Ben", state, cause, silent });
const well = { online: true, server: true };

test("each state of a session is said in words", () => {
  assert.equal(standing(ben("recovering", "network-lost")).text, "Ben’s network dropped, trying again …");
  assert.equal(standing(ben("suspect")).text, "Ben has not answered for a moment …");
  for (const state of ["connecting", "open", "suspect", "recovering", "resetting", "closing", "closed"] as const) {
    assert.match(standing(ben(state, "no such cause")).text, /Ben/);
    assert.match(standing({ label: "", state, cause: "" }).text, /other side/i);
  }
});

test("a name is not taken for a pattern", () => {
  assert.equal(standing({ ...ben("recovering", "busy"), label: "$&" }).text, "$&’s program is busy, waiting for it …");
});

test("the most urgent is said first", () => {
  const ada: Standing = { label: "Ada", state: "open", cause: "" };
  assert.equal(summary([], well).text, "Nobody else is here yet.");
  assert.equal(summary([ada, { ...ada, label: "Cy" }], well).text, "Connected with Ada and Cy.");
  assert.match(summary([ada, ben("recovering", "crashed")], well).text, /^Ben’s program ended/);
  assert.equal(
    summary([ada, ben("connecting")], well).text,
    "Connected with Ada. Ben is here, connecting …",
    "who comes does not hide who is there",
  );
});

test("a cause that is known is said at once; until then only that there is silence", () => {
  assert.equal(
    standing(ben("suspect", "crashed")).text,
    "Ben’s program ended without a word. Waiting in case it returns …",
  );
  for (const cause of ["crashed", "network-lost", "frozen", "busy", "reloaded"]) {
    assert.equal(standing(ben("suspect", cause)).text, standing(ben("recovering", cause)).text);
    assert.doesNotMatch(standing(ben("suspect", cause)).text, /has not answered/);
  }
  assert.equal(standing(ben("suspect", "frozen, network-lost")).text, "Ben has not answered for a moment …");
  assert.equal(standing(ben("recovering", "frozen, network-lost")).text, "Ben can’t be reached, trying again …");
});

test("silence that lasts is no moment", () => {
  const unknown = (silent: number) => standing(ben("suspect", "frozen, network-lost", silent)).text;
  assert.equal(unknown(9), "Ben has not answered for a moment …");
  assert.equal(unknown(10), "Ben has not answered for 10 seconds …");
  assert.equal(unknown(59), "Ben has not answered for 30 seconds …");
  assert.equal(unknown(160), "Ben has not answered for 2 minutes …");
  assert.equal(unknown(7300), "Ben has not answered for 2 hours …");
  assert.equal(standing(ben("suspect", "busy", 65)).text, "Ben’s program is busy, waiting for it … (1 minute so far)");
});

test("who is here without a connection is told, beside those with one", () => {
  const apart = [{ peer: "d1", label: "Dora", trying: false, wanted: true }];
  assert.equal(summary([], { ...well, apart }).text, "Dora is here, not connected to you.");
  assert.equal(
    summary([ben("open")], { ...well, apart }).text,
    "Connected with Ben. Dora is here, not connected to you.",
  );
  const two = [...apart, { ...apart[0]!, label: "Eve" }];
  assert.match(summary([], { ...well, apart: two }).text, /^Dora and Eve are here, not connected/);
});

test("a name of any length leaves room for the rest", () => {
  const long = "W".repeat(64);
  assert.equal([...short(long)].length, 24);
  assert.equal(short("Ada Lovelace"), "Ada Lovelace");
  assert.equal(short(`${long} (2)`), `${short(long)} (2)`, "two of them are still told apart");
  assert.equal([...short("🙂".repeat(40))].at(-2), "🙂", "letters are not cut in two");
  assert.ok(summary([{ ...ben("open"), label: long }], well).text.length < 50);
  assert.ok(standing({ ...ben("suspect"), label: long }).text.length < 70);
});

test("a network that is this person's own is called so", () => {
  assert.match(summary([ben("recovering", "network-lost")], { online: true, server: false }).text, /^Your network/);
  assert.match(summary([ben("open")], { online: false, server: true }).text, /^You are offline/);
});

test("a server that is away ends nothing, and is told", () => {
  assert.match(
    summary([ben("open")], { online: true, server: false }).text,
    /^Connected with Ben\. The server does not answer/,
  );
  assert.match(summary([], { online: true, server: false }).text, /^The server does not answer/);
});

test("what is wrong with a device says what to do", () => {
  const troubles = (audio: DeviceState, video: DeviceState) =>
    deviceTroubles(
      new Map<Kind, DeviceState>([
        ["audio", audio],
        ["video", video],
      ]),
    );
  for (const state of ["denied", "missing", "busy", "unplugged", "blocked"] as const) {
    const [camera = "", ...more] = troubles("on", state);
    assert.match(camera, /camera/);
    assert.doesNotMatch(camera, /microphone|them/);
    assert.deepEqual(more, []);
    const [both = "", ...others] = troubles(state, state);
    assert.match(both, /microphone and (no )?camera/);
    assert.deepEqual(others, [], "one sentence for both");
  }
  assert.deepEqual(troubles("missing", "denied").length, 2);
  assert.deepEqual(troubles("denied", "denied"), [
    "Your browser blocks your microphone and camera on this page. Allow them in the address bar, then turn them on again.",
  ]);
  for (const state of ["off", "asking", "on", "muted"] as const) assert.deepEqual(troubles(state, state), []);
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

const settled: Account = { accepted: null, delivered: total(9), unread: total(0), unknown: total(0), unsent: total(0) };

function total(messages: number) {
  return { messages, bytes: messages };
}

function ended(clean: boolean, sent: Partial<Account> = {}, received: Partial<Account> = {}, reliable = true) {
  const channel: ChannelReceipt = { sent: { ...settled, ...sent }, received: { ...settled, ...received }, reliable };
  return { clean, channels: { chat: channel } };
}

test("everything is said to be delivered only when it was", () => {
  const everything = "Everything was delivered, and both sides know it.";
  assert.equal(parting([ended(true), { clean: true, channels: {} }]), everything);
  assert.equal(
    parting([ended(true), ended(true, { unknown: total(2) }, {}, false)]),
    "Everything that must not be lost was delivered, and both sides know it.",
  );
  assert.equal(
    parting([ended(true, {}, { unsent: total(1) }, false)]),
    "Everything that must not be lost was delivered, and both sides know it.",
  );
  assert.equal(
    parting([ended(true, { unread: total(1) }), ended(true, { unread: total(2) }, {}, false)]),
    `${everything} 3 of your messages were not read yet.`,
  );
  assert.equal(
    parting([{ ...ended(false), partial: [{ name: "film.mp4", size: 9, done: 3, sent: true }] } as never]),
    "film.mp4 is not whole; it can go on when you meet again.",
  );
  assert.equal(
    parting([ended(true, {}, { unread: total(1) })]),
    `${everything} You have not read 1 of their messages yet.`,
  );
});

test("what is missing is told, and kept only if it is this person's own", () => {
  const kept = "Some of your messages may not have arrived. They are kept in this tab.";
  const unheard = { unknown: null, unsent: null };
  assert.equal(parting([ended(true), ended(false, { unsent: total(1) })]), kept);
  assert.equal(parting([ended(false, { unknown: total(1) }, unheard)]), kept);
  assert.equal(
    parting([ended(false, {}, { unsent: total(1) })]),
    "All your messages were delivered, but some of their messages did not arrive.",
  );
  for (const theirs of [unheard, {}]) {
    assert.equal(
      parting([ended(true), ended(false, {}, theirs)]),
      "All your messages were delivered. Some of their messages may not have arrived.",
    );
  }
  assert.equal(
    parting([ended(false, { unread: total(2), unsent: total(1) })]),
    `${kept} 2 of your messages were not read yet.`,
  );
});

test("numbers for people", () => {
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
