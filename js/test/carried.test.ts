/** Files and folders for the peer of a name, which go on from session to session, on virtual time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CarriedTransfer, type IncomingFile, type Session, TransferError } from "../src/index.js";
import { CHUNK } from "../src/protocol/control.js";
import { shellOf } from "../src/session/session.js";
import { House, type Member } from "./house.js";

const SIZE = 40 * CHUNK;

function film(size: number): File {
  const data = new Uint8Array(size);
  for (let n = 0; n < size; n += 4096) data[n] = n / 4096;
  return new File([data], "film.mp4", { lastModified: 1000 });
}

function folder(size: number): File[] {
  const one = film(size);
  const other = new File(["hello"], "a.txt", { lastModified: 1000 });
  for (const file of [one, other]) Object.defineProperty(file, "webkitRelativePath", { value: `films/${file.name}` });
  return [one, other];
}

/** A test in a house of its own, with a sender. */
function inside(name: string, work: (house: House, sender: Member) => Promise<void>): void {
  test(name, async () => {
    const house = new House();
    await work(house, await house.enter("a1", { name: "sender" }));
    await house.leave();
    await house.time.pass(3);
    assert.equal(house.time.timers, 0);
  });
}

class Receiver {
  /** Bytes that were there when the first piece of this side's session came, and the offer. */
  readonly begun: [number, IncomingFile][] = [];
  readonly taken: Promise<unknown>[] = [];

  constructor(
    readonly member: Member,
    answer: (offer: IncomingFile) => unknown = (offer) => offer.accept(),
  ) {
    const take = (offer: IncomingFile) => {
      offer.addEventListener("progress", () => void this.begun.push([offer.done, offer]), { once: true });
      const answered = Promise.resolve(answer(offer));
      answered.catch(() => undefined);
      this.taken.push(answered);
    };
    const watch = (session: Session) => {
      session.addEventListener("file", take);
      session.addEventListener("folder", (offer) => take(offer as never));
    };
    for (const session of member.sessions) watch(session);
    member.room.addEventListener("session", ({ session }) => watch(session));
  }
}

/** A receiver that can be killed: nothing comes from it, and its socket is gone. */
async function mortal(house: House): Promise<[Receiver, () => void]> {
  let alive = true;
  const nowhere = { readyState: 0, close: () => undefined, send: () => undefined } as unknown as WebSocket;
  const platform = house.time.platform({
    openSocket: () => (alive ? house.server.open() : nowhere),
    makeConnection: () => house.wire.connect("second"),
  });
  const receiver = new Receiver(await house.enter("b1", { name: "receiver", platform }));
  const kill = () => {
    alive = false;
    house.wire.mute("second");
    house.server.lose("receiver");
    house.server.resume("receiver");
  };
  return [receiver, kill];
}

/** Let so many seconds pass at most. Hashing takes real time, so then ten real ones more, in which the clock stands. */
async function passUntil(house: House, done: () => boolean, limit: number): Promise<void> {
  for (let n = 0; !done(); n++) {
    assert.ok(n < limit * 100 + 1000, "it has not happened");
    if (n < limit * 100) await house.time.pass(0.01);
    else await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("a transfer for a name", () => {
  for (const what of ["file", "folder"]) {
    inside(`goes on at the chunk in the session after a close: a ${what}`, async (house, sender) => {
      const { room } = sender;
      const sent: CarriedTransfer = await (what === "file"
        ? room.sendFile("receiver", film(SIZE))
        : room.sendFolder("receiver", folder(SIZE)));
      await house.time.pass(20); // it waits for one who is not there
      assert.deepEqual([sent.done, sent.transfer, sent.size >= SIZE], [0, undefined, true]);
      const told: number[] = [];
      sent.addEventListener("progress", ({ done }) => void told.push(done));
      const first = new Receiver(await house.enter("b1", { name: "receiver" }));
      await passUntil(house, () => sent.done > 5 * CHUNK, 60);
      const { id } = sent.transfer!;
      await house.time.until(first.member.room.close({ timeout: 300 }));
      assert.ok(!sent.finished && sent.done < SIZE);
      await house.time.until(first.taken[0]!.catch(() => undefined)); // hashing takes real time; then its part is kept
      const again = new Receiver(await house.enter("c1", { name: "receiver" }));
      await house.time.until(sent.wait());
      await house.time.until(again.taken[0]!);
      assert.deepEqual([sent.transfer!.id, sent.done, again.taken.length], [id, sent.size, 1]);
      // A page keeps what has come of a file, by its key, for the next session; of a folder it keeps the list.
      if (what === "file") assert.ok(again.begun[0]![0] > 4 * CHUNK, `${again.begun[0]![0]}`);
      assert.ok(sent.proof && sent.proof === again.begun[0]![1].proof);
      assert.ok(told.length > 10 && told.at(-1) === sent.size);
    });
  }

  inside("goes on with a successor, instead of waiting for the end of a silent session", async (house, sender) => {
    const [, kill] = await mortal(house);
    const sent = await sender.room.sendFile("receiver", film(SIZE));
    await passUntil(house, () => sent.done > 5 * CHUNK, 60);
    kill();
    const killed = house.time.now;
    const again = new Receiver(await house.enter("c1", { name: "receiver" }));
    await passUntil(house, () => again.begun.length > 0, 20);
    assert.ok(house.time.now - killed < 12);
    await house.time.until(sent.wait());
    assert.equal(sent.done, SIZE);
  });

  inside("whose last word was lost with its session makes no second file", async (house, sender) => {
    const receiver = new Receiver(await house.enter("b1", { name: "receiver" }));
    const sent = await sender.room.sendFile("receiver", film(3 * CHUNK));
    await passUntil(house, () => receiver.member.sessions.length > 0, 5);
    const there = shellOf(receiver.member.sessions[0]!);
    const { machine } = there;
    const say = machine.sayFile.bind(machine);
    let lost = 0;
    machine.sayFile = (file, now) => {
      if (file.done && !lost++) {
        house.wire.cut = true;
        house.server.lose("sender");
      }
      say(file, now);
    };
    await passUntil(house, () => lost > 0, 20);
    await house.time.until(receiver.taken[0]!);
    await house.time.until(sender.sessions[0]!.waitClosed());
    assert.ok(!sent.finished);
    house.wire.heal();
    house.server.resume("sender");
    await house.time.until(sent.wait());
    assert.deepEqual([receiver.taken.length, sent.done], [1, 3 * CHUNK]);
  });

  inside("ends with a refusal, a cancel, and with the room", async (house, sender) => {
    const { room } = sender;
    new Receiver(await house.enter("b1", { name: "receiver" }), (offer) => offer.refuse("not today"));
    const refused = await room.sendFile("receiver", film(10), { name: "other.mp4" });
    assert.equal(refused.name, "other.mp4");
    await assert.rejects(house.time.until(refused.wait()), { name: "TransferError", message: /refused: not today/ });
    const cancelled = await room.sendFile("nobody", film(10));
    cancelled.cancel();
    await assert.rejects(cancelled.wait(), { message: /cancelled/ });
    const stream = new ReadableStream<Uint8Array>();
    await assert.rejects(room.sendFile("receiver", stream as never), { name: "TypeError", message: /read again/ });
    await assert.rejects(room.sendFile("receiver", film(10), { name: "" }), { name: "TypeError" });
    await assert.rejects(room.sendFolder("receiver", folder(10), { name: "x".repeat(256) }), { name: "TypeError" });
    const waiting = await room.sendFile("nobody", film(10));
    await house.time.until(room.close());
    const error = await house.time.until(waiting.wait().catch((error) => error));
    assert.ok(error instanceof TransferError && /the room is over: it was left/.test(error.message));
  });

  inside("that is cancelled while its folder is looked at again is not offered", async (house, sender) => {
    let looking = 0;
    let goOn = () => {};
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const file = { kind: "file", name: "film.mp4", getFile: async () => film(SIZE) };
    const values = async function* () {
      if (looking++) await held;
      yield file;
    };
    const source = { kind: "directory", name: "films", values } as unknown as FileSystemDirectoryHandle;
    const sent = await sender.room.sendFolder("receiver", source);
    const first = new Receiver(await house.enter("b1", { name: "receiver" }));
    await passUntil(house, () => sent.done > 5 * CHUNK, 60);
    await house.time.until(first.member.room.close({ timeout: 300 }));
    const again = new Receiver(await house.enter("c1", { name: "receiver" }));
    await passUntil(house, () => looking > 1, 20);
    sent.cancel();
    goOn();
    await house.time.pass(10);
    assert.equal(again.taken.length, 0);
    await assert.rejects(sent.wait(), { message: /cancelled/ });
  });

  inside("of which two go to two at once", async (house, sender) => {
    const one = new Receiver(await house.enter("b1", { name: "ben" }));
    const other = new Receiver(await house.enter("c1", { name: "cleo" }));
    const sent = [await sender.room.sendFile("ben", film(CHUNK)), await sender.room.sendFile("cleo", film(2 * CHUNK))];
    await house.time.until(Promise.all(sent.map((each) => each.wait())));
    assert.deepEqual([one.taken.length, other.taken.length], [1, 1]);
  });
});
