/** The kit for users' tests: each trouble of the link and of a program is seen by the other side. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { virtualPair } from "../src/testing/index.js";

const numbers = (count: number) => Array.from({ length: count }, (_, number) => String(number));

test("what is sent in an outage arrives after it, and no second really passes", async () => {
  const { first, second, link, time } = await virtualPair({ delay: 0.05 });
  const [chat, other] = await time.until(Promise.all([first.session.open("chat"), second.session.open("chat")]));
  link.cut = true;
  await chat.send("hello");
  await time.pass(2);
  link.heal();
  assert.equal(await time.until(other.receive()), "hello");
});

test("a link that loses and reorders keeps the promises of each channel", async () => {
  const { first, second, time } = await virtualPair({ loss: 0.3, jitter: 0.05 });
  const [a, b] = [first.session, second.session];
  const open = (name: string, options = {}) => time.until(Promise.all([a.open(name, options), b.open(name, options)]));
  const [chat, there] = await open("chat");
  const [loose, looseThere] = await open("loose", { ordered: false });
  const [lossy, lossyThere] = await open("lossy", { ordered: false, maxRetransmits: 0 });
  for (const text of numbers(200)) for (const channel of [chat, loose, lossy]) await channel.send(text);
  const got: Record<string, string[]> = {};
  for (const channel of [there, looseThere, lossyThere]) {
    channel.addEventListener("message", (text) => void (got[channel.name] ??= []).push(String(text)));
  }
  await time.pass(30);
  assert.deepEqual(got["chat"], numbers(200));
  assert.ok(got["loose"]!.join() !== numbers(200).join(), "some pass each other");
  assert.deepEqual(
    got["loose"]!.toSorted((x, y) => +x - +y),
    numbers(200),
  );
  assert.ok(got["lossy"]!.length > 100 && got["lossy"]!.length < 180, `${got["lossy"]!.length} of 200`);
});

test("a link that is half-open is noticed by both, and heals", async () => {
  const { first, second, link, time } = await virtualPair();
  const states: string[] = [];
  second.session.addEventListener("state", ({ state }) => void states.push(state));
  link.mute("first");
  await time.pass(4);
  assert.ok(states.includes("suspect"), String(states));
  link.heal();
  await time.pass(10);
  assert.equal(first.session.state, "open");
  assert.equal(second.session.state, "open");
});

test("a program that freezes is suspected, and goes on when it thaws", async () => {
  const { first, second, time } = await virtualPair();
  const chat = await time.until(first.session.open("chat"));
  second.freeze();
  const sent = await chat.send("are you there?");
  await time.pass(4);
  assert.equal(first.session.state, "suspect");
  assert.equal(second.session.state, "open", "it does not run");
  second.thaw();
  const there = await time.until(second.session.open("chat"));
  assert.equal(await time.until(there.receive()), "are you there?");
  await time.until(sent.delivered());
  await time.pass(5);
  assert.equal(first.session.state, "open");
});

test("a program that dies is given up, with an account of what it may not have got", async () => {
  const { first, second, time } = await virtualPair();
  const chat = await time.until(first.session.open("chat"));
  second.die();
  await chat.send("into the void");
  const receipt = await time.until(first.session.waitClosed());
  assert.match(receipt.cause, /frozen|network-lost|crashed/);
  const { unknown, unsent } = receipt.channels["chat"]!.sent;
  assert.equal(unknown!.messages + unsent!.messages, 1);
  assert.equal(second.session.state, "open", "nothing of it runs");
});

test("a program that lies ends the session of the other, which says so", async () => {
  const { first, second, time } = await virtualPair();
  second.lie('{"type":"ack","channels":{"chat":{"upTo":-1}}}');
  const receipt = await time.until(first.session.waitClosed());
  assert.equal(receipt.cause, "protocol-error");
});

test("the same seed loses the same messages", async () => {
  const arrived = async (seed: number) => {
    const { first, second, time } = await virtualPair({ loss: 0.5, seed });
    const options = { maxRetransmits: 0 };
    const [a, b] = await time.until(Promise.all([first.session.open("x", options), second.session.open("x", options)]));
    const got: string[] = [];
    b.addEventListener("message", (text) => void got.push(String(text)));
    for (const text of numbers(50)) await a.send(text);
    await time.pass(2);
    return got.join();
  };
  assert.equal(await arrived(3), await arrived(3));
  assert.ok((await arrived(3)) !== (await arrived(4)));
});
