/** The messages in vectors/protocol, which the Python tests replay too. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compare, hex, sendable } from "../src/bytes.js";
import { Deque } from "../src/deque.js";
import { Bucket } from "../src/protocol/bucket.js";
import * as control from "../src/protocol/control.js";
import { receiptId, sessionId } from "../src/protocol/ids.js";
import { fromClientType, fromServerType, leavingType } from "../src/protocol/messages.js";
import { Incoming, Outgoing } from "../src/protocol/replay.js";
import * as signaling from "../src/protocol/signaling.js";
import { Sha256 } from "../src/sha256.js";
import { fromHex, vectors } from "./vectors.js";

interface Case {
  name: string;
  json: string;
  written: string;
}

describe("control messages", () => {
  const { valid, equal, ignored, invalid } = vectors("protocol/control") as Record<string, Case[]>;
  for (const { name, json } of valid!) {
    test(`${name} is read and written the same`, () => assert.equal(control.encode(control.decode(json)!), json));
  }
  for (const { name, json, written } of equal!) {
    test(`${name} is written in one way`, () => assert.equal(control.encode(control.decode(json)!), written));
  }
  for (const { name, json } of ignored!) {
    test(`${name} is ignored`, () => assert.equal(control.decode(json), undefined));
  }
  for (const { name, json } of invalid!) {
    test(`${name} is an error that says why`, () => assert.throws(() => control.decode(json), TypeError));
  }
  test("one that is too long is an error", () => {
    const json = JSON.stringify({ type: "ping", n: 1, pad: "x".repeat(control.MAX_CONTROL) });
    assert.throws(() => control.decode(json), /limit/);
  });
  test("names like those of an object's prototype are names like others", () => {
    const json = '{"type":"switch","epoch":2,"have":{"__proto__":1,"constructor":2}}';
    const word = control.decode(json) as { have: Map<string, number> };
    assert.deepEqual(
      [...word.have],
      [
        ["__proto__", 1],
        ["constructor", 2],
      ],
    );
    assert.equal(control.encode(word as never), json);
    assert.throws(() => control.decode('{"type":"moved","__proto__":{"peer":"x"}}'), TypeError);
  });
});

describe("a text that comes by signaling is a line without control characters", () => {
  const { texts, messages } = vectors("protocol/lines") as {
    texts: [said: string, read: string][];
    messages: { from: string; message: Record<string, unknown>; member: string }[];
  };
  for (const { from, message, member } of messages) {
    test(`${from} ${message.type}`, () => {
      const decode = from === "client" ? signaling.decodeClient : signaling.decodeServer;
      const read = (text: string) =>
        (decode(JSON.stringify({ ...message, [member]: text })).message as unknown as Record<string, unknown>)[member];
      for (const [said, cleaned] of texts) assert.equal(read(said), cleaned);
      assert.equal(read("é".repeat(3000)), "é".repeat(1024));
    });
  }

  test("of a page that goes away", () => {
    for (const [said, cleaned] of texts) {
      assert.equal(leavingType.read({ resumeToken: "x", reason: said }, "leaving").reason, cleaned);
    }
  });
});

describe("signaling messages", () => {
  const all = vectors("protocol/signaling");
  for (const [side, decode] of [
    ["client", signaling.decodeClient],
    ["server", signaling.decodeServer],
  ] as const) {
    const { valid, equal, ignored, invalid } = all[side] as Record<string, Case[]>;
    for (const { name, json } of valid!) {
      test(`${side}: ${name} is read and written the same`, () => {
        const { envelope, message } = decode(json);
        assert.deepEqual(envelope, {});
        // A whole number is written without a fraction here, and only read where another language writes one.
        assert.equal(signaling.encodeBody(message!), json.replace(/(\d)\.0(?=[,}])/g, "$1"));
      });
    }
    for (const { name, json, written } of equal!) {
      test(`${side}: ${name} is written in one way`, () => {
        assert.equal(signaling.encodeBody(decode(json).message!), written);
      });
    }
    for (const { name, json } of ignored!) {
      test(`${side}: ${name} keeps its envelope`, () => {
        const { envelope, message } = decode(json);
        const { id, seq } = JSON.parse(json);
        assert.equal(message, undefined);
        assert.deepEqual([envelope.id, envelope.seq], [id, seq]);
      });
    }
    for (const { name, json } of invalid!) {
      test(`${side}: ${name} is an error that says why`, () => assert.throws(() => decode(json), TypeError));
    }
  }
  for (const { name, json, id, seq, ack } of all.envelopes) {
    test(`an envelope stands before the message: ${name}`, () => {
      const { envelope, message } = signaling.decodeClient(json);
      assert.deepEqual([envelope.id ?? null, envelope.seq ?? null, envelope.ack ?? null], [id, seq, ack]);
      assert.equal(signaling.wrap(signaling.encodeBody(message!), { id, seq, ack }), json);
    });
  }
  for (const { code, name, final } of all.closeCodes) {
    test(`close code ${code} is ${final ? "" : "not "}final`, () => {
      assert.equal(signaling.isFinal(code), final);
      if (name) assert.equal(signaling.CLOSE_CODES[name as "QUIT"], code);
    });
  }
  for (const { name, json } of all.beacon.valid) {
    test(`a beacon ${name} is read and written the same`, () => {
      assert.equal(leavingType.write(leavingType.read(JSON.parse(json), "beacon")), json);
    });
  }
  test("there is a vector for every message", () => {
    for (const [side, kinds] of [
      ["client", fromClientType],
      ["server", fromServerType],
    ] as const) {
      const seen = new Set(all[side].valid.map(({ json }: Case) => JSON.parse(json).type));
      assert.deepEqual(seen, new Set(kinds.keys()));
    }
  });
});

describe("fragments", () => {
  const all = vectors("protocol/fragments");
  for (const { name, hex: text, payload, ...header } of all.valid) {
    const data = fromHex(text);
    test(`${name} is read and written the same`, () => {
      const fragment = control.decodeFragment(data);
      assert.deepEqual(
        { ...fragment, payload: hex(fragment.payload), again: fragment.again ?? null },
        { ...header, payload },
      );
      assert.equal(hex(control.encodeHeader({ ...header, again: header.again ?? undefined })) + payload, text);
    });
  }
  for (const { name, hex: text } of all.invalid) {
    test(`${name} is an error that says why`, () => {
      assert.throws(() => control.decodeFragment(fromHex(text)), TypeError);
    });
  }
});

describe("small things", () => {
  test("SHA-256 is what everybody else computes, however it is cut", async () => {
    for (const size of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_000]) {
      const data = Uint8Array.from({ length: size }, (_, index) => index * 31);
      const wanted = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
      assert.equal(new Sha256().add(data).hex(), wanted);
      const pieces = new Sha256();
      for (let at = 0; at < size; at += 37) pieces.add(data.subarray(at, at + 37));
      assert.equal(pieces.hex(), wanted);
    }
  });
  test("both sides compute the same ids", () => {
    const { steps, outcome } = vectors("session/graceful_close_a");
    const hello = steps.find((step: { do?: { text?: string } }) => step.do?.text)!.do.text;
    assert.equal(sessionId("room", "b", "a"), JSON.parse(hello).session);
    assert.equal(receiptId(sessionId("room", "a", "b")), outcome.id);
    for (const { room, one, other, n, session, receipt } of vectors("protocol/ids").ids) {
      assert.deepEqual([sessionId(room, one, other, n), sessionId(room, other, one, n)], [session, session]);
      assert.equal(receiptId(session), receipt);
    }
  });
  test("names are ordered by their code points", () => {
    assert.deepEqual(["\u{1f600}", "\uff21", "a", "ab"].sort(compare), ["a", "ab", "\uff21", "\u{1f600}"]);
  });
  test("a text for the wire has no half of a pair", () => {
    assert.equal(sendable("a\u{1f600}", 2), "a\ufffd");
  });
  test("a bucket gives its burst and then its rate", () => {
    const bucket = new Bucket(10, 3, 0);
    assert.deepEqual(
      [0, 0, 0, 0].map((now) => bucket.take(now)),
      [true, true, true, false],
    );
    assert.ok(Math.abs(bucket.readyAt() - 0.1) < 1e-9);
    assert.deepEqual([bucket.take(0.099), bucket.take(0.1001)], [false, true]);
  });
  test("what is sent is kept until it is acknowledged, what comes twice is new once", () => {
    const outgoing = new Outgoing<string>();
    assert.deepEqual(
      ["a", "b", "c"].map((item) => outgoing.add(item, 10)),
      [1, 2, 3],
    );
    assert.deepEqual(outgoing.acknowledge(2), ["a", "b"]);
    assert.deepEqual(outgoing.acknowledge(1), []);
    assert.deepEqual(outgoing.kept(), [[3, "c"]]);
    assert.throws(() => outgoing.acknowledge(4), RangeError);
    const incoming = new Incoming();
    assert.deepEqual(
      [1, 2, 1, 2, 3].map((seq) => incoming.accept(seq)),
      [true, true, false, false, true],
    );
    assert.throws(() => incoming.accept(5), RangeError);
    assert.equal(incoming.say(), 3);
  });
  test("a line keeps its order at both ends", () => {
    const line = new Deque<number>();
    for (let n = 0; n < 100; n++) line.push(n);
    for (let n = 0; n < 60; n++) assert.equal(line.shift(), n);
    line.prepend([58, 59]);
    assert.deepEqual([line.length, line.first(), line.last(), line.pop()], [42, 58, 99, 99]);
    assert.deepEqual(
      [...line],
      Array.from({ length: 41 }, (_, index) => 58 + index),
    );
  });
});
