/** Handlers, devices, the page, the browser's connections. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MediaState } from "../src/protocol/messages.js";
import { ConnectionBudget, LIMIT, PROVOKE } from "../src/session/connection-budget.js";
import { Emitter } from "../src/session/emitter.js";
import { Media, type MediaHost } from "../src/session/media.js";
import { watchPage } from "../src/session/page.js";
import { DOCUMENT_STAYS, settled } from "./time.js";

class Bell extends Emitter<{ ring: number }> {
  constructor() {
    super("a bell", { ring: true });
  }

  ring(number: number): Promise<void> {
    return this.emit("ring", number);
  }
}

describe("handlers", () => {
  test("run one after the other, and those of one event after those of the event before", async () => {
    const bell = new Bell();
    const log: string[] = [];
    bell.addEventListener("ring", async (n) => {
      log.push(`begin ${n}`);
      await settled();
      log.push(`end ${n}`);
    });
    bell.addEventListener("ring", (n) => log.push(`then ${n}`));
    await Promise.all([bell.ring(1), bell.ring(2)]);
    assert.deepEqual(log, ["begin 1", "end 1", "then 1", "begin 2", "end 2", "then 2"]);
  });

  test("one that throws stops no other, and is reported", async (t) => {
    const reported = t.mock.method(console, "error", () => undefined);
    const bell = new Bell();
    let rung = 0;
    bell.addEventListener("ring", () => {
      throw new Error("no");
    });
    bell.addEventListener("ring", async () => Promise.reject(new Error("neither")));
    bell.addEventListener("ring", (n) => (rung = n));
    await bell.ring(7);
    assert.equal(rung, 7);
    assert.equal(reported.mock.callCount(), 2);
  });

  test("are removed by name, by signal, and after once", async () => {
    const bell = new Bell();
    const stop = new AbortController();
    let count = 0;
    const add = () => count++;
    bell.addEventListener("ring", add);
    bell.addEventListener("ring", add);
    bell.addEventListener("ring", () => count++, { once: true });
    bell.addEventListener("ring", () => count++, { signal: stop.signal });
    await bell.ring(1);
    assert.equal(count, 3);
    stop.abort();
    bell.removeEventListener("ring", add);
    assert.deepEqual(bell.handlers, []);
  });
});

class FakeTrack extends EventTarget {
  readyState = "live";
  enabled = true;
  label = "fake";
  id = "";
  constructor(readonly kind: string) {
    super();
  }
  clone(): FakeTrack {
    return new FakeTrack(this.kind);
  }
  stop(): void {
    this.readyState = "ended";
  }
}

class FakeStream {
  constructor(readonly tracks: FakeTrack[]) {}
  getTracks(): FakeTrack[] {
    return [...this.tracks];
  }
  clone(): FakeStream {
    return new FakeStream(this.tracks.map((track) => track.clone()));
  }
  addTrack(track: FakeTrack): void {
    this.tracks.push(track);
  }
  removeTrack(track: FakeTrack): void {
    this.tracks.splice(this.tracks.indexOf(track), 1);
  }
}

interface FakeSender {
  track: FakeTrack | null;
  replaceTrack(track: FakeTrack): Promise<void>;
}

/** As much of a connection as tracks need. */
class FakeCall {
  readonly signalingState = "stable";
  readonly transceivers: { mid: string | null; sender: FakeSender }[] = [];
  getSenders(): FakeSender[] {
    return this.transceivers.map(({ sender }) => sender);
  }
  getTransceivers() {
    return this.transceivers;
  }
  addTrack(track: FakeTrack): void {
    const sender: FakeSender = {
      track,
      async replaceTrack(now) {
        sender.track = now;
      },
    };
    this.transceivers.push({ mid: null, sender });
  }
  negotiate(): void {
    for (const [index, transceiver] of this.transceivers.entries()) transceiver.mid ??= String(index);
  }
}
Object.assign(globalThis, { MediaStream: FakeStream });

function devices(): {
  media: Media;
  given: FakeTrack[];
  asked: MediaStreamConstraints[];
  wait: { until?: Promise<void> };
  missing: Set<string>;
  said: [mid: string, state: MediaState][];
  call: { now: FakeCall | undefined };
} {
  const given: FakeTrack[] = [];
  const asked: MediaStreamConstraints[] = [];
  const wait: { until?: Promise<void> } = {};
  const missing = new Set<string>();
  const said: [string, MediaState][] = [];
  const call: { now: FakeCall | undefined } = { now: undefined };
  const active = () => call.now as unknown as RTCPeerConnection | undefined;
  const host: MediaHost = {
    connections: () => [active() ?? []].flat(),
    active,
    sayMedia: (media) => said.push(...media),
    async getUserMedia(constraints) {
      asked.push(constraints);
      await wait.until;
      for (const kind of missing) {
        if (constraints[kind as "audio"]) throw new DOMException(`no ${kind}`, "NotFoundError");
      }
      const tracks = (["audio", "video"] as const)
        .filter((kind) => constraints[kind])
        .map((kind) => new FakeTrack(kind));
      given.push(...tracks);
      return new FakeStream(tracks) as unknown as MediaStream;
    },
  };
  return { media: new Media(host), given, asked, wait, missing, said, call };
}

const states = (tracks: FakeTrack[]) => tracks.map(({ readyState }) => readyState);

describe("devices", () => {
  test("a close stops tracks, clones, and what is given too late", async () => {
    const { media, given, wait } = devices();
    const stream = await media.add({ audio: true, video: true });
    const clones = [stream.getTracks()[0]!.clone(), ...stream.clone().getTracks()] as unknown as FakeTrack[];
    assert.equal(media.held().length, 5);
    let permit = () => {};
    wait.until = new Promise((resolve) => (permit = resolve));
    const late = media.add({ audio: true });
    media.close();
    permit();
    await assert.rejects(late, { name: "AbortError" });
    assert.deepEqual(new Set(states([...given, ...clones])), new Set(["ended"]));
    assert.deepEqual(media.held(), []);
  });

  test("a stream of the page's is not stopped", async () => {
    const { media } = devices();
    const mine = new FakeStream([new FakeTrack("video")]);
    await media.add(mine as unknown as MediaStream);
    await media.renew(true);
    media.close();
    assert.deepEqual(states(mine.tracks), ["live"]);
  });

  test("a reset asks again for what is on; what is off stays off when the other side asked", async () => {
    const { media, given, asked } = devices();
    const stream = (await media.add({ audio: true, video: { width: 640 } })) as unknown as FakeStream;
    media.mute("audio", true);
    await media.renew(false);
    assert.deepEqual(asked[1], { audio: false, video: { width: 640 } });
    assert.deepEqual(states(given), ["live", "ended", "live"]);
    await media.renew(true);
    assert.deepEqual(asked[2], { audio: true, video: { width: 640 } });
    assert.deepEqual(
      stream.tracks.map(({ kind, enabled }) => [kind, enabled]),
      [
        ["audio", false],
        ["video", true],
      ],
    );
    assert.deepEqual(states(given).filter((state) => state === "live").length, 2);
  });

  test("an unplugged device is broken until it is asked for again", async () => {
    const { media, given } = devices();
    await media.add({ audio: true });
    given[0]!.readyState = "ended";
    given[0]!.dispatchEvent(new Event("ended"));
    assert.equal(media.broken, true);
    assert.deepEqual(media.held(), []);
    await media.renew(true);
    assert.equal(media.broken, false);
  });

  test("one that is gone when a reset asks again has ended; the other goes on", async () => {
    const { media, given, missing } = devices();
    const stream = (await media.add({ audio: true, video: true })) as unknown as FakeStream;
    missing.add("video");
    const lost = await media.renew(true);
    assert.deepEqual([lost.missing, (lost.error as Error).name], [[given[1]], "NotFoundError"]);
    assert.deepEqual(
      stream.tracks.map(({ kind, readyState }) => `${kind} ${readyState}`),
      ["video ended", "audio live"],
    );
    missing.clear();
    await media.renew(true);
    assert.deepEqual(states(stream.tracks), ["live", "live"]);
  });

  test("none are asked for again after the close that a reset was in the middle of", async () => {
    const { media, asked, wait } = devices();
    await media.add({ audio: true, video: true });
    let permit = () => {};
    wait.until = new Promise((resolve) => (permit = resolve));
    const renewing = media.renew(true);
    media.close();
    permit();
    await renewing;
    assert.equal(asked.length, 2);
    assert.deepEqual(media.held(), []);
  });

  test("that are refused are the caller's error, and nothing is held", async () => {
    const { media, missing } = devices();
    missing.add("audio");
    await assert.rejects(media.add({ audio: true, video: true }), { name: "NotFoundError" });
    assert.deepEqual(media.held(), []);
  });

  test("what is muted is said when it can be, and again over each new connection", async () => {
    const { media, given, said, call } = devices();
    const first = (call.now = new FakeCall());
    await media.add({ audio: true, video: true });
    media.mute("audio", true);
    assert.deepEqual([said, given[0]!.enabled], [[], false]); // it has no mid yet
    first.negotiate();
    media.sayAgain();
    media.sayAgain();
    assert.deepEqual(said, [["0", { enabled: false }]]);
    call.now = undefined; // between two connections
    media.mute("video", true);
    const second = new FakeCall();
    media.attach(second as unknown as RTCPeerConnection);
    second.negotiate();
    call.now = second;
    media.sayAgain();
    assert.deepEqual(said.slice(1), [
      ["0", { enabled: false }],
      ["1", { enabled: false }],
    ]);
    await media.renew(true);
    const [, , sound, sight] = given;
    assert.deepEqual([sound!.enabled, sight!.enabled], [false, false]);
    second.negotiate();
    media.sayAgain();
    assert.deepEqual(
      said.slice(3).map(([mid]) => mid),
      ["0", "1"], // in the places of the old ones
    );
  });

  test("a stream that is given twice is sent once", async () => {
    const { media, call } = devices();
    call.now = new FakeCall();
    const mine = new FakeStream([new FakeTrack("video")]);
    await media.add(mine as unknown as MediaStream);
    mine.addTrack(new FakeTrack("audio"));
    await media.add(mine as unknown as MediaStream);
    assert.deepEqual(
      call.now.getSenders().map(({ track }) => track?.kind),
      ["video", "audio"],
    );
  });

  test("a track can be replaced, twice, and by itself; what was muted stays so; the page's own is left alone", async () => {
    const { media, given, call, asked } = devices();
    call.now = new FakeCall();
    const stream = (await media.add({ audio: true, video: true })) as unknown as FakeStream;
    const [sound, camera] = given as unknown as MediaStreamTrack[];
    await media.replace(camera!, camera!);
    assert.equal(camera!.readyState, "live");
    media.mute("video", true);
    const shown = new FakeTrack("video") as unknown as MediaStreamTrack;
    await media.replace(camera!, shown);
    await media.replace(camera!, shown);
    assert.deepEqual([camera!.readyState, shown.enabled], ["ended", false]);
    assert.deepEqual(
      call.now.getSenders().map(({ track }) => track),
      [sound, shown],
    );
    await assert.rejects(media.replace(shown, sound!), TypeError);
    await assert.rejects(media.replace(new FakeTrack("video") as never, new FakeTrack("video") as never), TypeError);
    await media.renew(true);
    assert.deepEqual(asked.at(-1), { audio: true, video: false });
    assert.ok(stream.tracks.includes(shown as never));
    media.close();
    media.close();
    assert.equal(shown.readyState, "live");
  });
});

describe("the page", () => {
  test("says how it goes away, and that it is back", { skip: DOCUMENT_STAYS }, () => {
    const page = new EventTarget();
    const navigation = new EventTarget();
    const before = { ...globalThis };
    Object.assign(globalThis, { document: page, navigation, addEventListener: page.addEventListener.bind(page) });
    try {
      const log: string[] = [];
      const stop = watchPage({
        connected: () => true,
        leave: (cause) => log.push(cause),
        resume: (restored) => log.push(restored ? "restored" : "awake"),
      });
      const say = (target: EventTarget, type: string, members: object) =>
        target.dispatchEvent(Object.assign(new Event(type), members));
      say(page, "pagehide", { persisted: true });
      say(page, "pageshow", { persisted: true });
      say(page, "freeze", {});
      say(page, "resume", {});
      say(page, "pagehide", { persisted: false });
      const to = { destination: { sameDocument: false }, downloadRequest: null };
      say(navigation, "navigate", { ...to, navigationType: "push" });
      say(page, "pagehide", { persisted: false });
      say(navigation, "navigate", { ...to, navigationType: "reload" });
      say(page, "pagehide", { persisted: false });
      stop();
      say(page, "pagehide", { persisted: false });
      assert.deepEqual(log, ["restored", "awake", "tab-closed", "navigated", "reloaded"]);
    } finally {
      for (const name of ["document", "navigation", "addEventListener"]) {
        Object.assign(globalThis, { [name]: before[name as keyof typeof before] });
      }
    }
  });
});

describe("the browser's connections", () => {
  test("are counted; collection is provoked in short slices, and the end is an error that says what to do", () => {
    let now = 0;
    let longest = 0;
    const work: (() => void)[] = [];
    const budget = new ConnectionBudget({ soon: (call) => work.push(call), now: () => (now += 5) });
    const kept: object[] = [];
    const make = () => budget.make(() => kept[kept.push({}) - 1] as RTCPeerConnection);
    for (let n = 0; n < PROVOKE; n++) make();
    assert.deepEqual([budget.tight, work.length], [true, 0]);
    for (let n = PROVOKE; n < LIMIT; n++) {
      make();
      for (const slice of work.splice(0)) {
        const began = now;
        slice();
        longest = Math.max(longest, now - began);
      }
    }
    assert.ok(longest > 0 && longest <= 50, `${longest} ms`);
    assert.throws(make, { name: "TooManyConnectionsError", message: /reload the page/ });
  });

  test("where the browser does not count, nothing is refused", () => {
    const budget = new ConnectionBudget({ limit: Number.POSITIVE_INFINITY });
    for (let n = 0; n < 2 * LIMIT; n++) budget.make(() => ({}) as RTCPeerConnection);
    assert.equal(budget.tight, false);
    const refused = () => {
      throw Object.assign(new Error("Cannot create so many"), { name: "UnknownError" });
    };
    assert.throws(() => budget.make(refused), { name: "TooManyConnectionsError" });
  });
});
