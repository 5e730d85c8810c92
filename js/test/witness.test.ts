/** One machine, and a peer that says what the test says: closing rules S1 to S10, and the bounds of what it may say. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { COST, encodeHeader, FIRST_ID_LARGER } from "../src/protocol/control.js";
import { Ledger } from "../src/session/ledger.js";
import type { Action } from "../src/session/machine/actions.js";
import { Budget } from "../src/session/machine/budget.js";
import { Violation } from "../src/session/machine/flow.js";
import { SessionMachine } from "../src/session/machine/machine.js";
import { DEFAULTS, type Options } from "../src/session/machine/options.js";
import { Receiver } from "../src/session/machine/receiver.js";
import { Sender } from "../src/session/machine/sender.js";
import { CloseReceipt } from "../src/session/receipt.js";

const bytes = (size: number) => new Uint8Array(size);
const header = (seq: number, more: object = {}) =>
  encodeHeader({ seq, text: false, first: true, last: true, index: 0, again: undefined, ...more });
const message = (seq: number, size: number, more: object = {}) =>
  Uint8Array.from([...header(seq, more), ...bytes(size)]);

/** Side a, open, with a channel that side b has opened too. */
class One {
  now = 1;
  readonly machine: SessionMachine;
  readonly done: Action[] = [];

  constructor(options: Partial<Options> = {}) {
    this.machine = new SessionMachine({ me: "a", peer: "b", options });
    const { machine } = this;
    machine.start(this.now);
    machine.controlOpened(1, 65536, this.now);
    const { session } = machine;
    const capabilities = DEFAULTS.capabilities;
    this.hear({ type: "hello", version: 1, peer: "b", session, epoch: 1, have: {}, heartbeatMs: 1000, capabilities });
    machine.openChannel("chat", { ordered: true, reliability: {} }, this.now);
    const { id } = machine.channels.get("chat")!;
    this.hear({ type: "opened", name: "chat", id, window: 1000 });
    machine.streamOpened(1, id, this.now);
    this.look();
    assert.equal(machine.state, "open");
  }

  hear(said: object): void {
    this.machine.controlReceived(1, JSON.stringify(said), this.now);
    this.look();
  }

  /** Do what it asks, as far as a connection that ends does it by itself. */
  look(): void {
    for (let action = this.machine.pollAction(); action; action = this.machine.pollAction()) {
      this.done.push(action);
      if (action.type === "Release") this.machine.released(action.epoch, this.now);
    }
  }

  /** Let time pass: until then, or until it holds. */
  run(until: number, when?: () => boolean): void {
    for (let turn = 0; !when?.(); turn++) {
      assert.ok(turn < 10_000, "it goes round and round");
      const due = this.machine.pollTimeout();
      if (due === undefined || due > until) {
        assert.ok(!when, `never: ${this.machine.state}`);
        this.now = until;
        return;
      }
      this.now = Math.max(this.now, due);
      this.machine.handleTimeout(this.now);
      this.look();
    }
  }

  said(type: string): object[] {
    return this.done.flatMap((action) => {
      const said = action.type === "SendControl" ? JSON.parse(action.text) : {};
      return said.type === type ? [said] : [];
    });
  }

  asked<T extends Action["type"]>(type: T): Action[] {
    return this.done.filter((action) => action.type === type);
  }
}

const left = { code: "left" };

describe("a close", () => {
  for (const times of [
    [5, 1],
    [1, 5],
  ]) {
    test(`of ${times.join(" and ")} seconds ends within the shorter time (S1)`, () => {
      const one = new One();
      for (const seconds of times) one.machine.askClose(left, seconds, one.now);
      one.run(20, () => one.machine.state === "closed");
      assert.ok(one.now > 1.7 && one.now <= 2.05, `${one.now}`);
    });
  }

  test("is not moved by a deadline that the other side says again (S1)", () => {
    const one = new One();
    const far = { type: "closing", receipt: one.machine.receipt, reason: left, final: { chat: 9 } };
    one.hear({ ...far, deadlineMs: 600_000 });
    one.machine.askClose(left, 2, one.now);
    one.hear({ ...far, deadlineMs: 900_000 });
    one.run(2000, () => one.machine.state === "closed");
    assert.ok(one.now <= 3.05, `${one.now}`);
  });

  test("sends nothing after its last word (S6)", () => {
    const one = new One();
    const { machine } = one;
    for (let n = 0; n < 3; n++) machine.send("chat", { data: bytes(1000), text: false, again: undefined }, one.now);
    machine.askClose(left, 1, one.now);
    one.run(3, () => machine.closing?.saidClosed !== undefined);
    assert.deepEqual([machine.state, machine.active, one.asked("SendData").length], ["closing", 1, 1]);
    one.hear({ type: "ack", channels: { chat: { upTo: 1, window: 100_000 } } });
    one.run(3, () => machine.state === "closed");
    assert.equal(one.asked("SendData").length, 1);
    assert.equal(machine.outcome!.channels.get("chat")!.sent.unsent!.messages, 2);
  });

  test("of the other side's that brings nothing more is not waited for without end", () => {
    const one = new One({ closingPatience: 10 });
    const { receipt } = one.machine;
    one.hear({ type: "closing", receipt, reason: left, deadlineMs: 3_600_000, final: { chat: 9 } });
    one.run(5000, () => one.machine.state === "closed");
    assert.ok(one.now >= 11 && one.now <= 12, `${one.now}`);
  });
});

describe("each message is in one place (S2)", () => {
  /** Six messages of 1 to 6 bytes have left, a seventh has not; one is acknowledged, then the other side says this. */
  function closed(ordered: boolean, account: object): [receipt: CloseReceipt, unknown: number[], unsent: number[]] {
    const one = new One();
    const { machine } = one;
    machine.openChannel("other", { ordered, reliability: {} }, one.now);
    const { id, sender } = machine.channels.get("other")!;
    one.hear({ type: "opened", name: "other", id, window: 6 * COST });
    machine.streamOpened(1, id, one.now);
    for (let size = 1; size <= 7; size++)
      machine.send("other", { data: bytes(size), text: false, again: undefined }, one.now);
    one.look();
    one.hear({ type: "ack", channels: { other: { upTo: 1, window: 0 } } });
    assert.equal(sender.started, 6);
    const { receipt } = machine;
    one.hear({ type: "closed", receipt, closer: "b", reason: left, channels: { other: account } });
    one.run(20, () => machine.state === "closed");
    const made = new CloseReceipt(machine.outcome!, new Ledger([]), "", new Map([["other", sender]]));
    return [made, made.unknown("other").map(({ seq }) => seq), made.unsent("other").map(({ seq }) => seq)];
  }

  test("what was taken and not acknowledged is not unknown", () => {
    const [receipt, unknown, unsent] = closed(true, { taken: { messages: 4, bytes: 10 } });
    assert.ok(receipt.confirmed);
    assert.deepEqual([unknown, unsent], [[5, 6], [7]]);
    const { delivered, unknown: left } = receipt.channels.other!.sent;
    assert.deepEqual(
      [delivered, left],
      [
        { messages: 4, bytes: 10 },
        { messages: 2, bytes: 11 },
      ],
    );
  });

  test("which ones of an unordered channel is told", () => {
    const account = {
      taken: { messages: 4, bytes: 14 },
      upTo: 1,
      ranges: [
        [3, 4],
        [6, 6],
      ],
    };
    const [receipt, unknown, unsent] = closed(false, account);
    assert.ok(receipt.confirmed);
    assert.deepEqual([unknown, unsent], [[2, 5], [7]]);
  });

  test("what the version before does not tell stays unknown", () => {
    const [receipt, unknown] = closed(false, { taken: { messages: 4, bytes: 14 } });
    assert.ok(receipt.confirmed);
    assert.deepEqual(unknown, [2, 3, 4, 5, 6]);
  });

  for (const [ordered, account] of [
    [true, { taken: { messages: 3, bytes: 7 } }],
    [false, { taken: { messages: 1, bytes: 1 }, upTo: 2 }],
    [false, { taken: { messages: 4, bytes: 14 }, upTo: 7 }],
    [false, { taken: { messages: 4, bytes: 14 }, upTo: 1, ranges: [[6, 7]] }],
    [false, { taken: { messages: 4, bytes: 14 }, upTo: 3, ranges: [[3, 4]] }],
    [false, { taken: { messages: 4, bytes: 14 }, upTo: 1, ranges: [[4, 3]] }],
  ] as [boolean, object][]) {
    test(`an account of others than it counts is refused: ${JSON.stringify(account)}`, () => {
      const [receipt, unknown] = closed(ordered, account);
      assert.ok(!receipt.confirmed);
      assert.deepEqual(unknown, [2, 3, 4, 5, 6]);
    });
  }
});

describe("an acknowledgement", () => {
  function sending(count: number): Sender {
    const sender = new Sender(true, 1 << 20);
    sender.counted = true;
    sender.granted(10_000);
    for (let n = 0; n < count; n++) sender.accept({ data: bytes(5), text: false, again: undefined });
    assert.equal([...sender.frames(1 << 20, 1200)].length, count);
    return sender;
  }

  test("that is older than the last is ignored (S5)", () => {
    const sender = sending(4);
    assert.ok(sender.acknowledge({ upTo: 3, window: 2000 }));
    assert.ok(!sender.acknowledge({ upTo: 1, window: 50 }));
    assert.deepEqual([sender.acked, sender.window, sender.delivered.messages], [3, 2000, 3]);
    assert.ok(sender.isAcknowledged(3) && !sender.isAcknowledged(4));
  });

  test("by ranges is delivery, and what it names does not come again (S5)", () => {
    const sender = sending(9);
    sender.acknowledge({
      upTo: 1,
      ranges: [
        [3, 4],
        [7, 8],
      ],
      window: 10_000,
    });
    assert.deepEqual(
      [...sender.flight].map(({ seq }) => seq),
      [2, 5, 6, 9],
    );
    assert.deepEqual(sender.delivered.total(), { messages: 5, bytes: 25 });
    assert.equal(sender.rewind(1), 4);
    assert.deepEqual(
      [...sender.queue].map(({ seq }) => seq),
      [2, 5, 6, 9],
    );
  });

  for (const [upTo, ranges] of [
    [10, []],
    [1, [[3, 10]]],
    [3, [[3, 4]]],
    [1, [[3, 2]]],
    [
      1,
      [
        [5, 6],
        [3, 4],
      ],
    ],
    [
      1,
      [
        [3, 5],
        [5, 6],
      ],
    ],
  ] as [number, [number, number][]][]) {
    test(`that cannot be is a violation: ${upTo}, ${JSON.stringify(ranges)}`, () => {
      assert.throws(() => sending(9).acknowledge({ upTo, ranges, window: 10_000 }), Violation);
    });
  }

  test("of what was never sent is one too, on a new connection", () => {
    const sender = new Sender(true, 1 << 20);
    sender.accept({ data: bytes(1), text: false, again: undefined });
    assert.equal(sender.rewind(0), 0);
    assert.throws(() => sender.rewind(1), Violation);
  });
});

describe("a reset", () => {
  test("full closes the old connection before there is a new one (S8)", () => {
    const one = new One();
    one.machine.askReset("full", one.now);
    one.look();
    one.hear({ type: "resetOk", asker: "a", n: 1, epoch: 2, level: "full" });
    const steps = one.done.filter(({ type }) => type === "Release" || type === "Connect").map(({ type }) => type);
    assert.deepEqual(steps, ["Connect", "Release", "Connect"]);
  });

  test("that is asked for twice is one (S8)", () => {
    const one = new One();
    for (const level of ["transport", "transport", "ice"] as const) one.machine.askReset(level, one.now);
    one.look();
    assert.equal(one.said("reset").length, 1);
    assert.equal(one.machine.reset!.level, "transport");
  });

  test("that both ask for is of the higher level (S8)", () => {
    const one = new One();
    one.machine.askReset("ice", one.now);
    one.hear({ type: "reset", asker: "b", n: 1, epoch: 2, level: "transport" });
    assert.deepEqual(one.said("resetOk"), [{ type: "resetOk", asker: "b", n: 1, epoch: 2, level: "transport" }]);
    assert.equal(one.asked("Connect").length, 2);
  });

  test("of the other side's waits when there were too many", () => {
    const one = new One({ peerResetsBurst: 2 });
    for (let n = 1; n <= 3; n++) {
      one.hear({ type: "reset", asker: "b", n, epoch: 1, level: "ice" });
      one.machine.negotiated(1, one.now);
      one.hear({ type: "pong", n: 1000 });
      assert.equal(one.said("resetOk").length, Math.min(n, 2));
    }
    one.hear({ type: "pong", n: 1000 });
    one.run(one.now + 2.1);
    assert.equal(one.said("resetOk").length, 3);
  });

  test("names no connection that is far ahead", () => {
    for (const [epoch, cause] of [
      [1025, undefined],
      [1026, "protocol-error"],
    ] as const) {
      const one = new One();
      one.hear({ type: "cancel", epoch });
      one.run(one.now + 0.9);
      assert.equal(one.machine.outcome?.cause, cause);
    }
  });
});

describe("in a silence", () => {
  for (const state of ["disconnected", "failed"]) {
    test(`the ICE state alone (${state}) is not believed (S7)`, () => {
      const one = new One();
      one.machine.iceChanged(1, state, one.now);
      assert.equal(one.machine.state, "open");
      one.hear({ type: "pong", n: 1 });
      one.run(one.now + 0.9);
      assert.deepEqual([one.machine.state, one.machine.active], ["open", 1]);
    });
  }

  test("a socket that ended makes it look at once (S7)", () => {
    const one = new One();
    const began = one.now;
    one.machine.presenceChanged("away", began);
    one.run(began + 5, () => one.machine.state === "suspect");
    assert.ok(one.now - began <= 1, `${one.now - began}`);
    assert.equal(one.machine.evidence.reported, "crashed");
  });

  test("signaling that is back makes it try at once (S10)", () => {
    const one = new One();
    one.machine.signalingChanged(false, one.now);
    one.run(one.now + 12);
    assert.equal(one.machine.state, "suspect");
    one.now += 0.1;
    one.machine.signalingChanged(true, one.now);
    one.look();
    assert.equal(one.machine.state, "recovering");
  });
});

describe("the bounds of what a peer may send", () => {
  function receiving({ ordered = true, reliable = true, counted = true } = {}): Receiver {
    const receiver = new Receiver(ordered, reliable, new Budget(1 << 20, 200_000, 100_000), true);
    receiver.counted = counted;
    receiver.grant();
    return receiver;
  }

  for (const counted of [true, false]) {
    for (const reliable of [true, false]) {
      for (const last of [true, false]) {
        const words = [reliable ? "reliable" : "unreliable", counted ? "counted" : "of the version before"];
        test(`nothing begins before its turn where there is an order (${[...words, last ? "whole" : "a half"]})`, () => {
          const receiver = receiving({ reliable, counted });
          receiver.receive(1, message(1, 1, { last: false }));
          const following = message(2, 1, { last });
          if (reliable) assert.throws(() => receiver.receive(1, following), /message 2 after message 0/);
          else receiver.receive(1, following);
          assert.ok(receiver.unfinished.messages <= 1);
        });
      }
    }
  }

  for (const counted of [true, false]) {
    test(`the largest message (${counted ? "counted" : "of the version before"})`, () => {
      const receiver = receiving({ counted });
      assert.ok(receiver.receive(1, message(1, 100_000)));
      assert.throws(() => receiver.receive(1, message(2, 100_001)), /larger than 100000/);
    });
  }

  test("credit, in bytes and in messages", () => {
    for (const size of [0, 5000]) {
      const receiver = receiving();
      const flood = () => {
        for (let seq = 1; seq < 10_000; seq++) receiver.receive(1, message(seq, size));
      };
      assert.throws(flood, /more than the credit given/);
      assert.ok(receiver.line.length * (COST + size) < 400_000);
      assert.ok(receiver.budget.used <= receiver.budget.size);
    }
  });

  test("the budget, where messages do not count", () => {
    const receiver = receiving({ counted: false });
    const flood = () => {
      for (let seq = 1; seq < 50_000; seq++) receiver.receive(1, message(seq, 1));
    };
    assert.throws(flood, /that a session holds/);
    assert.ok(receiver.budget.used <= receiver.budget.size);
  });

  test("sixteen halves, and a short queue, of an unreliable channel", () => {
    const receiver = receiving({ ordered: false, reliable: false });
    for (let seq = 1; seq <= 40; seq++) receiver.receive(1, message(seq, 10, { last: false }));
    assert.equal(receiver.dropped, 24);
    assert.ok(receiver.receive(1, message(40, 1, { first: false, index: 1 })));
    for (let seq = 41; seq <= 140; seq++) receiver.receive(1, message(seq, 10_000));
    assert.ok(receiver.line.length > 10 && receiver.line.bytes <= 200_000, `${receiver.line.length}`);
  });

  test("one hello on a connection", () => {
    const one = new One();
    one.hear({ type: "hello", version: 1, peer: "b", session: one.machine.session, epoch: 1, have: {} });
    one.run(60, () => one.machine.state === "closed");
    const { reason, cause } = one.machine.outcome!;
    assert.deepEqual([cause, reason.text], ["protocol-error", "a second hello"]);
  });

  test("channels", () => {
    const one = new One({ maxChannels: 3 });
    for (let n = 0; n < 5; n++) one.hear({ type: "open", name: `c${n}`, id: FIRST_ID_LARGER - 2 * n, window: 1 });
    assert.deepEqual([one.machine.channels.size, one.machine.state], [3, "open"]);
  });
});
