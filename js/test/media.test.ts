/** Media at the end of a session: what both sides sent and got is in the part that they agree on (closing rule S16). */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Pair, pair } from "./pair.js";

type Stats = { type: string; mid?: string; [name: string]: unknown };

/** Give the connections of both sides statistics of media: those of the moment. */
function withMedia({ wire, time }: Pair, of: (side: number, now: number) => Stats[]): void {
  for (const [side, made] of wire.made.entries()) {
    const pc = made as unknown as RTCPeerConnection;
    pc.getTransceivers = () => [{ mid: "0", sender: { track: null } }] as never;
    pc.getSenders = () => [{ track: { readyState: "live", enabled: true } }] as never;
    const report = () => new Map(of(side, time.now).map((stats, n) => [String(stats["id"] ?? n), stats]));
    pc.getStats = async () => report() as never;
  }
}

const sent = (packets: number): Stats => ({
  type: "outbound-rtp",
  mid: "0",
  kind: "audio",
  packetsSent: packets,
  bytesSent: packets * 80,
  remoteId: "remote",
});
const came = (packets: number): Stats => ({
  type: "inbound-rtp",
  mid: "0",
  kind: "audio",
  packetsReceived: packets,
  bytesReceived: packets * 80,
  packetsLost: 2,
});

test("both sides agree on what was sent and on what came, also of what is said while they close", async () => {
  const made = await pair();
  const { a, b, time } = made;
  const first = shellSide(made);
  const began = time.now;
  const packets = (now: number) => Math.floor((now - began) * 50); // one each 20 ms
  withMedia(made, (side, now) =>
    side === first
      ? [
          sent(packets(now)),
          { type: "remote-inbound-rtp", id: "remote", packetsReceived: 3, packetsLost: 1 },
          { type: "inbound-rtp" }, // a browser that does not say which section it is of
        ]
      : [came(packets(now - 0.02))],
  );
  b.addEventListener("closing", () => new Promise((done) => time.later(1, done as () => void)));
  const [mine, theirs] = await time.until(Promise.all([a.close(), b.waitClosed()]));
  assert.ok(mine.clean && mine.path === "graceful");
  assert.equal(mine.agreed, theirs.agreed);
  const { media } = JSON.parse(mine.agreed);
  const way = media["0"][a.me];
  // All that was sent until a tenth of a second before the last words: in a browser loading the module takes its time.
  const ended = packets(began + mine.steps.slice(0, 2).reduce((sum, { duration }) => sum + duration, 0));
  assert.ok(way.arrived >= Math.max(ended - 12, 45), `${ended} ${JSON.stringify(media)}`);
  assert.ok(way.arrived <= way.sent[0] && way.sent[0] <= ended + 2, `${ended} ${JSON.stringify(media)}`);
  assert.deepEqual([way.unsentMs, way.sent[1]], [0, way.sent[0] * 80]);
  assert.deepEqual(media["0"][b.me], { arrived: 0, sent: [0, 0], unsentMs: 0 });
  assert.deepEqual(mine.media["0"], {
    kind: "audio",
    sent: { packets: way.sent[0], payloadBytes: way.sent[1], arrived: 3, lost: 1 },
    received: null,
  });
  assert.equal(theirs.media["0"]!.received!.lost, 2);
  assert.deepEqual(JSON.parse(JSON.stringify(mine)).media, mine.media);
  await time.pass(3);
  assert.equal(time.timers, 0);
});

/** The index of the connection that side a made. */
function shellSide({ a, wire }: Pair): number {
  return wire.made.indexOf(a.pc as never);
}

test("what was said is heard before the close ends, and cut does not wait", async () => {
  for (const [media, least, most] of [
    ["finish", 0.25, 0.6],
    ["cut", 0, 0.2],
  ] as const) {
    const made = await pair();
    withMedia(made, () => [sent(5)]);
    const began = made.time.now;
    const receipt = await made.time.until(made.a.close({ media }));
    const took = receipt.steps.find(({ name }) => name === "drain")!.duration;
    // The other side has a microphone, too, and says its last words: a quarter of a second in any case.
    assert.ok(took >= Math.max(least, 0.25) && took <= 0.6, `${media}: ${took}`);
    assert.ok(made.time.now - began <= most + 0.6);
    assert.equal(receipt.path, "graceful");
  }
});

test("a side says nothing about media if the other side lacks the capability", async () => {
  const made = await pair({}, { capabilities: ["channels1", "credit2", "files2", "unread1"] });
  withMedia(made, () => [sent(5), came(5)]);
  const [mine, theirs] = await made.time.until(Promise.all([made.a.close(), made.b.waitClosed()]));
  assert.equal(mine.agreed, theirs.agreed);
  assert.ok(!("media" in JSON.parse(mine.agreed)) && mine.clean);
  assert.equal(mine.media["0"]!.sent!.packets, 5);
});

test("statistics that cannot be had hold nothing up", async () => {
  const made = await pair();
  withMedia(made, () => {
    throw new Error("no statistics");
  });
  const receipt = await made.time.until(made.a.close());
  assert.ok(receipt.clean && receipt.path === "graceful");
  assert.deepEqual(receipt.media, {});
});
