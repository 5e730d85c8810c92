/** `reset()` of `goodbye`: what becomes of the next connection and of its tracks, if something goes wrong. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type GoodbyeEvent, goodbye, type Made } from "../src/goodbye/index.js";

class Track {
  live = true;

  stop(): void {
    this.live = false;
  }
}

class Connection extends EventTarget {
  signalingState = "stable";
  connectionState = "new";
  sctp = null;
  getSenders = () => [];
  getReceivers = () => [];
  getStats = async () => new Map();
  createDataChannel = () => assert.fail();

  close(): void {
    this.signalingState = this.connectionState = "closed";
  }
}

const make = () => new Connection() as unknown as RTCPeerConnection;
let tracks: Track[] = [];
let asked: () => void;

/** A test in which `getUserMedia()` gives a new track. */
function testReset(name: string, run: () => Promise<void>): void {
  test(name, async () => {
    tracks = [];
    asked = () => undefined;
    const getUserMedia = async () => {
      asked();
      const track = new Track();
      tracks.push(track);
      return { getTracks: () => [track] };
    };
    const own = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    Object.defineProperty(globalThis, "navigator", { value: { mediaDevices: { getUserMedia } }, configurable: true });
    try {
      await run();
    } finally {
      Object.defineProperty(globalThis, "navigator", own ?? { value: undefined, configurable: true });
    }
  });
}

for (const [what, made] of [
  ["nothing", undefined],
  ["something else", {}],
] as const)
  testReset(`a make() that returns ${what} leaves no track, and a close that ends`, async () => {
    const end = goodbye(make(), { devices: { audio: true } });
    await assert.rejects(
      end.reset(() => made as unknown as Made),
      TypeError,
    );
    assert.deepEqual(
      tracks.map(({ live }) => live),
      [false],
    );
    assert.ok(end.receipt);
    assert.equal(await end.close(), end.receipt);
  });

testReset("a close() that comes while the devices are asked ends it: nothing is made", async () => {
  const end = goodbye(make(), { devices: { audio: true } });
  asked = () => void end.close();
  await assert.rejects(
    end.reset(() => assert.fail()),
    /it was closed/,
  );
  assert.deepEqual(
    tracks.map(({ live }) => live),
    [false],
  );
});

testReset("a close() before the devices are asked asks none", async () => {
  const end = goodbye(make(), { devices: { audio: true } });
  const reset = end.reset(() => assert.fail());
  void end.close();
  await assert.rejects(reset, /it was closed/);
  assert.deepEqual(tracks, []);
});

testReset("a close() that comes within make() closes what it returns", async () => {
  const end = goodbye(make(), { devices: { audio: true } });
  const ends: unknown[] = [];
  const { pc } = await end.reset(() => {
    end.addEventListener("closed", ({ receipt }: GoodbyeEvent) => ends.push(receipt?.cause));
    void end.close();
    return make();
  });
  assert.equal(pc.signalingState, "closed");
  assert.equal((await end.close()).cause, "left");
  assert.deepEqual(ends, ["left"]);
  assert.deepEqual(
    tracks.map(({ live }) => live),
    [false],
  );
});
