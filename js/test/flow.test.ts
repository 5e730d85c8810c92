/** The two directions of a channel: pieces in any order, floods that are packed, acknowledgements in one pass. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as control from "../src/protocol/control.js";
import { COST, SMALL } from "../src/protocol/control.js";
import { Budget } from "../src/session/machine/budget.js";
import { Violation } from "../src/session/machine/flow.js";
import { type Payload, Ranges } from "../src/session/machine/held.js";
import { SessionMachine } from "../src/session/machine/machine.js";
import { Receiver } from "../src/session/machine/receiver.js";
import { Sender } from "../src/session/machine/sender.js";

const WINDOW = 1 << 22;
const MESSAGE = 1 << 24;

function receiver({ ordered = false, counted = true } = {}): Receiver {
  const made = new Receiver(ordered, true, new Budget(1 << 26, WINDOW, MESSAGE), true);
  made.counted = counted;
  made.grant();
  return made;
}

function frame(seq: number, data: number[], { first = true, last = true, index = 0, text = false } = {}): Uint8Array {
  const header = control.encodeHeader({ seq, text, first, last, index, again: undefined });
  return Uint8Array.from([...header, ...data]);
}

function piece(index: number, last = false, data = [index, index]): Uint8Array {
  return frame(1, data, { first: index === 0, last, index });
}

function permutations<T>(items: T[]): T[][] {
  if (items.length < 2) return [items];
  return items.flatMap((item, at) =>
    permutations(items.filter((_, other) => other !== at)).map((rest) => [item, ...rest]),
  );
}

describe("a receiver", () => {
  test("takes the pieces of a message in any order where there is none", () => {
    for (const order of permutations([0, 1, 2, 3])) {
      const one = receiver();
      assert.deepEqual(
        order.map((index) => one.receive(1, piece(index, index === 3))),
        [false, false, false, true],
      );
      assert.deepEqual([...one.take()!.data], [0, 0, 1, 1, 2, 2, 3, 3]);
      assert.ok(one.reserve <= WINDOW + MESSAGE + control.COST);
    }
  });

  test("refuses a piece that contradicts the others, and keeps nothing of it", () => {
    for (const wrong of [piece(1), piece(5), piece(2, true), frame(1, [1])]) {
      const one = receiver();
      one.receive(1, piece(1));
      one.receive(1, piece(4, true));
      assert.throws(() => one.receive(1, wrong), Violation);
      assert.equal(one.line.length, 0);
    }
  });

  test("forgets the halves of the connection before, and ignores what still comes of it", () => {
    const one = receiver({ ordered: true });
    one.receive(1, piece(0, false, [1]));
    one.receive(2, piece(0, false, [2]));
    assert.equal(one.receive(1, piece(1, true, [1])), false);
    assert.equal(one.receive(1, frame(2, [1])), false);
    assert.equal(one.receive(2, piece(1, true, [2])), true);
    assert.deepEqual([...one.take()!.data], [2, 2]);
    assert.equal(one.take(), undefined);
  });

  test("counts all that lies there as taken in one step of a close", () => {
    const one = receiver({ ordered: true });
    for (let seq = 1; seq <= 16_000; seq++) one.receive(1, frame(seq, []));
    assert.equal(one.keep(1 << 26), 0);
    assert.deepEqual([one.taken.messages, one.upTo, one.line.length], [16_000, 16_000, 0]);
    let read = 0;
    while (one.take()) read++;
    assert.equal(read, 16_000);
  });

  test("packs a flood of small messages of the version before, and gives them as they came", () => {
    const one = receiver({ ordered: true, counted: false });
    const again: control.Again = ["0123456789abcdef".repeat(2), Number.MAX_SAFE_INTEGER];
    const sent: Payload[] = Array.from({ length: 60_000 }, (_, n) => ({
      data: new Uint8Array(n % 5).fill(n % 251),
      text: n % 2 === 1,
      again: n % 7 === 0 ? again : undefined,
    }));
    sent.forEach((payload, at) => {
      const { text } = payload;
      const header = control.encodeHeader({
        seq: at + 1,
        text,
        first: true,
        last: true,
        index: 0,
        again: payload.again,
      });
      assert.equal(one.receive(1, Uint8Array.from([...header, ...payload.data])), true);
    });
    assert.deepEqual([one.line.front.length, one.line.length], [4096, 60_000]);
    assert.ok(one.budget.used === one.reserve && one.reserve < 4_000_000);
    assert.equal(one.grant(), 0, "no more, please");
    for (const { data, text, again: first } of sent) {
      const taken = one.take()!;
      assert.deepEqual([taken.text, taken.again], [text, first]);
      assert.ok(taken.data.length === data.length && taken.data.every((byte, at) => byte === data[at]));
    }
    assert.deepEqual([one.take(), one.reserve, one.grant()], [undefined, 0, WINDOW]);
  });
});

describe("a sender", () => {
  test("has no more under way than its own bound, and an acknowledgement takes one pass over it", () => {
    const sender = new Sender(true);
    sender.counted = true;
    sender.granted(Number.MAX_SAFE_INTEGER);
    for (let n = 0; n < 200_000; n++) sender.accept({ data: new Uint8Array(), text: false });
    for (const _ of sender.frames(1 << 30, 65536));
    assert.equal(sender.flight.length, 16_384);
    const ranges = Array.from({ length: 256 }, (_, at): [number, number] => [2 + 64 * at, 2 + 64 * at]);
    const took = [1, 2, 3].map(() => {
      const began = process.cpuUsage();
      sender.acknowledge({ upTo: 0, ranges, window: 0 });
      const { user, system } = process.cpuUsage(began);
      return user + system;
    });
    assert.ok(Math.min(...took) <= 50_000, `${took} µs`);
    assert.equal(sender.delivered.messages, 256);
    assert.ok(sender.isAcknowledged(2) && !sender.isAcknowledged(3));
  });

  test("refuses ranges that do not rise, or are of what was never sent", () => {
    const wrong: [number, number][][] = [
      [[9, 1]],
      [[0, 1]],
      [
        [3, 4],
        [4, 5],
      ],
      [
        [5, 6],
        [2, 3],
      ],
      [[4, 99]],
    ];
    for (const ranges of wrong) {
      const sender = new Sender(true);
      sender.granted(1 << 20);
      for (let n = 0; n < 10; n++) sender.accept({ data: new Uint8Array(), text: false });
      for (const _ of sender.frames(1 << 20, 65536));
      assert.throws(() => sender.acknowledge({ upTo: 0, ranges, window: 1 }), Violation);
      assert.equal(sender.delivered.messages, 0);
    }
  });
});

test("runs of numbers stay runs, however they come", () => {
  const runs = new Ranges();
  for (const [first, last] of [
    [5, 6],
    [9, 9],
    [7, 7],
    [1, 2],
    [4, 4],
    [20, 30],
    [8, 22],
  ] as const)
    runs.add(first, last);
  assert.deepEqual(runs.runs(9), [
    [1, 2],
    [4, 30],
  ]);
  assert.deepEqual(
    [1, 3, 4, 30, 31].map((number) => runs.has(number)),
    [true, false, true, true, false],
  );
  assert.deepEqual([runs.advance(0), runs.size, runs.advance(3), runs.size, runs.last], [2, 1, 30, 0, 0]);
});

test("a budget that cannot hold one of each is refused, and the error says how much it needs", () => {
  const made = (options: object) => () => new SessionMachine({ me: "a", peer: "b", options });
  assert.throws(made({ budget: 1000 }), /budget=1000: .* needs \d+ bytes/);
  assert.throws(made({ maxMessage: 100_000_000 }), /maxMessage=100000000/);
});

describe("where credit is short", () => {
  const LARGEST = 100_000;

  function made(budget: Budget, reliable = true): Receiver {
    const receiver = new Receiver(false, reliable, budget, true);
    receiver.counted = true;
    return receiver;
  }

  /** A receiver that has used up a large window, where other channels have left so much room for windows. */
  function tight(room: number): Receiver {
    const budget = new Budget(1 << 20, 200_000, LARGEST);
    const receiver = made(budget);
    receiver.grant();
    for (const seq of [1, 2]) {
      receiver.receive(1, frame(seq, new Array(LARGEST).fill(0)));
      receiver.take();
    }
    assert.deepEqual([receiver.reserve, receiver.edge, receiver.largeEdge], [0, 200_000, 200_000]);
    budget.used += budget.free - budget.lastRoom - room;
    return receiver;
  }

  test("a large window that is used up is not counted again when a gap follows", () => {
    const receiver = tight(SMALL + COST + 10_000);
    assert.equal(receiver.grant(), 10_000);
    const { reserve } = receiver;
    receiver.receive(1, frame(4, [1]));
    assert.ok(receiver.beyond.size);
    assert.equal(receiver.reserve, reserve);
  });

  test("a turn is given where no window helps, and its room comes back as it is taken", () => {
    const receiver = tight(0);
    const { used } = receiver.budget;
    assert.deepEqual([receiver.grant(), receiver.budget.used], [0, used]);
    receiver.ask(1 << 20, { upTo: 5, cost: 3 * (10_000 + COST) });
    assert.ok(receiver.hungry && receiver.stuck && receiver.giveTurn() && !receiver.stuck);
    assert.equal(receiver.acknowledgement().turn, 5);
    let left = 3;
    for (const seq of [3, 5, 4]) {
      receiver.receive(1, frame(seq, new Array(10_000).fill(0)));
      receiver.take();
      assert.deepEqual([receiver.grant(), receiver.reserve], [0, --left * (10_000 + COST)]);
    }
    assert.equal(receiver.acknowledgement().turn, 0);
    assert.equal(receiver.budget.used, used, "what was taken is behind the edge, and nothing was given");
    assert.throws(() => receiver.receive(1, frame(6, [])), /credit/);
  });

  test("a turn waits for room, and no more is lent than the largest message", () => {
    const receiver = tight(0);
    receiver.ask(1 << 20, { upTo: Number.MAX_SAFE_INTEGER, cost: Number.MAX_SAFE_INTEGER });
    receiver.budget.used++;
    assert.ok(!receiver.giveTurn() && receiver.stuck);
    receiver.budget.used--;
    assert.ok(receiver.giveTurn());
    assert.deepEqual([receiver.budget.free, receiver.reserve], [0, LARGEST + COST]);
    assert.equal(receiver.turn, 2 + Math.floor((LARGEST + COST) / COST));
  });

  test("what is unreliable makes way for a turn", () => {
    const receiver = tight(0);
    const { budget } = receiver;
    const other = made(budget, false);
    for (const seq of [1, 2]) other.receive(1, frame(seq, new Array(45_000).fill(0), { last: false }));
    receiver.ask(1 << 20, { upTo: 3, cost: 50_000 });
    assert.ok(budget.free < 50_000 && receiver.giveTurn());
    assert.ok(other.dropped === 1 && budget.free >= 0, "no more than is needed");
  });

  test("a sender starts what its turn was asked for, and no more", () => {
    const sender = new Sender(true);
    sender.counted = true;
    for (const size of [100, 100, SMALL, 100])
      sender.accept({ data: new Uint8Array(size), text: false, again: undefined });
    assert.deepEqual(sender.wanted()?.turn, { upTo: 2, cost: 2 * (100 + COST) }, "as many as fit in a lot");
    assert.equal(sender.wanted(), undefined, "asked once");
    sender.granted(0, Number.MAX_SAFE_INTEGER);
    assert.equal([...sender.frames(1 << 20, 65536)].length, 2);
    assert.equal(sender.wanted()?.turn, undefined, "an acknowledgement is to come, and may bring a window");
    sender.acknowledge({ upTo: 2, window: 0 });
    assert.deepEqual(sender.wanted()?.turn, { upTo: 3, cost: SMALL + COST });
  });
});
