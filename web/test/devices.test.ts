import assert from "node:assert/strict";
import { test } from "node:test";
import { Devices, LET_GO, type TrackEvent } from "../src/model/devices.js";
import { FakeMedia, install, settled } from "./browser.js";

function make() {
  const media = new FakeMedia();
  const devices = new Devices(media as unknown as MediaDevices);
  return { media, devices, states: () => [devices.state("audio"), devices.state("video")] };
}

test("both are asked for at once, and told", async () => {
  const { media, devices, states } = make();
  const told: string[] = [];
  devices.addEventListener("track", (event) => told.push((event as TrackEvent).track.kind));
  const asking = devices.turnOn(["audio", "video"]);
  assert.deepEqual(states(), ["asking", "asking"]);
  await asking;
  assert.deepEqual(states(), ["on", "on"]);
  assert.equal(media.asked.length, 1);
  assert.deepEqual(told, ["audio", "video"]);
});

test("without a camera there is still a microphone", async () => {
  const { media, devices, states } = make();
  media.refuses.set("video", "NotFoundError");
  await devices.turnOn(["audio", "video"]);
  assert.deepEqual(states(), ["on", "missing"]);
});

test("who says no is not asked twice", async () => {
  const { media, devices, states } = make();
  media.refuses.set("audio", "NotAllowedError").set("video", "NotAllowedError");
  await devices.turnOn(["audio", "video"]);
  assert.deepEqual(states(), ["denied", "denied"]);
  assert.equal(media.asked.length, 1);
});

test("a device that another program has is said to be busy, and can be had later", async () => {
  const { media, devices } = make();
  media.refuses.set("video", "NotReadableError");
  await devices.turnOn(["video"]);
  assert.equal(devices.state("video"), "busy");
  media.refuses.clear();
  await devices.toggle("video");
  assert.equal(devices.state("video"), "on");
});

test("a page without TLS is told that it gets none", async () => {
  const devices = new Devices({} as MediaDevices);
  await devices.turnOn(["audio"]);
  assert.equal(devices.state("audio"), "blocked");
});

test("muting keeps the microphone and sends nothing", async () => {
  const { media, devices } = make();
  await devices.turnOn(["audio"]);
  await devices.toggle("audio");
  assert.deepEqual([devices.state("audio"), media.given[0]!.enabled, devices.sends("audio")], ["muted", false, false]);
  await devices.toggle("audio");
  assert.deepEqual([devices.state("audio"), media.given[0]!.enabled], ["on", true]);
  assert.equal(media.asked.length, 1);
});

test("an unplugged device is noticed, and asked for again", async () => {
  const { media, devices } = make();
  await devices.turnOn(["video"]);
  const muted: string[] = [];
  devices.addEventListener("muted", (event) => muted.push((event as Event & { kind: string }).kind));
  media.given[0]!.unplug();
  assert.equal(devices.state("video"), "unplugged");
  assert.deepEqual(muted, ["video"]);
  let old: unknown;
  devices.addEventListener("track", (event) => (old = (event as TrackEvent).old));
  await devices.toggle("video");
  assert.equal(devices.state("video"), "on");
  assert.equal(old, media.given[0]);
});

test("a camera that is turned off is let go after a moment, and asked for again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { media, devices } = make();
  await devices.turnOn(["audio", "video"]);
  const camera = devices.track("video")!;
  await devices.toggle("video");
  await devices.toggle("audio");
  assert.equal(devices.sends("video"), false, "the others are told at once");
  t.mock.timers.tick(LET_GO - 1);
  assert.equal(camera.readyState, "live");
  t.mock.timers.tick(1);
  assert.equal(camera.readyState, "ended");
  assert.deepEqual([devices.state("video"), devices.track("audio")!.readyState], ["muted", "live"]);
  assert.deepEqual(
    devices.tracks.map(({ kind }) => kind),
    ["audio"],
    "who comes now gets no dead track",
  );
  let old: unknown;
  devices.addEventListener("track", (event) => (old = (event as TrackEvent).old));
  await devices.toggle("video");
  assert.deepEqual([devices.state("video"), devices.track("video")!.readyState], ["on", "live"]);
  assert.equal(old, camera, "the new one takes its place");
  assert.deepEqual(media.asked.at(-1)!.audio, undefined);
  t.mock.timers.tick(LET_GO * 2);
  assert.equal(devices.track("video")!.readyState, "live");
});

test("a camera that is turned on again at once is the same", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { media, devices } = make();
  await devices.turnOn(["video"]);
  await devices.toggle("video");
  t.mock.timers.tick(LET_GO / 2);
  await devices.toggle("video");
  await devices.toggle("video");
  t.mock.timers.tick(LET_GO - 1);
  await devices.toggle("video");
  t.mock.timers.tick(LET_GO * 2);
  assert.deepEqual([devices.state("video"), media.given[0]!.readyState, media.asked.length], ["on", "live", 1]);
});

test("a camera that another program took meanwhile is told", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { media, devices } = make();
  await devices.turnOn(["video"]);
  await devices.toggle("video");
  t.mock.timers.tick(LET_GO);
  media.refuses.set("video", "NotReadableError");
  await devices.toggle("video");
  assert.equal(devices.state("video"), "busy");
});

test("a camera that is off stays off when devices are renewed", async () => {
  const { media, devices, states } = make();
  await devices.turnOn(["audio", "video"]);
  await devices.toggle("video");
  await devices.renew();
  assert.deepEqual(states(), ["on", "muted"]);
  assert.deepEqual(media.asked.at(-1)!.video, undefined);
  assert.ok(media.given.filter(({ kind }) => kind === "video").every(({ readyState }) => readyState === "ended"));
});

test("trouble that was read is not told again, until there is new trouble", async () => {
  const { media, devices } = make();
  media.refuses.set("audio", "NotAllowedError").set("video", "NotAllowedError");
  await devices.turnOn(["audio", "video"]);
  assert.deepEqual([...devices.troubles.values()], ["denied", "denied"]);
  devices.dismiss();
  assert.deepEqual([...devices.troubles.values()], []);
  await devices.toggle("video");
  assert.deepEqual([...devices.troubles], [["video", "denied"]]);
});

test("renewing stops the old ones, asks again, and leaves what was muted muted", async () => {
  const { media, devices, states } = make();
  await devices.turnOn(["audio", "video"]);
  await devices.toggle("audio");
  await devices.renew();
  assert.deepEqual(states(), ["muted", "on"]);
  assert.deepEqual(
    media.given.map(({ readyState }) => readyState),
    ["ended", "ended", "live", "live"],
  );
  assert.equal(media.given[2]!.enabled, false);
});

test("a device that is gone while it is renewed is told, the other goes on", async () => {
  const { media, devices, states } = make();
  await devices.turnOn(["audio", "video"]);
  media.refuses.set("video", "NotFoundError");
  await devices.renew();
  assert.deepEqual(states(), ["on", "missing"]);
});

test("an answer that comes after the end is stopped", async () => {
  const { media, devices, states } = make();
  let answer = () => {};
  media.wait = new Promise((resolve) => (answer = resolve));
  const asking = devices.turnOn(["audio", "video"]);
  devices.stop();
  answer();
  await asking;
  await settled();
  assert.deepEqual(states(), ["off", "off"]);
  assert.deepEqual(
    media.given.map(({ readyState }) => readyState),
    ["ended", "ended"],
  );
});

test("a chosen device is asked for, remembered, and takes the place of the old one; a muted one stays muted", async () => {
  const kept = new Map<string, string>();
  install({ localStorage: { getItem: (key: string) => kept.get(key) ?? null, setItem: kept.set.bind(kept) } });
  const { media, devices } = make();
  await devices.turnOn(["audio", "video"]);
  const old = devices.track("video");
  await devices.choose("video", "second camera");
  assert.deepEqual((media.asked.at(-1)!.video as MediaTrackConstraints).deviceId, { ideal: "second camera" });
  assert.deepEqual([old!.readyState, devices.track("video")!.readyState], ["ended", "live"]);
  await devices.toggle("audio");
  await devices.choose("audio", "headset");
  assert.deepEqual([devices.state("audio"), devices.track("audio")!.enabled], ["muted", false]);
  const next = make();
  assert.equal(next.devices.chosen("audio"), "headset");
  await next.devices.turnOn(["audio", "video"]);
  const { audio, video } = next.media.asked[0] as Record<"audio" | "video", MediaTrackConstraints>;
  assert.deepEqual([audio.deviceId, video.deviceId], [{ ideal: "headset" }, { ideal: "second camera" }]);
  assert.equal(video.facingMode, undefined);
});

test("a device that is turned off while it is asked for is let go", async () => {
  const { media, devices, states } = make();
  let answer = () => {};
  media.wait = new Promise((resolve) => (answer = resolve));
  const asking = devices.turnOn(["audio", "video"]);
  devices.turnOff("video");
  answer();
  await asking;
  assert.deepEqual(states(), ["on", "off"]);
  assert.equal(media.given.find(({ kind }) => kind === "video")!.readyState, "ended");
  devices.turnOff("audio");
  assert.deepEqual([states(), devices.tracks], [["off", "off"], []]);
});

test("the list of devices is that of the last look, and what is lacking is known from it", async () => {
  const answers: ((listed: object[]) => void)[] = [];
  const media = Object.assign(new FakeMedia(), {
    enumerateDevices: () => new Promise<object[]>((resolve) => answers.push(resolve)),
  });
  const devices = new Devices(media as unknown as MediaDevices);
  assert.ok(!devices.lacks("video"), "nothing is known yet");
  const looks = [devices.look(), devices.look()];
  answers[1]!([
    { kind: "audioinput", deviceId: "", label: "" },
    { kind: "audiooutput", deviceId: "s", label: "" },
  ]);
  answers[0]!([]);
  await Promise.all(looks);
  assert.deepEqual([devices.lacks("audio"), devices.lacks("video")], [false, true]);
  assert.deepEqual(devices.list("speaker"), [{ id: "s", label: "Speaker 1" }]);
  assert.deepEqual(devices.list("audio"), [], "without a permission there is nothing to choose");
});

test("a chosen device that cannot be had leaves the one before in use, which can be muted", async () => {
  const { media, devices, states } = make();
  await devices.choose("audio", "first");
  await devices.turnOn(["audio"]);
  for (const name of ["NotReadableError", "NotAllowedError"]) {
    media.refuses.set("audio", name);
    await devices.choose("audio", "second");
    assert.deepEqual(
      [devices.state("audio"), devices.sends("audio"), media.given[0]!.readyState],
      ["on", true, "live"],
    );
    assert.equal(devices.troubles.get("audio"), "kept", "it is told");
    assert.equal(devices.chosen("audio"), "first", "it would be asked for in vain again");
  }
  await devices.toggle("audio");
  assert.deepEqual([states()[0], media.given[0]!.enabled], ["muted", false]);
  await devices.choose("audio", "second");
  assert.deepEqual([states()[0], media.given[0]!.enabled], ["muted", false]);
});

test("a microphone is muted while another one is asked for, and the other one comes muted", async () => {
  const { media, devices } = make();
  await devices.turnOn(["audio"]);
  let answer = () => {};
  media.wait = new Promise((resolve) => (answer = resolve));
  const choosing = devices.choose("audio", "headset");
  assert.ok(devices.sends("audio"), "it is still heard");
  await devices.toggle("audio");
  assert.deepEqual([devices.sends("audio"), media.given[0]!.enabled, media.asked.length], [false, false, 2]);
  media.given[0]!.unplug();
  answer();
  await choosing;
  assert.deepEqual([devices.state("audio"), media.given[1]!.enabled], ["muted", false]);
});

test("devices that are renewed during the browser's question are asked for again, and what was muted stays muted", async () => {
  const { media, devices, states } = make();
  await devices.turnOn(["audio"]);
  await devices.toggle("audio");
  let answer = () => {};
  media.wait = new Promise((resolve) => (answer = resolve));
  const asking = [devices.turnOn(["video"]), devices.renew(), devices.renew()];
  assert.deepEqual(states(), ["asking", "asking"]);
  answer();
  await Promise.all(asking);
  assert.deepEqual(states(), ["muted", "on"]);
  const live = media.given.filter(({ readyState }) => readyState === "live");
  assert.deepEqual(
    live.map(({ kind, enabled }) => [kind, enabled]),
    [
      ["audio", false],
      ["video", true],
    ],
  );
});
