/** Files, over connections of this process, on virtual time: as this version has them, and as the one before. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hex } from "../src/bytes.js";
import { digest } from "../src/hashing.js";
import type { IncomingFile, Session, Transfer } from "../src/index.js";
import { CHUNK } from "../src/protocol/control.js";
import { whole } from "../src/session/files/first.js";
import { Source } from "../src/session/files/parts.js";
import type { Options } from "../src/session/machine/options.js";
import { safe } from "../src/session/names.js";
import { shellOf } from "../src/session/session.js";
import { Sha256 } from "../src/sha256.js";
import { hostile, pair, wordsOf } from "./pair.js";
import { vectors } from "./vectors.js";

const VERSIONS: [string, Partial<Options>][] = [
  ["files2", {}],
  ["files1", { capabilities: [] }],
];

/** Seconds of virtual time: large files are hashed in real time, and meanwhile it runs on. */
const HASHING = 3600;

/** Different everywhere. */
function bytes(size: number): Uint8Array<ArrayBuffer> {
  const data = new Uint32Array(Math.ceil(size / 4));
  for (let n = 0; n < data.length; n++) data[n] = Math.imul(n + 1, 2654435761);
  return new Uint8Array(data.buffer, 0, size);
}

/** Makes a size that no test before had: a side answers at once for a file that has arrived already. */
let more = 0;
const film = (size: number, name = "film.mp4") => new File([bytes(size)], name, { type: "video/mp4" });

async function same(one: Blob, other: Blob): Promise<boolean> {
  const [a, b] = await Promise.all([one.arrayBuffer(), other.arrayBuffer()]);
  return a.byteLength === b.byteLength && new Uint8Array(a).every((byte, n) => byte === new Uint8Array(b)[n]);
}

/** Accept everything; what came of each. */
function taking(session: Session): Promise<File | Error>[] {
  const results: Promise<File | Error>[] = [];
  session.addEventListener("file", (file) => {
    results.push(file.accept().catch((error: Error) => error));
  });
  return results;
}

describe("names", () => {
  for (const { name, safe: wanted } of vectors("files/names")) {
    test(`${JSON.stringify(name).slice(0, 40)} is made the same everywhere`, () => assert.equal(safe(name), wanted));
  }

  test("whatever it was, it is a visible name of one part that every disk takes", () => {
    const special = [
      ...'./\\ :~*?"<>|\0\r\n-_$',
      "\ud83d",
      "\udcf6",
      "\u202e",
      "\u200d",
      "\u3000",
      "😀",
      "CON",
      "nul",
      "¹",
    ];
    let seed = 1;
    const random = (below: number) => (seed = (Math.imul(seed, 48271) >>> 0) % 2147483647) % below;
    for (let round = 0; round < 3000; round++) {
      let name = "";
      for (let length = random(300); length > 0; length--) {
        name += random(3) ? String.fromCharCode(random(0x10000)) : special[random(special.length)];
      }
      const made = safe(name);
      const shown = JSON.stringify([name, made]);
      assert.ok(made && new TextEncoder().encode(made).length <= 200, shown);
      assert.ok(!/[/\\<>:"|?*\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u.test(made), shown);
      assert.ok(!/^[. ~]|[. ]$/.test(made), shown);
      assert.ok(!/^(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\.|$)/i.test(made), shown);
    }
  });
});

describe("hashing", () => {
  test("is the same natively, in a worker or here, of pieces and of whole files", async () => {
    for (const size of [0, 1, 64, 1000, 3 * CHUNK + 7]) {
      const data = bytes(size);
      const wanted = new Sha256().add(data).hex();
      assert.equal(hex(await digest(data)), wanted);
      assert.equal(await whole(new Blob([data])), wanted);
    }
  });

  test("is done once for all who get the file", async (t) => {
    const { subtle } = crypto;
    const { mock } = t.mock.method(subtle, "digest", subtle.digest.bind(subtle));
    const file = film(CHUNK + 1);
    for (const at of [0, CHUNK, 0, CHUNK]) await Source.of(file).chunk(at, CHUNK);
    assert.equal(mock.callCount(), 2);
  });
});

test("a receiver that reports another hash is not believed", async () => {
  const { time, a, b } = await pair();
  const taken = taking(b);
  const transfer = await time.until(a.sendFile(film(100_000 + ++more)));
  while (!transfer.proof) {
    await new Promise((resolve) => setTimeout(resolve, 1)); // hashing takes real time
    await time.pass(0.001);
  }
  const lie = { type: "file", id: transfer.id, done: true, proof: "0".repeat(64) };
  shellOf(a).controlReceived(1, JSON.stringify(lie));
  await assert.rejects(time.until(transfer.wait()), /another hash/);
  assert.equal(taken.length, 1);
});

test("what is withdrawn while a handler is busy counts until its turn, and no handler sees it", async () => {
  const { time, a, b } = await pair();
  const seen: string[] = [];
  let goOn = () => {};
  const busy = new Promise<void>((resolve) => (goOn = resolve));
  b.addEventListener("file", async ({ name }) => {
    seen.push(name);
    await busy;
  });
  const offer = async (name: string) => {
    const transfer = await time.until(a.sendFile(film(10), { name }));
    await time.pass(0.1);
    return transfer;
  };
  await offer("first");
  await offer("last");
  for (let n = 0; n < 100; n++) {
    const id = n.toString(16).padStart(16, "0");
    const flood = { name: "flood", size: 1, channel: "file flood", chunk: CHUNK, key: "ab".repeat(16) };
    hostile(a, { id, offer: flood });
    hostile(a, { id, failed: "withdrawn" });
  }
  await time.pass(0.1);
  const late = await offer("late");
  await assert.rejects(time.until(late.wait()), /too many files at once/);
  goOn();
  await time.pass(0.1);
  await offer("next");
  assert.deepEqual(seen, ["first", "last", "next"]);
});

for (const [version, options] of VERSIONS) {
  describe(`files, ${version}`, () => {
    async function offered(size: number, answer: (file: IncomingFile) => unknown) {
      const made = await pair(options);
      const come = new Promise<IncomingFile>((resolve) => {
        made.b.addEventListener("file", (file) => {
          resolve(file);
          return answer(file);
        });
      });
      const transfer = await made.time.until(made.a.sendFile(film(size)));
      return { ...made, transfer, file: await made.time.until(come) };
    }

    test("one that is held is answered later; nothing of it comes before, and other events go on", async () => {
      const { time, a, b, transfer, file } = await offered(600_000, (one) => one.hold());
      let heard = false;
      b.addEventListener("state", () => (heard = true));
      await time.until(a.reset()); // it is offered again, and stays one
      await time.pass(30);
      assert.deepEqual([file.done, transfer.done, file.answered, heard], [0, 0, false, true]);
      assert.ok(![...b.channels.keys()].some((name) => name.startsWith("file ")));
      const got = await time.until(file.accept());
      await time.until(transfer.wait());
      assert.deepEqual([got.name, got.size, got.type], ["film.mp4", 600_000, "video/mp4"]);
      await assert.rejects(file.accept(), { name: "TransferError", message: /answered already/ });
      assert.ok((await time.until(a.close())).clean);
      assert.equal(String(b.ledger()).includes("transfer"), false);
    });

    test("one that is refused is refused once, and the sender knows why", async () => {
      const { time, b, transfer, file } = await offered(10, (one) => one.hold());
      file.refuse("no room for it");
      file.refuse("no room for it");
      await assert.rejects(time.until(transfer.wait()), { name: "TransferError", message: /refused: no room for it/ });
      transfer.cancel();
      assert.equal(String(b.ledger()).includes("transfer"), false);
      await assert.rejects(file.accept(), { message: /answered already/ });
    });

    test("one that nobody answers or holds is refused", async () => {
      const { time, transfer } = await offered(10, () => undefined);
      await assert.rejects(time.until(transfer.wait()), { message: /no handler accepted it/ });
    });

    for (const end of ["cancelled", "the session ended"]) {
      test(`one that is held is withdrawn: ${end}`, async () => {
        const { time, a, b, transfer, file } = await offered(10, (one) => one.hold());
        const withdrawn = new Promise((resolve) => file.addEventListener("withdrawn", resolve));
        if (end === "cancelled") {
          transfer.cancel();
          transfer.cancel();
        } else {
          await time.until(a.close());
        }
        assert.equal(await time.until(withdrawn), file);
        file.refuse();
        await assert.rejects(file.accept(), { name: "TransferError", message: new RegExp(end) });
        assert.equal(String(b.ledger()).includes("transfer"), false);
        await assert.rejects(transfer.wait());
      });
    }

    for (const size of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]) {
      test(`one of ${size} bytes arrives whole, and both have its proof`, async () => {
        const { time, a, b } = await pair(options);
        const results = taking(b);
        const offers: IncomingFile[] = [];
        b.addEventListener("file", (file) => void offers.push(file));
        const transfer = await time.until(a.sendFile(film(size)));
        await time.until(transfer.wait(), HASHING);
        assert.ok(await same((await results[0]) as File, film(size)));
        assert.deepEqual([transfer.done, transfer.proof.length], [size, 64]);
        assert.equal(offers[0]!.proof, transfer.proof);
        const { proof } = transfer;
        for (const receipt of await time.until(Promise.all([a.close(), b.waitClosed()]))) {
          assert.deepEqual(receipt.files, [{ name: "film.mp4", size, proof, sent: receipt === a.receipt }]);
        }
        assert.equal(offers[0]!.sha256 !== "", version === "files1");
      });
    }

    test("two hundred at once all arrive, over a few channels", async () => {
      const { time, a, b } = await pair(options);
      const results = taking(b);
      const transfers: Transfer[] = [];
      for (let n = 0; n < 200; n++) transfers.push(await time.until(a.sendFile(film(1000 + n, `${n}.mp4`))));
      await time.until(Promise.all(transfers.map((transfer) => transfer.wait())));
      const files = (await Promise.all(results)) as File[];
      assert.equal(new Set(files.map(({ name, size }) => `${name} ${size}`)).size, 200);
      assert.ok(a.channels.size <= 32, String(a.channels.size));
    });

    test("an offer waits for a handler, for ten seconds", async () => {
      const { time, a, b } = await pair(options);
      const late = await time.until(a.sendFile(film(10)));
      const began = time.now;
      await assert.rejects(time.until(late.wait()), { message: /no handler for files on this side/ });
      assert.ok(time.now - began > 9.9);
      if (version === "files2") assert.ok(time.now - began < 10.5); // a worker hashes the others, in real time
      const transfer = await time.until(a.sendFile(film(10)));
      await time.pass(9);
      taking(b);
      await time.until(transfer.wait());
    });

    test("one that was left in the middle goes on from there, in another session", async () => {
      const file = film(30 * CHUNK + ++more);
      const { time, a, b } = await pair(options);
      const results = taking(b);
      const transfer = await time.until(a.sendFile(file));
      const half = new Promise<void>((resolve) =>
        transfer.addEventListener("progress", () => {
          if (transfer.done > 5 * CHUNK) resolve();
        }),
      );
      await time.until(half, HASHING);
      await time.until(a.close({ timeout: 0 }));
      assert.ok((await time.until(results[0]!)) instanceof Error);
      await assert.rejects(transfer.wait(), { message: /session ended/ });
      const next = await pair(options);
      const offers: IncomingFile[] = [];
      next.b.addEventListener("file", (one) => void offers.push(one));
      const came = taking(next.b);
      const again = await next.time.until(next.a.sendFile(file));
      const first = new Promise<number>((resolve) => again.addEventListener("progress", () => resolve(again.done)));
      assert.ok((await next.time.until(first, HASHING)) >= 5 * CHUNK);
      await next.time.until(again.wait(), HASHING);
      assert.ok(await same((await came[0]) as File, file));
      assert.equal(offers[0]!.proof, again.proof);
    });

    test("the same one, twice at once, arrives twice", async () => {
      const { time, a, b } = await pair(options);
      const results = taking(b);
      const file = film(5 * CHUNK);
      const transfers = [await time.until(a.sendFile(file)), await time.until(a.sendFile(file))];
      await time.until(Promise.all(transfers.map((transfer) => transfer.wait())), HASHING);
      for (const result of results) assert.ok(await same((await result) as File, file));
      assert.equal(results.length, 2);
    });

    test("a name without room is refused with its length, before anything is said", async () => {
      const { time, a, b } = await pair(options);
      const results = taking(b);
      await assert.rejects(a.sendFile(film(5), { name: "n".repeat(256) }), {
        name: "TypeError",
        message: /1 to 255 characters, not 256: nnn/,
      });
      await assert.rejects(a.sendFile(film(5), { name: "" }), { name: "TypeError", message: /not 0/ });
      for (const name of ["n".repeat(255), "😀".repeat(255), "\ud83d", "CON"]) {
        await time.until((await time.until(a.sendFile(film(5), { name }))).wait());
      }
      await time.until((await time.until(a.sendFile(film(5, "x".repeat(999))))).wait());
      assert.equal(results.length, 5);
      assert.equal(a.state, "open");
    });

    test("what is no longer wanted is taken off its channel, which is used again", async () => {
      const { time, a, b } = await pair(options);
      const long = film(16 * CHUNK + ++more);
      for (let n = 0; n < 3; n++) {
        const transfer = await time.until(a.sendFile(long));
        const file = await time.until(
          new Promise<IncomingFile>((resolve) => b.addEventListener("file", resolve, { once: true })),
        );
        const accepting = file.accept().catch((error: Error) => error);
        await time.until(
          new Promise<void>((resolve) =>
            file.addEventListener("progress", () => {
              if (file.done > 3 * CHUNK) resolve();
            }),
          ),
        );
        transfer.cancel();
        assert.ok((await time.until(accepting)) instanceof Error);
        await time.pass(1);
      }
      assert.deepEqual([a.channels.size, b.channels.size], [1, 1]);
      assert.ok((await time.until(a.close())).clean);
    });
  });
}

describe("a peer", () => {
  const proved = async (data: Uint8Array<ArrayBuffer>) => new Uint8Array([...data, ...(await digest(data))]);
  const [one, two] = [bytes(20_000), bytes(20_000).reverse()];
  const wrong: Record<string, () => Promise<(Uint8Array<ArrayBuffer> | string)[]>> = {
    "a wrong hash": async () => [new Uint8Array([...one, ...new Uint8Array(32)])],
    "a chunk too short": async () => [await proved(one), await proved(two.slice(1))],
    "a chunk too long": async () => [await proved(new Uint8Array([...one, 1]))],
    "a wrong proof": async () => [await proved(one), await proved(two), new Uint8Array(32)],
    "a text": async () => ["no bytes"],
    "a wrong hash of the whole": async () => [one, two],
  };
  for (const [what, messages] of Object.entries(wrong)) {
    test(`that sends ${what} is not believed`, async () => {
      const { time, a, b } = await pair();
      const results = taking(b);
      const of = what.endsWith("whole") ? { sha256: "0".repeat(64) } : { chunk: 20_000, key: "ab".repeat(16) };
      hostile(a, { id: "by hand", offer: { name: "f", size: 40_000, channel: "file x", ...of } });
      const channel = await time.until(a.open("file x"));
      for (const message of await messages()) await channel.send(message);
      while (!results.length) await time.pass(0.01);
      assert.match(String(await time.until(results[0]!)), /TransferError.*(damaged|something else)/);
      assert.equal(b.state, "open");
    });
  }

  const channels: [string[], RegExp][] = [
    [["chat"], /a file's channel begins with "file "/],
    [["file x", "file x"], /channel "file x" carries another file/],
  ];
  for (const [names, why] of channels) {
    test(`that offers files in ${names} is refused`, async () => {
      const { time, a, b } = await pair();
      const results = taking(b);
      const said = wordsOf(b);
      for (const [n, channel] of names.entries()) {
        hostile(a, { id: `x${n}`, offer: { name: "f", size: 1, chunk: CHUNK, key: "ab".repeat(16), channel } });
      }
      while (said.length < names.length) await time.pass(0.01); // to accept, a page loads code first
      assert.match(said.map(({ refuse }) => refuse ?? "").join(""), why);
      assert.deepEqual([said.length, results.length, b.state], [names.length, names.length - 1, "open"]);
      await time.until(a.close({ timeout: 100 }));
    });
  }

  for (const said of [{ accept: 5 }, { accept: 2 ** 40 }, { done: true }, { done: true, proof: "0".repeat(64) }]) {
    test(`that says ${JSON.stringify(said)} is not believed`, async () => {
      const { time, a, b } = await pair();
      const offered = new Promise<IncomingFile>((resolve) =>
        b.addEventListener("file", (file) => {
          file.hold();
          resolve(file);
        }),
      );
      const transfer = await time.until(a.sendFile(film(3 * CHUNK)));
      hostile(b, { id: (await time.until(offered)).id, ...said });
      await assert.rejects(time.until(transfer.wait()), { message: /would go on at byte|another hash/ });
    });
  }
});
