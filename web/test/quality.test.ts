import assert from "node:assert/strict";
import { test } from "node:test";
import { Gauge, type Quality, type Sample, sampleOf } from "../src/model/quality.js";
import { connectionTrouble, connectionWords } from "../src/model/words.js";

type Given = Partial<Omit<Sample, "received">> & { packets?: number };

/** Feed samples, each with what is new since the one before; return the last judgement. */
function judged(...given: Given[]): Quality {
  const gauge = new Gauge();
  let [received, all] = [0, 0];
  let quality: Quality | undefined;
  for (const { packets = 100, lost = 0, relay = false, trip = 0.02, missed } of given) {
    received += packets;
    all += lost;
    quality = gauge.add({ relay, trip, received, lost: all, missed });
  }
  return quality!;
}

const times = (count: number, given: Given): Given[] => Array.from({ length: count }, () => given);

test("a connection that is fine says nothing", () => {
  const fine = judged(...times(8, {}));
  assert.equal(connectionTrouble(fine), "");
  assert.equal(connectionTrouble(undefined), "");
  assert.equal(connectionWords(fine), "Direct, 20 ms there and back, nothing is lost.");
  assert.equal(
    connectionWords(judged(...times(8, { relay: true, packets: 0 }))),
    "By a relay, as no direct way works, 20 ms there and back.",
  );
});

test("losses are told with their part and, if there is one, the relay; in both directions", () => {
  assert.equal(
    connectionTrouble(judged(...times(8, { packets: 90, lost: 10 }))),
    "Weak connection: 10 % of the packets are lost",
  );
  const missed = judged(...times(8, { missed: 0.2, relay: true }));
  assert.equal(
    connectionTrouble(missed),
    "Weak connection: 20 % of the packets are lost. A relay passes everything on.",
  );
});

test("a slow path is shown with its round-trip time", () => {
  assert.equal(connectionTrouble(judged(...times(8, { trip: 0.62 }))), "Slow connection: 0.6 seconds there and back");
});

test("one odd look changes nothing, and what is near the bound does not flicker", () => {
  assert.equal(judged(...times(5, {}), { trip: 3 }, {}, {}).trouble, "");
  assert.equal(judged({ trip: 3 }, { trip: 3 }).trouble, "", "nor the first ones, while it begins");
  const near = [...times(6, { packets: 90, lost: 10 }), ...times(6, { packets: 96, lost: 4 })];
  assert.equal(judged(...near).trouble, "lossy");
  assert.equal(judged(...near, ...times(6, { packets: 99, lost: 1 })).trouble, "");
  assert.equal(judged(...times(6, { packets: 96, lost: 4 })).trouble, "");
});

test("a new connection counts from the beginning, and a few packets say nothing", () => {
  const gauge = new Gauge();
  const sample = { relay: false, trip: 0.1, missed: undefined };
  for (let at = 1; at < 6; at++) gauge.add({ ...sample, received: at * 1000, lost: 0 });
  const after = gauge.add({ ...sample, received: 10, lost: 5 });
  assert.deepEqual([after.trouble, after.loss], ["", undefined]);
  assert.equal(judged(...times(8, { packets: 4, lost: 4 })).loss, undefined);
});

test("the statistics of Chromium and Firefox are read", () => {
  const common: [string, Record<string, unknown>][] = [
    ["L", { type: "local-candidate", candidateType: "host" }],
    ["R", { type: "remote-candidate", candidateType: "relay" }],
    ["I1", { type: "inbound-rtp", packetsReceived: 10, packetsLost: 2 }],
    ["I2", { type: "inbound-rtp", packetsReceived: 5, packetsLost: -1 }],
    ["M", { type: "remote-inbound-rtp", fractionLost: 0.25, roundTripTime: 0.3 }],
  ];
  const pair = { type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R" };
  const expected = { relay: true, trip: 0.05, received: 15, lost: 1, missed: 0.25 };
  const chromium: typeof common = [
    ...common,
    ["T", { type: "transport", selectedCandidatePairId: "P" }],
    ["P", { ...pair, currentRoundTripTime: 0.05 }],
    ["Q", { ...pair, currentRoundTripTime: 9, localCandidateId: "x" }],
  ];
  assert.deepEqual(sampleOf(chromium), expected);
  assert.deepEqual(sampleOf([...common, ["P", { ...pair, selected: true }]]), { ...expected, trip: 0.3 });
  assert.equal(sampleOf(common), undefined);
  assert.deepEqual(sampleOf([["P", { type: "candidate-pair", selected: true, currentRoundTripTime: "soon" }]]), {
    relay: false,
    trip: undefined,
    received: 0,
    lost: 0,
    missed: undefined,
  });
});
