/** The shell of a session over connections of this process, on virtual time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChannelError, Message, Session, SessionClosedError, type UndeliveredError } from "../src/index.js";
import { connectionBudget, LIMIT, PROVOKE } from "../src/session/connection-budget.js";
import { SessionMachine } from "../src/session/machine/machine.js";
import type { Options } from "../src/session/machine/options.js";
import { resumePage, shellOf } from "../src/session/session.js";
import { memorySignaling, type Signaling } from "../src/signaling/memory.js";
import { Wire } from "./fakes.js";
import { pair } from "./pair.js";
import { settled, VirtualTime } from "./time.js";

async function talking(options: Partial<Options> = {}) {
  const made = await pair(options);
  const [here, there] = await made.time.until(Promise.all([made.a.open("chat"), made.b.open("chat")]));
  return { ...made, here, there };
}

describe("closing a channel", () => {
  test("both sides get the same account, the session goes on, and the name is free", async () => {
    const { time, a, b, here, there } = await talking();
    const told: string[] = [];
    for (const [who, channel] of Object.entries({ here, there })) {
      channel.addEventListener("closing", ({ reason }) => void told.push(`${who} closing ${reason}`));
      channel.addEventListener("closed", ({ receipt }) => void told.push(`${who} closed ${receipt.path}`));
    }
    const sent = await here.send("hello");
    await there.send("hi");
    const closing = here.close({ reason: "enough", timeout: 5000 });
    assert.equal(here.state, "closing");
    const [mine, theirs] = await time.until(Promise.all([closing, there.waitClosed()]));
    await sent.delivered();
    assert.deepEqual(mine.sent, theirs.received);
    assert.deepEqual(mine.received, theirs.sent);
    assert.deepEqual([mine.by, mine.path, mine.confirmed, theirs.by], ["local", "graceful", true, "remote"]);
    assert.deepEqual(told.sort(), ["here closed graceful", "there closed graceful", "there closing enough"]);
    assert.equal(await here.receive(), "hi");
    assert.equal(await there.receive(), "hello");
    await assert.rejects(here.receive(), (error: ChannelError) => error.receipt === mine);
    await assert.rejects(there.send("late"), /was closed: enough; open it again/);
    assert.equal(await here.close(), mine);
    assert.deepEqual([a.state, b.state], ["open", "open"]);
    const [again, back] = await time.until(Promise.all([a.open("chat"), b.open("chat")]));
    await again.send("second life");
    assert.equal(await time.until(back.receive()), "second life");
    await time.until(a.close());
    assert.equal(back.receipt?.path, "session");
  });

  test("last words may be said, and a handler that closes too has none left", async () => {
    const { time, here, there } = await talking();
    there.addEventListener("closing", async () => {
      await there.send("thanks, bye");
      await there.close("me too");
    });
    const receipt = await time.until(here.close());
    assert.equal(receipt.path, "graceful");
    const heard: unknown[] = [];
    for await (const message of here) heard.push(message);
    assert.deepEqual(heard, ["thanks, bye"]);
  });

  test("what did not leave is given back, and the time holds", async () => {
    const { time, wire, a, here } = await talking();
    wire.cut = true;
    for (let number = 0; number < 8; number++) await here.send(new Uint8Array(1_000_000));
    const began = time.now;
    const receipt = await time.until(here.close({ timeout: 1000 }));
    assert.ok(time.now - began <= 1.01);
    assert.deepEqual([receipt.path, receipt.confirmed], ["deadline", false]);
    assert.equal(here.unsent().length, receipt.sent.unsent!.messages);
    await assert.rejects(a.open("chat"), /not free yet/);
    wire.heal();
    await time.pass(3);
    assert.equal((await time.until(a.open("chat"))).state, "open");
  });

  test("an account that cannot be ends the session", async () => {
    const { time, a, here } = await talking();
    const { id } = shellOf(a).machine.channels.get(here.name)!;
    const closed = { taken: { messages: 7, bytes: 700 } };
    shellOf(a).controlReceived(1, JSON.stringify({ type: "endChannel", name: here.name, id, closed }));
    const { reason } = await time.until(a.waitClosed());
    assert.equal(reason.code, "protocol-error");
  });

  test("the other side's deadline is bounded by patience", async () => {
    const { time, b, there } = await talking();
    const { id } = shellOf(b).machine.channels.get(there.name)!;
    const closing = { deadlineMs: 2 ** 50, final: 5 }; // five that never come
    const began = time.now;
    shellOf(b).controlReceived(1, JSON.stringify({ type: "endChannel", name: there.name, id, closing }));
    const { path } = await time.until(there.waitClosed());
    assert.equal(path, "deadline");
    assert.ok(time.now - began <= 61, `${time.now - began}`);
  });

  test("a word for one that is forgotten is answered, and makes nothing", async () => {
    const { time, a } = await talking();
    const { machine } = shellOf(a);
    machine.controlReceived(1, JSON.stringify({ type: "endChannel", name: "x", id: 5, done: 0 }), time.now);
    const said: unknown[] = [];
    for (let action = machine.pollAction(); action; action = machine.pollAction()) {
      if (action.type === "SendControl") said.push(JSON.parse(action.text));
    }
    assert.deepEqual(said, [{ type: "endChannel", name: "x", id: 5, gone: false }]);
    assert.equal(machine.channels.size, 1);
  });

  test("a word that was lost with its connection is said again on the next", async () => {
    const { time, a, wire, here, there } = await talking();
    const { late } = wire;
    wire.late = () => undefined;
    const closing = here.close({ timeout: 20_000 });
    await time.pass(0.1);
    wire.late = late;
    await time.until(a.reset("transport"));
    const [mine, theirs] = await time.until(Promise.all([closing, there.waitClosed()]));
    assert.deepEqual([mine.path, theirs.path], ["graceful", "graceful"]);
  });

  test("many come and go, and nothing of them is left", async () => {
    const { time, a, b } = await talking();
    for (let number = 0; number < 600; number++) {
      const channel = await time.until((number % 2 ? a : b).open(`number ${number}`));
      await channel.send("x");
      await time.until(channel.close());
    }
    await time.pass(1);
    for (const session of [a, b]) {
      const { machine, connections } = shellOf(session);
      assert.deepEqual([...machine.channels.keys()], ["chat"]);
      assert.deepEqual([machine.byId.size, machine.ending.size, machine.later.size], [1, 0, 0]);
      assert.equal(machine.connections.get(1)!.channels.size, 1);
      assert.equal(machine.budget.channels, 1);
      assert.equal(connections.size, 1);
    }
  });

  test("wrong arguments are refused before anything begins", async () => {
    const { here } = await talking();
    await assert.rejects(here.close({ timeout: -1 }), RangeError);
    await assert.rejects(here.close({ reason: 5 as never }), TypeError);
    assert.equal(here.state, "open");
  });
});

describe("closing", () => {
  test("both sides get the same account, and nothing is held", async () => {
    const { time, a, b, here, there } = await talking();
    const sent = await here.send("hello");
    await there.send(Uint8Array.of(1, 2, 3));
    assert.deepEqual(await time.until(here.receive()), Uint8Array.of(1, 2, 3));
    const closing = a.close({ reason: "done", timeout: 5000 });
    const [mine, theirs] = await time.until(Promise.all([closing, b.waitClosed()]));
    await sent.delivered();
    assert.equal(mine.agreed, theirs.agreed);
    assert.deepEqual([mine.path, mine.clean, theirs.clean], ["graceful", true, true]);
    assert.deepEqual([mine.by, theirs.by], ["local", "remote"]);
    assert.deepEqual(
      mine.steps.map(({ name, outcome }) => `${name} ${outcome}`),
      ["announce ok", "drain ok", "channels ok", "connection ok", "clean-up ok"],
    );
    assert.deepEqual(mine.channels.chat!.sent.unread, { messages: 1, bytes: 5 });
    assert.deepEqual(theirs.channels.chat!.received.unread, { messages: 1, bytes: 5 });
    assert.equal(theirs.notice, "Ada left (done). Everything was delivered; 1 of their messages was not read yet.");
    assert.match(mine.notice, /1 of your messages was delivered; 1 of them was not read yet\.$/);
    assert.equal(await there.receive(), "hello");
    assert.equal(await a.close(), mine);
    await time.pass(2);
    assert.equal(String(a.ledger()), "nothing");
    assert.equal(time.timers, 0);
  });

  test("last words may be said until the handlers have settled", async () => {
    const { time, a, b, here, there } = await talking();
    b.addEventListener("closing", async ({ timeout }) => {
      assert.ok(timeout > 4000 && timeout <= 5000);
      await new Promise<void>((resolve) => void time.later(1, resolve));
      await there.send("thanks, bye");
    });
    const receipt = await time.until(a.close());
    assert.ok(receipt.clean);
    assert.equal(await here.receive(), "thanks, bye");
    await assert.rejects(there.send("too late"), SessionClosedError);
  });

  test("a handler that closes too has no more last words", async () => {
    const { time, a, b } = await talking();
    b.addEventListener("closing", async () => void (await b.close()));
    const began = time.now;
    assert.ok((await time.until(a.close())).clean);
    assert.ok(time.now - began < 1);
  });

  test("more time is granted when the closer agrees", async () => {
    const time = new VirtualTime();
    const wire = new Wire(time);
    const [one, two] = memorySignaling();
    const more = { connect: () => wire.connect(), platform: time.platform() };
    const asked: [string, number][] = [];
    const onWait = (reason: string, milliseconds: number) => asked.push([reason, milliseconds]) > 0;
    const a = new Session({ ...more, signaling: one, role: "first", onWait }).start();
    const b = new Session({ ...more, signaling: two, role: "second" }).start();
    await time.until(Promise.all([a.waitOpen(), b.waitOpen()]));
    b.addEventListener("closing", async (event) => {
      event.wait(3000, "saving");
      await new Promise<void>((resolve) => void time.later(2.5, resolve));
    });
    const receipt = await time.until(a.close({ timeout: 1000 }));
    assert.deepEqual(asked, [["saving", 3000]]);
    assert.equal(receipt.path, "graceful");
  });

  test("when the last who waits gives up, it goes on abruptly", async () => {
    const { time, a, b, wire } = await talking();
    wire.cut = true;
    const stop = new AbortController();
    const first = new AbortController();
    const closes = [a.close({ signal: first.signal }), a.close({ signal: stop.signal })];
    await time.pass(0.5);
    first.abort();
    await assert.rejects(closes[0]!, { name: "AbortError" });
    await time.pass(0.5);
    assert.equal(a.state, "closing");
    stop.abort();
    await assert.rejects(closes[1]!, { name: "AbortError" });
    const receipt = await time.until(a.waitClosed());
    assert.equal(receipt.path, "abrupt");
    assert.equal((await time.until(b.waitClosed())).by, "remote");
  });

  test("what did not leave is given back, and known again when it is sent again", async () => {
    const { time, a, b, here, wire } = await talking({ window: 10 });
    wire.cut = true;
    const texts = ["one, which fills the window", "two", "three"];
    const sent = await Promise.all(texts.map((text) => here.send(text)));
    const receipt = await time.until(a.close({ timeout: 300 }));
    assert.deepEqual(
      receipt.unsent("chat").map(({ data }) => data),
      ["two", "three"],
    );
    const [unknown] = receipt.unknown("chat");
    assert.ok(unknown instanceof Message && unknown.sent && unknown.receipt === receipt.id);
    await assert.rejects(sent[0]!.delivered(), (error: UndeliveredError) => error.state === "unknown");
    await assert.rejects(sent[1]!.delivered(), (error: UndeliveredError) => error.state === "unsent");
    assert.match(receipt.notice, /2 of your messages were not sent and 1 of your messages may not have arrived/);
    await time.until(b.waitClosed());
  });

  test("what the other side chose as its reason is one line of a sentence", async () => {
    const { time, a, b } = await talking();
    const reason = "bye\u001b]0;owned\u0007\r\nroot\u202e@host";
    const [mine, theirs] = await time.until(Promise.all([a.close({ reason }), b.waitClosed()]));
    assert.equal(theirs.notice, "Ada left (bye]0;owned root@host).");
    assert.equal(theirs.reason.text, "bye]0;owned root@host");
    assert.equal(mine.agreed, theirs.agreed);
  });

  test("a page that goes away says so at once", async () => {
    const { time, a, b } = await talking();
    shellOf(a).leavePage("tab-closed")();
    const receipt = await time.until(b.waitClosed());
    assert.deepEqual([receipt.cause, receipt.by], ["tab-closed", "remote"]);
    assert.equal(receipt.notice, "Ada closed the tab.");
  });

  test("the page's own pc.close() is noticed and told", async () => {
    const { time, a, b } = await talking();
    a.pc!.close();
    const [mine, theirs] = await time.until(Promise.all([a.waitClosed(), b.waitClosed()]));
    assert.deepEqual([mine.cause, mine.by], ["connection-closed", "local"]);
    assert.deepEqual([theirs.cause, theirs.by], ["connection-closed", "remote"]);
    assert.equal(mine.agreed, theirs.agreed);
  });
});

describe("behind the session's back", () => {
  for (const id of [1020, 1022]) {
    test(`a data channel (${id}) that is closed ends the session on both sides, told by signaling`, async () => {
      const { time, wire, a, b, here } = await talking();
      await here.send("said before");
      await time.pass(0.1);
      wire.made[0]?.channels.get(id)?.close();
      const [mine, theirs] = await time.until(Promise.all([a.waitClosed(), b.waitClosed()]));
      assert.deepEqual([mine.cause, theirs.cause], ["connection-closed", "connection-closed"]);
      assert.deepEqual([mine.by, theirs.by], ["local", "remote"]);
      assert.equal(mine.agreed, theirs.agreed);
      assert.equal(mine.channels["chat"]?.sent.accepted?.messages, 1);
    });
  }
});

describe("resets", () => {
  for (const level of ["ice", "transport", "full"] as const) {
    test(`${level} loses and doubles nothing`, async () => {
      const { time, a, b, here, there } = await talking();
      const got: unknown[] = [];
      there.addEventListener("message", (message) => got.push(message));
      const report = a.reset({ level });
      for (let n = 0; n < 20; n++) {
        await here.send(String(n));
        await time.pass(0.01);
      }
      assert.equal((await time.until(report)).level, level);
      await time.pass(0.5);
      assert.deepEqual(
        got,
        Array.from({ length: 20 }, (_, n) => String(n)),
      );
      assert.equal(b.epoch, level === "ice" ? 1 : 2);
      assert.ok((await time.until(b.close())).clean);
    });
  }

  test("a second one joins the first, a higher one raises it, whenever it is asked for", async () => {
    // At every millisecond of the first, also between the offerer's `switch` and its answer.
    for (let after = 0; after < 0.2; after += 0.004) {
      const { time, a, b } = await talking();
      const first = b.reset();
      await time.pass(after);
      const second = a.reset({ level: "full" });
      const [one, other] = await time.until(Promise.all([first, second]));
      assert.ok(["transport", "full"].includes(one.level), `after ${after}`);
      assert.equal(other.level, "full", `after ${after}`);
      await time.pass(1);
      assert.deepEqual([a.state, b.state, a.epoch], ["open", "open", b.epoch], `after ${after}`);
      assert.ok((await time.until(a.close())).clean);
    }
  });

  test("closing ends it", async () => {
    const { time, a, b } = await talking();
    const reset = a.reset();
    await settled();
    const closing = a.close();
    await assert.rejects(time.until(reset), { name: "ResetFailedError" });
    assert.ok((await time.until(closing)).clean);
    await time.until(b.waitClosed());
    await assert.rejects(a.reset(), SessionClosedError);
  });

  test("a wait for it ends by its signal, and it goes on", async () => {
    const { time, a, b } = await talking();
    const ended = new Promise((resolve) => a.addEventListener("reset", ({ report }) => report && resolve(report)));
    await assert.rejects(a.reset({ signal: AbortSignal.abort() }), { name: "AbortError" });
    const stop = new AbortController();
    const waiting = a.reset({ signal: stop.signal });
    await settled();
    stop.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    await time.until(ended);
    assert.equal(b.epoch, 2);
  });
});

describe("trouble", () => {
  test("silence is suspected in 5 s, and a link that heals loses nothing", async () => {
    const { time, a, wire, here, there } = await talking();
    const states: string[] = [];
    a.addEventListener("state", ({ state, cause }) => states.push(`${state} ${cause}`.trim()));
    wire.cut = true;
    await here.send("into the void");
    await time.pass(4.9);
    assert.equal(states[0], "suspect frozen, network-lost");
    wire.heal();
    assert.equal(await time.until(there.receive()), "into the void");
    await time.pass(3);
    assert.equal(a.state, "open");
  });

  test("it is given up after a minute, and everybody who waits has an answer", async () => {
    const { time, a, b, wire, ends, here } = await talking();
    wire.cut = true;
    ends[0].close();
    const waiting = [here.receive(), (await here.send("x")).delivered(), a.waitClosed()];
    const outcomes = await time.until(Promise.allSettled(waiting));
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["rejected", "rejected", "fulfilled"],
    );
    assert.equal(a.receipt!.by, "network");
    await time.until(b.waitClosed());
  });

  test("a channel that is wanted differently is an error on both sides", async () => {
    const { time, a, b } = await pair();
    const both = [a.open("x", { ordered: false }), b.open("x", { maxRetransmits: 0 })];
    const outcomes = await time.until(Promise.allSettled(both));
    for (const outcome of outcomes) {
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof ChannelError, JSON.stringify(outcome));
    }
    const { steps } = await time.until(a.close()); // what was refused holds up no step
    assert.deepEqual(new Set(steps.map(({ outcome }) => outcome)), new Set(["ok"]));
  });

  test("a channel that cannot be opened wakes those who use it", async () => {
    const { time, a, b } = await pair();
    const both = [a.open("x"), b.open("x", { ordered: false })].map((opening) => opening.catch(() => undefined));
    const here = a.channels.get("x")!;
    here.addEventListener("message", () => undefined);
    const sent = await here.send("early");
    const outcomes = Promise.allSettled([sent.delivered(), here.receive(), here.waitClosed()]);
    const [undelivered, ...refused] = await time.until(outcomes);
    assert.ok(undelivered.status === "rejected" && undelivered.reason.state === "unsent");
    for (const outcome of refused) {
      assert.ok(outcome.status === "rejected" && /wanted differently/.test(outcome.reason.message));
    }
    await time.until(Promise.all(both));
    assert.equal(here.state, "closed");
    const [again] = await time.until(Promise.all([a.open("x"), b.open("x")]));
    for (const use of [here.send("late"), here.receive(), here.close()]) {
      await assert.rejects(use, { name: "ChannelError", message: /wanted differently/ });
    }
    await time.pass(1);
    assert.equal(again.state, "open", "the next one of this name is another");
  });

  test("wrong arguments are refused", async () => {
    const { a } = await pair();
    await assert.rejects(a.open(""), TypeError);
    await assert.rejects(a.open("x", { maxRetransmits: -1 }), RangeError);
    await assert.rejects(a.open("x", { maxRetransmits: 1, maxPacketLifeTime: 1 }), TypeError);
    await assert.rejects(a.close({ timeout: -1 }), RangeError);
    await assert.rejects(a.reset({ level: "half" as never }), TypeError);
  });

  test("room to send is used also while nobody reads", async () => {
    const { time, a, here } = await talking({ sendBuffer: 65536, streamHigh: 16384, streamLow: 0 });
    const send = async () => {
      for (;;) await here.send(new Uint8Array(8192));
    };
    const sending = assert.rejects(send(), SessionClosedError);
    await time.pass(5);
    assert.ok(!shellOf(a).machine.hasRoom("chat"));
    await time.until(a.close({ timeout: 0 }));
    await time.until(sending);
  });

  test("a channel whose answer was lost is there when the other side sends on the next connection", async () => {
    const { time, a, b, wire } = await pair();
    const opening = a.open("chat");
    while (!shellOf(b).machine.channels.has("chat")) await time.pass(0.001);
    wire.cut = true;
    const resetting = a.reset("full");
    while (!shellOf(a).machine.connections.has(2)) await time.pass(0.001);
    const { open, id } = shellOf(a).machine.channels.get("chat")!;
    assert.ok(!open && shellOf(a).machine.connections.get(2)!.channels.has(id));
    wire.heal();
    await time.until(Promise.all([opening, resetting]));
  });

  test("a full buffer makes send wait, and the wait can be ended", async () => {
    const { time, here, there } = await talking({ window: 100, sendBuffer: 1000 });
    await here.send(new Uint8Array(600));
    await here.send(new Uint8Array(2000));
    const stop = new AbortController();
    const waiting = here.send("x", { signal: stop.signal });
    await time.pass(1);
    stop.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    const next = here.send("y");
    assert.equal(((await time.until(there.receive())) as Uint8Array).length, 600);
    await time.until(next);
    await time.until(there.receive());
    assert.equal(await time.until(there.receive()), "y");
  });
});

describe("what a page gives", () => {
  for (const text of ["see you \ud83d", "\udc4b", "\ud83d".repeat(2000), "\ud83d\udc4b"]) {
    test(`text that is no Unicode is repaired: ${JSON.stringify(text.slice(0, 9))}`, async () => {
      const mended = (cut: number) => new TextDecoder().decode(new TextEncoder().encode(text.slice(0, cut)));
      const { time, a, b } = await pair();
      const name = text.slice(0, 100);
      const [here, there] = await time.until(Promise.all([a.open(name), b.open(name)]));
      assert.deepEqual([here.name, there.name], [mended(100), mended(100)]);
      await here.send(text);
      assert.equal(await time.until(there.receive()), mended(2000));
      b.addEventListener("closing", ({ wait }) => wait(100, text));
      const [receipt, other] = await time.until(Promise.all([a.close(text), b.waitClosed()]));
      assert.equal(receipt.agreed, other.agreed);
      assert.deepEqual([receipt.clean, other.reason.text], [true, mended(1024)]);
    });
  }

  test("a level or a reason alone is what it says; all else is refused, and changes nothing", async () => {
    const { time, a, b } = await pair();
    assert.equal((await time.until(a.reset("full"))).level, "full");
    assert.equal((await time.until(a.reset("ice"))).level, "ice");
    for (const wrong of ["half", 5, null]) await assert.rejects(a.reset(wrong as never), TypeError);
    for (const wrong of [5, null, { reason: 7 }]) await assert.rejects(a.close(wrong as never), TypeError);
    for (const timeout of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
      await assert.rejects(a.close({ timeout }), RangeError);
    }
    for (const media of ["finished", 5, null]) {
      await assert.rejects(a.close({ media: media as never }), {
        name: "TypeError",
        message: `media must be "finish" or "cut", not "${media}"`,
      });
    }
    await assert.rejects(
      a.sendFile("film.mp4" as never),
      /takes a File, a Blob or a stream of Uint8Array, not film.mp4/,
    );
    await assert.rejects(
      a.sendFolder("photos" as never),
      /takes a folder of showDirectoryPicker\(\), or files, not photos/,
    );
    assert.throws(() => a.addEventListener("sate" as "state", () => {}), /a session has no event sate; it has state, /);
    assert.equal(a.state, "open");
    await time.until(a.close("done"));
    assert.equal((await time.until(b.waitClosed())).reason.text, "done");
  });

  test("a session without connections or signaling is refused", () => {
    const [signaling] = memorySignaling();
    const connect = () => new Wire(new VirtualTime()).connect();
    const make = (init: object) => () => new Session({ role: "first", ...init } as never);
    assert.throws(make({ signaling }), { name: "TypeError", message: /connect is missing: give a function/ });
    assert.throws(make({ signaling, connect: connect() }), { name: "TypeError", message: /a function that makes/ });
    assert.throws(make({ connect }), { name: "TypeError", message: /signaling is missing/ });
    assert.throws(make({ connect, signaling, role: "third" }), TypeError);
  });

  for (const role of ["first", "second"] as const) {
    for (const what of ["connected", "closed", "nothing", "promise"]) {
      test(`a connection that is not new (${what}, ${role}) is an error at once, on both sides`, async () => {
        const { time, wire, a } = await pair();
        const used = a.pc!;
        if (what === "closed") used.close();
        const given = { connected: used, closed: used, nothing: undefined, promise: Promise.resolve(used) }[what];
        const ends = memorySignaling();
        const mine = new Session({
          connect: () => given as RTCPeerConnection,
          signaling: ends[0],
          role,
          platform: time.platform(),
        });
        const other = new Session({
          connect: () => wire.connect(),
          signaling: ends[1],
          role: role === "first" ? "second" : "first",
          platform: time.platform(),
        });
        const began = time.now;
        mine.start();
        other.start();
        await assert.rejects(time.until(mine.waitOpen()), {
          name: "SessionClosedError",
          message: /connect\(\) gave .*(in use already|is closed|give a function)/,
        });
        assert.ok(time.now - began < 1);
        await time.until(other.waitClosed(), 2);
        if (what === "connected") assert.equal(a.state, "open");
      });
    }
  }
});

/** As a broadcast: what is said while nobody listens is lost; and each of `lost`, by its number. */
function air(lost: number[] = []): { said: number; ends: [Signaling, Signaling] } {
  const heard: [unknown[], unknown[]] = [[], []];
  const listens: [(() => void) | undefined, (() => void) | undefined] = [undefined, undefined];
  const end = (mine: 0 | 1, other: 0 | 1): Signaling => ({
    async send(message) {
      made.said++;
      if (!listens[other] || lost.includes(made.said)) return;
      heard[other].push(structuredClone(message));
      listens[other]?.();
    },
    async receive({ signal }) {
      while (!heard[mine].length) {
        await new Promise<void>((resolve, reject) => {
          listens[mine] = resolve;
          signal.addEventListener("abort", () => reject(signal.reason), { once: true });
        });
      }
      return heard[mine].shift();
    },
  });
  const made = { said: 0, ends: [end(0, 1), end(1, 0)] as [Signaling, Signaling] };
  return made;
}

describe("signaling of a page's own", () => {
  const sides = (signaling: { ends: [Signaling, Signaling] }) => {
    const time = new VirtualTime();
    const wire = new Wire(time);
    const make = (role: "first" | "second", end: 0 | 1) =>
      new Session({ connect: () => wire.connect(), signaling: signaling.ends[end], role, platform: time.platform() });
    return { time, first: make("first", 0), second: make("second", 1) };
  };

  for (const late of ["first", "second"] as const) {
    for (const seconds of [0, 0.3, 7.77, 50.5]) {
      test(`opens within a second however late (${seconds} s) the other (${late}) starts`, async () => {
        const signaling = air();
        const { time, first, second } = sides(signaling);
        (late === "first" ? second : first).start();
        await time.pass(seconds);
        const began = time.now;
        (late === "first" ? first : second).start();
        await time.until(Promise.all([first.waitOpen(), second.waitOpen()]), 30);
        assert.ok(time.now - began < 1, `${time.now - began} s`);
        const { said } = signaling;
        await time.pass(30);
        assert.equal(signaling.said, said); // nothing is said again that was heard
        const [receipt] = await time.until(Promise.all([first.close(), second.waitClosed()]));
        assert.ok(receipt.clean);
        await time.pass(3);
        assert.equal(time.timers, 0);
      });
    }
  }

  for (const lost of [[1], [2], [3], [4], [1, 2, 3], [2, 4, 6]]) {
    test(`that loses messages (${lost}) costs seconds at most`, async () => {
      const { time, first, second } = sides(air(lost));
      second.start();
      first.start();
      await time.until(Promise.all([first.waitOpen(), second.waitOpen()]), 5);
      assert.equal(first.epoch, 1);
      await time.until(Promise.all([first.close(), second.waitClosed()]));
    });
  }
});

/** As if the browser counted so many connections, whatever is collected meanwhile. */
async function counted<T>(used: number, work: () => Promise<T>): Promise<T> {
  const before = { used: connectionBudget.used, limit: connectionBudget.limit };
  Object.defineProperty(connectionBudget, "used", { configurable: true, get: () => used, set: () => undefined });
  Object.assign(connectionBudget, { limit: LIMIT });
  try {
    return await work();
  } finally {
    Reflect.deleteProperty(connectionBudget, "used");
    Object.assign(connectionBudget, before);
  }
}

test("while connections are scarce, the ladder renews the path of the one that stands", async () => {
  const madeWith = async (used: number) => {
    const { time, wire, a, b } = await pair();
    return counted(used, async () => {
      wire.cut = true;
      await time.pass(20);
      assert.equal(a.state, "recovering");
      const made = wire.made.length;
      wire.heal();
      await time.pass(5);
      assert.equal(a.state, "open");
      await time.until(Promise.all([a.close(), b.waitClosed()]));
      return made;
    });
  };
  assert.ok((await madeWith(PROVOKE - 1)) > 2);
  assert.equal(await madeWith(PROVOKE), 2);
});

test("without any connection left a reset fails with what to do, and the session goes on", async () => {
  const { time, a, b, here, there } = await talking();
  await counted(LIMIT, () =>
    assert.rejects(time.until(a.reset()), { name: "ResetFailedError", message: /reload the page/ }),
  );
  await here.send("still here");
  assert.equal(await time.until(there.receive()), "still here");
  await time.until(Promise.all([a.close(), b.waitClosed()]));
});

describe("another version", () => {
  test("on the other side ends the session, and both say which", () => {
    const machine = new SessionMachine({ me: "a", peer: "b" });
    machine.start(0);
    machine.controlOpened(1, 65536, 0);
    const hello = {
      type: "hello",
      version: 2,
      peer: "b",
      session: machine.session,
      epoch: 1,
      have: {},
      heartbeatMs: 1000,
    };
    machine.controlReceived(1, JSON.stringify(hello), 0.1);
    machine.handleTimeout(2);
    machine.released(1, 2);
    assert.equal(machine.state, "closed");
    assert.match(machine.outcome!.reason.text!, /protocol version 2, this side speaks 1/);
  });

  test("words and members that this one does not know are ignored", () => {
    const machine = new SessionMachine({ me: "a", peer: "b" });
    machine.start(0);
    machine.controlOpened(1, 65536, 0);
    const hello = {
      type: "hello",
      version: 1,
      peer: "b",
      session: machine.session,
      epoch: 1,
      have: {},
      heartbeatMs: 1000,
    };
    machine.controlReceived(1, JSON.stringify({ ...hello, capabilities: ["telepathy"], colour: "blue" }), 0.1);
    machine.controlReceived(1, JSON.stringify({ type: "telepathy", thought: 7 }), 0.2);
    assert.equal(machine.state, "open");
  });

  test("what both sides can do is in use, and nothing else", () => {
    const machine = new SessionMachine({ me: "a", peer: "b", options: { capabilities: ["one", "two"] } });
    machine.start(0);
    machine.controlOpened(1, 65536, 0);
    const { session } = machine;
    const hello = { type: "hello", version: 1, peer: "b", session, epoch: 1, have: {}, capabilities: ["two", "three"] };
    machine.controlReceived(1, JSON.stringify(hello), 0.1);
    assert.deepEqual([...machine.capabilities], ["two"]);
    let said = "";
    for (let action = machine.pollAction(); action; action = machine.pollAction()) {
      if (action.type === "SendControl" && action.text.includes("hello")) said = action.text;
    }
    assert.deepEqual(JSON.parse(said).capabilities, ["one", "two"]);
  });
});

test("a track waits for the first handler of track, unless it has ended", async () => {
  const { a, time } = await talking();
  const comes = (readyState: string) => {
    const track = { kind: "audio", readyState };
    shellOf(a).trackReceived({ track, streams: [], transceiver: {} } as never);
    return track;
  };
  const [ended, early] = [comes("ended"), comes("live")];
  const heard: unknown[] = [];
  a.addEventListener("track", ({ track }) => heard.push(track));
  await time.pass(0.1);
  assert.deepEqual(heard, [early]);
  const later = comes("live");
  await time.pass(0.1);
  assert.deepEqual(heard, [early, later], "each is told once");
  assert.ok(!heard.includes(ended));
});

test("everything may be said twice", async () => {
  const { time, a, b, here } = await talking();
  a.start();
  await time.until(Promise.all([a.reset(), a.reset(), b.reset()]));
  const reason = { reason: "done" };
  const receipts = await time.until(Promise.all([a.close(reason), a.close(reason), b.close(reason), b.close()]));
  assert.equal(new Set(receipts.map(({ agreed }) => agreed)).size, 1);
  assert.equal(await a.close({ timeout: 0 }), receipts[0]);
  shellOf(a).leavePage("tab-closed")();
  shellOf(a).leavePage("tab-closed")();
  a.mute("audio");
  resumePage(a, true);
  a.start();
  await assert.rejects(a.addStream({ audio: true }), SessionClosedError);
  for (const call of [() => a.reset(), () => here.send("x"), () => a.open("late")]) {
    await assert.rejects(call, (error: SessionClosedError) => {
      assert.equal(error.receipt, receipts[0], "it tells how the session ended");
      assert.ok(error.message.includes(receipts[0]!.notice), error.message);
      return error instanceof SessionClosedError;
    });
  }
  await time.pass(2);
  assert.deepEqual([String(a.ledger()), time.timers], ["nothing", 0]);
});
