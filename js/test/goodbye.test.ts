/** The close of `goodbye`, without a browser: two of its machines over a link in virtual time, and peers that lie. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Closing, type Host, SILENT } from "../src/goodbye/closing.js";
import type { Receipt, Seen } from "../src/goodbye/receipt.js";
import { decode, encode, MAX_DEADLINE, MAX_WORD, type Word } from "../src/goodbye/words.js";

const BEGIN = { receipt: "b".repeat(32), reason: "done", reset: false };

/** Time that a test moves, and what is to happen in it. */
class Clock {
  now = 0;
  #due: { at: number; call: () => void }[] = [];

  later(delay: number, call: () => void): void {
    this.#due.push({ at: this.now + delay, call });
    this.#due.sort((one, other) => one.at - other.at);
  }

  /** Let time pass until `until`; what was awaited goes on as its moment comes. */
  async run(until: number): Promise<void> {
    for (;;) {
      for (let turn = 0; turn < 30; turn++) await undefined;
      const next = this.#due[0];
      if (!next || next.at > until) break;
      this.now = next.at;
      this.#due.shift();
      next.call();
    }
    this.now = until;
  }
}

/** One side of a connection with one channel: a message leaves each millisecond, and takes `delay`. */
class Side implements Host {
  closing: Closing | undefined;
  receipt: Receipt | undefined;
  finishedAt = 0;
  sent = 0;
  received = 0;
  buffered = 0;
  /** How long nothing leaves, by what is still in the queue. */
  pauses: Record<number, number> = {};
  reliable = true;
  /** Its channel takes no message any more. */
  closed = false;
  said: Word[] = [];
  mutual: boolean;
  youngUntil = 0;
  messageAt = Number.NEGATIVE_INFINITY;
  other!: Side;
  readonly clock: Clock;
  readonly delay: number;
  /** Its talk channel takes a word. */
  talks = true;
  #reset = false;
  #talkReset = false;

  constructor(clock: Clock, mutual: boolean, delay: number) {
    this.clock = clock;
    this.mutual = mutual;
    this.delay = delay;
  }

  send(count: number): void {
    this.sent += count;
    this.buffered += count;
    this.#leave();
  }

  #leave(): void {
    if (this.buffered <= 0) return;
    this.buffered--;
    if (this.reliable || this.buffered % 5) this.clock.later(this.delay, () => this.other.#receive());
    this.clock.later(this.pauses[this.buffered] ?? 1, () => this.#leave());
  }

  #receive(): void {
    this.received++;
    this.messageAt = this.clock.now;
  }

  close(timeout: number, begin = BEGIN, by: "local" | "remote" = "local"): void {
    this.closing = new Closing(this, by, { ...begin }, timeout);
    void this.closing.run().then((receipt) => {
      this.receipt = receipt;
      this.finishedAt = this.clock.now;
    });
  }

  hear(word: Word): void {
    const { closing } = this;
    if (word.type === "closing") {
      const { receipt, reason, reset, deadlineMs } = word;
      if (closing) closing.join({ receipt, reason, reset }, deadlineMs);
      else this.close(deadlineMs, { receipt, reason, reset }, "remote");
    } else if (word.type === "done" && closing) closing.final ??= word.final;
    else if (word.type === "closed" && closing) closing.taken ??= word.taken;
  }

  // --- the host ---------------------------------------------------------------------------------------------

  now(): number {
    return this.clock.now;
  }

  sleep(milliseconds: number): Promise<unknown> {
    return new Promise((resolve) => this.clock.later(milliseconds, () => resolve(undefined)));
  }

  say(said: Word): boolean {
    const word = decode(encode(said));
    assert.ok(word);
    if (!this.talks) return false;
    this.said.push(word);
    this.clock.later(this.delay, () => this.other.talks && this.other.hear(word));
    return true;
  }

  flush(): unknown {
    return this.sleep(1);
  }

  async count(): Promise<Map<number, Seen>> {
    const { sent, received, buffered, reliable } = this;
    return new Map([[1, { label: "chat", sent, received, given: { reliable, buffered } }]]);
  }

  closeChannels(talk: unknown): void {
    if (!this.closed)
      this.clock.later(2 * this.delay, () => {
        this.#reset = true;
      });
    this.closed = true;
    if (talk && this.talks)
      this.clock.later(2 * this.delay, () => {
        this.#talkReset = this.other.#talkReset = true;
      });
    this.talks &&= !talk;
  }

  isClosed(id?: number): boolean {
    return id === undefined ? !this.mutual || this.#talkReset : this.#reset;
  }
}

function pair({ mutual = true, delay = 20 } = {}): { clock: Clock; here: Side; there: Side; sides: Side[] } {
  const clock = new Clock();
  const [here, there] = [new Side(clock, mutual, delay), new Side(clock, mutual, delay)];
  here.other = there;
  there.other = here;
  return { clock, here, there, sides: [here, there] };
}

describe("goodbye: both sides have it", () => {
  test("everything queued on both sides is delivered, and both hold the same receipt", async () => {
    const { clock, here, there, sides } = pair();
    here.send(500);
    there.send(300);
    here.close(5000);
    await clock.run(10_000);
    for (const side of sides) {
      assert.equal(side.receipt?.id, BEGIN.receipt);
      assert.equal(side.receipt?.clean && side.receipt.confirmed, true);
      assert.deepEqual(side.receipt?.channels, [
        {
          label: "chat",
          id: 1,
          sent: side.sent,
          received: side.other.sent,
          delivered: side.sent,
          proof: "peer",
          drained: true,
        },
      ]);
      assert.ok(side.finishedAt < 800, `${side.finishedAt}`);
    }
    assert.deepEqual([here.receipt?.by, there.receipt?.by], ["local", "remote"]);
  });

  test("last words of the other side are delivered too", async () => {
    const { clock, here, there } = pair();
    there.flush = () => there.send(10);
    here.close(5000);
    await clock.run(10_000);
    assert.equal(there.receipt?.channels[0]?.delivered, 10);
    assert.equal(here.received, 10);
  });

  test("a side that shows late that it has goodbye is told all the same", async () => {
    const { clock, here, there, sides } = pair({ mutual: false });
    clock.later(100, () => {
      here.mutual = there.mutual = true;
    });
    there.send(30);
    here.close(5000);
    await clock.run(10_000);
    for (const side of sides) assert.equal(side.receipt?.confirmed, true);
  });

  test("what is sent until the channels close is in the receipt", async () => {
    const { clock, here, there, sides } = pair();
    const goOn = (side: Side) => {
      if (side.closed) return;
      side.send(1);
      clock.later(5, () => goOn(side));
    };
    for (const side of sides) goOn(side);
    here.close(5000);
    await clock.run(10_000);
    for (const side of sides) {
      const [account] = side.receipt?.channels ?? [];
      assert.equal(account?.sent, side.sent);
      assert.ok(account.sent > (account.delivered ?? 0));
      assert.match(side.receipt?.notice.join(" ") ?? "", /of your messages did not arrive/);
    }
    assert.equal(there.receipt?.clean, true);
  });

  test("both close at once: one receipt, and the earlier deadline", async () => {
    const { clock, here, there, sides } = pair();
    here.close(5000, { ...BEGIN, receipt: "c".repeat(32), reason: "mine" });
    there.close(3000, { ...BEGIN, receipt: "a".repeat(32), reason: "yours" });
    await clock.run(100);
    await clock.run(10_000);
    for (const side of sides) {
      assert.equal(side.receipt?.id, "a".repeat(32));
      assert.equal(side.receipt?.reason, "yours");
      assert.equal(side.receipt?.by, "both");
      assert.equal(side.receipt?.confirmed, true);
    }
  });

  for (const [own, theirs] of [
    [5000, 1000],
    [1000, 5000],
  ] as const) {
    test(`of ${own} and ${theirs} milliseconds the earlier deadline counts`, async () => {
      const { clock, here, there } = pair();
      there.hear = () => undefined; // it says nothing more
      here.close(own);
      await clock.run(10);
      here.hear({ type: "closing", ...BEGIN, deadlineMs: theirs });
      await clock.run(10_000);
      assert.ok(here.finishedAt <= 1050, `${here.finishedAt}`);
    });
  }

  test("the deadline holds, and what did not arrive is counted", async () => {
    const { clock, here } = pair();
    here.send(5000);
    here.close(1000);
    await clock.run(10_000);
    assert.ok(here.receipt && here.finishedAt <= 1025, `${here.finishedAt}`);
    assert.equal(here.receipt?.clean, false);
    const [account] = here.receipt?.channels ?? [];
    assert.ok(account && account.delivered !== undefined && account.delivered < account.sent);
    assert.match(here.receipt?.notice.join(" ") ?? "", /of your messages did not arrive/);
  });

  test("a side that never answers holds nobody up, and nothing is called delivered", async () => {
    const { clock, here, there } = pair();
    there.hear = () => undefined;
    here.send(5);
    here.close(1000);
    await clock.run(10_000);
    assert.ok(here.receipt && here.finishedAt <= 1025, `${here.finishedAt}`);
    assert.equal(here.receipt?.confirmed, false);
    assert.equal(here.receipt?.channels[0]?.delivered, undefined);
  });

  test("an application that never ends its last words is not waited for", async () => {
    const { clock, here } = pair();
    here.flush = () => new Promise(() => undefined);
    here.close(1000);
    await clock.run(10_000);
    assert.ok(here.receipt && here.finishedAt <= 1025, `${here.finishedAt}`);
  });

  test("a side that is faster than our own stream resets ends it well", async () => {
    const { clock, here } = pair();
    here.closeChannels = () => clock.later(1, () => (here.closing!.cause = "left"));
    here.send(3);
    here.close(5000);
    await clock.run(10_000);
    assert.equal(here.receipt?.cause, undefined);
    assert.equal(here.receipt?.confirmed, true);
  });

  test("a side that ran out of time leaves the talk channel open, and so it hears the last word", async () => {
    const { clock, here, there } = pair({ delay: 200 });
    here.send(3);
    here.close(1000); // 800 of them for the drain
    there.flush = () => there.sleep(450);
    await clock.run(10_000);
    assert.deepEqual([here.receipt?.clean, here.receipt?.channels[0]?.delivered], [false, 3]);
  });

  test("what cannot be said is not taken as said", async () => {
    const { clock, here, there } = pair();
    there.flush = () => there.sleep(20);
    there.send(12);
    here.close(5000);
    clock.later(30, () => {
      there.talks = false; // it has heard that the other side closes
      there.hear({ type: "done", final: {} });
      there.hear({ type: "closed", taken: {} });
    });
    clock.later(500, () => (there.closing!.cause = "left"));
    await clock.run(10_000);
    assert.deepEqual([there.receipt?.cause, there.receipt?.clean], ["left", false]);
  });

  test("a talk channel that closes before the last word confirms nothing", async () => {
    const { clock, here, there } = pair();
    there.hear = () => there.closeChannels(true);
    here.send(3);
    here.close(1000);
    await clock.run(10_000);
    assert.deepEqual([here.receipt?.confirmed, here.receipt?.channels[0]?.delivered], [false, undefined]);
  });

  test("a silence after the drain confirms nothing", async () => {
    const { clock, here } = pair();
    here.closeChannels = () => clock.later(1, () => (here.closing!.cause = SILENT));
    here.send(3);
    here.close(5000);
    await clock.run(10_000);
    assert.deepEqual([here.receipt?.cause, here.receipt?.clean, here.receipt?.confirmed], [SILENT, false, false]);
    assert.equal(here.receipt?.channels[0]?.delivered, 3);
  });

  test("a side that goes before it has said what arrived leaves it unknown", async () => {
    const { clock, here } = pair();
    here.send(500);
    here.close(5000);
    clock.later(100, () => (here.closing!.cause = "tab-closed"));
    await clock.run(10_000);
    assert.equal(here.receipt?.cause, "tab-closed");
    assert.equal(here.receipt?.clean, false);
    assert.equal(here.receipt?.channels[0]?.delivered, undefined);
  });

  test("counts that the other side cannot have are not believed", async () => {
    const { clock, here, there } = pair();
    there.hear = () => undefined;
    here.send(5);
    here.close(1000);
    clock.later(60, () => {
      here.hear({ type: "done", final: { 7: 1_000_000 } });
      here.hear({ type: "closed", taken: { 1: 1_000_000, 9: 3 } });
      here.hear({ type: "closed", taken: { 1: 0 } });
    });
    await clock.run(10_000);
    assert.equal(here.receipt?.channels[0]?.delivered, 5);
    assert.equal(here.receipt?.channels.length, 1);
  });

  test("a deadline that the other side names has a bound", async () => {
    const { clock, there } = pair();
    there.flush = () => new Promise(() => undefined);
    there.hear({ type: "closing", ...BEGIN, deadlineMs: 10 ** 12 });
    await clock.run(MAX_DEADLINE);
    assert.ok(there.receipt);
  });

  test("a channel that loses messages on purpose is not waited for", async () => {
    const { clock, here, there, sides } = pair();
    for (const side of sides) side.reliable = false;
    there.send(50);
    here.close(5000);
    await clock.run(10_000);
    assert.equal(here.receipt?.clean, true);
    assert.ok(here.finishedAt < 500);
  });
});

describe("goodbye: this side alone", () => {
  test("both queues are empty and nothing comes for a while: then the channels close", async () => {
    const { clock, here, there } = pair({ mutual: false });
    here.send(100);
    there.send(400);
    here.close(5000);
    await clock.run(10_000);
    assert.equal(here.received, 400);
    assert.deepEqual(here.said, []);
    assert.deepEqual(here.receipt?.channels, [
      { label: "chat", id: 1, sent: 100, received: 400, delivered: undefined, proof: "reset", drained: true },
    ]);
    assert.equal(here.receipt?.confirmed, false);
    assert.match(here.receipt?.notice.join(" ") ?? "", /perhaps unread/);
  });

  test("silence counts from the moment when our own queue is empty: the answer to its end arrives", async () => {
    const { clock, here, there } = pair({ mutual: false });
    here.send(1500);
    clock.later(1700, () => there.send(1));
    here.close(5000);
    await clock.run(10_000);
    assert.equal(here.receipt?.channels[0]?.received, 1);
  });

  test("a peer that pauses, because its packets are lost, is waited for", async () => {
    const { clock, here, there } = pair({ mutual: false });
    there.pauses = { 390: 400, 300: 800, 200: 1200 };
    there.send(400);
    await clock.run(100);
    here.close(10_000);
    await clock.run(20_000);
    assert.equal(here.received, 400);
    assert.equal(here.receipt?.channels[0]?.received, 400);
  });

  test("a peer that has said nothing for long holds nobody up", async () => {
    const { clock, here, there } = pair({ mutual: false });
    there.send(10);
    await clock.run(4000);
    here.close(10_000);
    await clock.run(20_000);
    assert.ok(here.finishedAt < 4700, `${here.finishedAt}`);
  });

  test("a side that never stops sending is left at the deadline", async () => {
    const { clock, here, there } = pair({ mutual: false });
    there.send(100_000);
    here.close(1000);
    await clock.run(10_000);
    assert.ok(here.receipt && here.finishedAt <= 1025, `${here.finishedAt}`);
    assert.equal(here.receipt?.clean, false);
  });
});

describe("goodbye: words", () => {
  const counts = Object.fromEntries(Array.from({ length: 1025 }, (_, id) => [id, 1]));
  const refused: unknown[] = [
    undefined,
    7,
    new ArrayBuffer(4),
    "",
    "null",
    "[]",
    '"hello"',
    "{",
    "[".repeat(60_000),
    JSON.stringify({ type: "toString" }),
    JSON.stringify({ type: "hello" }),
    JSON.stringify({ type: "hello", version: -1 }),
    JSON.stringify({ type: "__proto__" }),
    JSON.stringify({ type: "closing", receipt: "x", reason: "", reset: false, deadlineMs: 1 }),
    JSON.stringify({ type: "closing", ...BEGIN, deadlineMs: -1 }),
    JSON.stringify({ type: "closing", ...BEGIN, deadlineMs: 1.5 }),
    JSON.stringify({ type: "closing", ...BEGIN, reason: "r".repeat(1025), deadlineMs: 1 }),
    JSON.stringify({ type: "done", final: { 1: -1 } }),
    JSON.stringify({ type: "done", final: { a: 1 } }),
    JSON.stringify({ type: "done", final: { 1: 2 ** 60 } }),
    JSON.stringify({ type: "done", final: counts }),
    JSON.stringify({ type: "closed", taken: { 1: "5" } }),
    JSON.stringify({ type: "bye", cause: "<b>" }),
    JSON.stringify({ type: "bye", cause: "left" }).padEnd(MAX_WORD + 1),
  ];
  for (const [index, text] of refused.entries())
    test(`no word: ${String(text).slice(0, 50)} (${index})`, () => assert.equal(decode(text), undefined));

  test("what is said is heard", async () => {
    const words: Word[] = [
      { type: "hello", version: 1 },
      { type: "ping" },
      { type: "pong" },
      { type: "closing", ...BEGIN, deadlineMs: 100 },
      { type: "done", final: { 1: 5, 65534: 0 } },
      { type: "closed", taken: {} },
      { type: "bye", cause: "tab-closed" },
    ];
    for (const word of words) assert.deepEqual(decode(encode(word)), word);
  });
});
