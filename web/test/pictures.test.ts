import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Pictures } from "../src/model/pictures.js";
import { HiddenEvent, Screen, ShownEvent } from "../src/model/screen.js";
import { FakeStream, FakeTrack } from "./browser.js";

function make(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 0;
  performance.now = () => now;
  const here = new Set<MediaStreamTrack>();
  const pictures = new Pictures(() => here);
  const see = (kind: "audio" | "video", stream: string) => {
    const track = new FakeTrack(kind) as unknown as MediaStreamTrack;
    here.add(track);
    pictures.see(track, stream);
    return track;
  };
  const pass = (by: number) => {
    now += by;
    t.mock.timers.tick(by);
  };
  const own = () => pictures.stream.getTracks().filter(({ kind }) => kind === "video");
  const shown = () => pictures.shown.map((stream) => stream.getTracks()[0]);
  return { pictures, here, see, pass, own, shown };
}

test("a camera is the person's own picture, and a screen is shown beside it", (t) => {
  const { pictures, see, pass, own, shown } = make(t);
  const [voice, camera] = [see("audio", "a"), see("video", "a")];
  pictures.say(voice, true);
  pictures.say(camera, true);
  const screen = see("video", "b");
  assert.deepEqual([own(), shown()], [[camera], [screen]]);
  pass(5000);
  const before = pictures.shown[0];
  pictures.say(camera, false);
  assert.deepEqual(
    [own(), shown(), pictures.sends("video")],
    [[camera], [screen], false],
    "who turns it off still has it",
  );
  assert.equal(pictures.shown[0], before, "and what is shown does not flicker");
  screen.dispatchEvent(new Event("ended"));
  assert.deepEqual([own(), shown()], [[camera], []]);
});

test("a screen without a camera is large as soon as it is known to be none", (t) => {
  const { pictures, see, pass, own, shown } = make(t);
  pictures.say(see("audio", "a"), true);
  const screen = see("video", "b");
  assert.deepEqual([own(), shown()], [[screen], []]);
  pass(2000);
  assert.deepEqual([own(), shown()], [[], [screen]]);
  const camera = see("video", "a");
  pictures.say(camera, true);
  assert.deepEqual([own(), shown()], [[camera], [screen]]);
});

test("a program says nothing of its pictures: its first is its own, whole, and others are beside it", (t) => {
  const { pictures, see, pass, own, shown } = make(t);
  see("audio", "a");
  const first = see("video", "b");
  pass(5000);
  assert.deepEqual([own(), shown(), pictures.isCamera, pictures.sends("video")], [[first], [], false, true]);
  const second = see("video", "");
  pass(5000);
  assert.deepEqual([own(), shown()], [[first], [second]]);
});

test("after a reset the new tracks take the places of the old ones", (t) => {
  const { pictures, here, see, pass, own, shown } = make(t);
  pictures.say(see("audio", "a"), true);
  pictures.say(see("video", "a"), false);
  const old = see("video", "b");
  pass(5000);
  here.clear();
  const camera = see("video", "a");
  assert.deepEqual([own(), pictures.sends("video")], [[camera], false], "one that is off stays off");
  const screen = see("video", "b");
  assert.deepEqual(shown(), [screen]);
  assert.notEqual(screen, old);
  here.delete(screen);
  pictures.prune();
  assert.deepEqual(shown(), [], "one that did not come again is gone");
});

test("two tracks of one stream on one connection are two pictures", (t) => {
  const { see, pass, own, shown } = make(t);
  const [left, right] = [see("video", "both"), see("video", "both")];
  pass(5000);
  assert.deepEqual([own(), shown()], [[left], [right]]);
});

test("a screen is shown until it is hidden, by the page or by the browser", async () => {
  const tracks: FakeTrack[] = [];
  let refuses = "";
  const getDisplayMedia = async () => {
    if (refuses) throw new DOMException("no", refuses);
    tracks.push(new FakeTrack("video"));
    const stream = new FakeStream([tracks.at(-1)!]);
    return Object.assign(stream, { getVideoTracks: () => stream.getTracks() });
  };
  const screen = new Screen({ getDisplayMedia } as never);
  const said: string[] = [];
  for (const type of ["shown", "hidden"]) screen.addEventListener(type, (event) => said.push(event.constructor.name));
  assert.ok(screen.isPossible);
  await Promise.all([screen.show(), screen.show()]);
  assert.equal(tracks.length, 1, "it is asked once");
  screen.hide();
  assert.equal(tracks[0]!.readyState, "ended");
  await screen.show();
  tracks[1]!.unplug();
  assert.equal(screen.track, undefined);
  assert.deepEqual(said, [ShownEvent.name, HiddenEvent.name, ShownEvent.name, HiddenEvent.name]);
  refuses = "NotAllowedError";
  await screen.show();
  refuses = "NotReadableError";
  await assert.rejects(screen.show(), { name: "NotReadableError" });
  refuses = "";
  const asking = screen.show();
  screen.hide();
  await asking;
  assert.deepEqual([screen.track, tracks.at(-1)!.readyState], [undefined, "ended"], "who left meanwhile shows nothing");
  assert.ok(!new Screen({}).isPossible);
});
