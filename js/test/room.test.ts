/** Who gets a session in a room, and who gets it again, on virtual time (closing rule S13). */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type JoinOptions, join, Ladder, type Options } from "../src/index.js";
import { sessionId } from "../src/protocol/ids.js";
import { shellOf } from "../src/session/session.js";
import { House, type Member, whys } from "./house.js";

const SHORT: Partial<Options> = { recovery: new Ladder(1, 2, 3, 6) };

/** A test in a house of its own. */
function inside(name: string, work: (house: House) => Promise<void>): void {
  test(name, async () => {
    const house = new House();
    await work(house);
    await house.leave();
    await house.time.pass(3);
    assert.equal(house.time.timers, 0);
  });
}

/** A member who thinks about the victim for a second and a half. */
function considering(house: House): Pick<JoinOptions, "accept"> {
  return {
    accept: async ({ name }) => {
      if (name === "victim") await new Promise<void>((done) => house.time.later(1.5, done));
      return true;
    },
  };
}

describe("again", () => {
  inside("two whose link was cut for too long get a session when it heals", async (house) => {
    const ada = await house.enter("a1", { name: "ada", options: SHORT });
    const ben = await house.enter("b1", { name: "ben", options: SHORT });
    const [first, there] = await house.sessions(ada, ben);
    assert.deepEqual([ada.room.unconnected, ben.room.unconnected], [[], []]);
    house.wire.cut = true;
    const [receipt] = await house.time.until(Promise.all([first!.waitClosed(), there!.waitClosed()]));
    const [lacking] = ada.room.unconnected;
    assert.deepEqual([lacking?.peer.name, lacking?.why, lacking?.text], ["ben", "again", receipt.notice]);
    assert.ok(lacking!.again! > 0 && lacking!.again! <= 1000);
    house.wire.cut = false;
    const [second, back] = await house.sessions(ada, ben);
    await house.talk(second!, back!, "after");
    assert.ok(second!.id !== first!.id);
    assert.equal(second!.id, sessionId("lab", "a1", "b1", shellOf(second!).machine.n));
    assert.deepEqual([ada.room.unconnected, ada.room.sessions], [[], [second]]);
    for (const member of [ada, ben]) assert.deepEqual(whys(member).slice(-2), ["again", "connecting"]);
  });

  inside("tries come ever more rarely", async (house) => {
    const options = { ...SHORT, connectTimeout: 1 };
    const ada = await house.enter("a1", { options });
    const ben = await house.enter("b1", { options });
    await house.sessions(ada, ben);
    const began: number[] = [];
    ada.room.addEventListener("session", () => void began.push(house.time.now));
    house.wire.cut = true;
    await house.time.pass(250);
    const waits = began.slice(1).map((at, index) => at - began[index]!);
    assert.ok(waits.length >= 7, String(waits));
    assert.deepEqual(
      waits.map((wait) => Math.round(wait)),
      waits.map((wait) => Math.round(wait)).sort((one, other) => one - other),
    );
    assert.ok(waits[0]! < 4 && waits.at(-1)! >= 30 && waits.at(-1)! < 33, String(waits));
    house.wire.cut = false;
    await house.time.until(Promise.all([ada.room.session(), ben.room.session()]), 40);
  });

  for (const asker of [0, 1]) {
    inside(`who asks for it (${asker}) is connected at once, not when it is planned`, async (house) => {
      const options = { ...SHORT, connectTimeout: 1 };
      const members = [await house.enter("a1", { options }), await house.enter("b1", { options })];
      await house.sessions(...members);
      house.wire.cut = true;
      await house.time.pass(250);
      const [mine, other] = [members[asker]!.room, members[1 - asker]!.room];
      while (mine.unconnected[0]?.why !== "again" || mine.unconnected[0].again! < 10_000) await house.time.pass(1);
      assert.ok(!mine.tryAgain("nobody"));
      house.wire.cut = false;
      assert.ok(mine.tryAgain(other.me));
      assert.ok(!mine.tryAgain(other.me), "it is being tried");
      await house.time.until(Promise.all([mine.session(), other.session()]), 2);
      assert.ok(!mine.tryAgain(other.me), "there is a session");
    });
  }

  for (const closer of [0, 1]) {
    inside(`an end that somebody (${closer}) wanted stays, and both are told`, async (house) => {
      const members = [await house.enter("a1"), await house.enter("b1")];
      const sessions = await house.sessions(...members);
      await house.time.until(sessions[closer]!.close("enough"));
      await house.time.pass(120);
      for (const { sessions: made, room } of members) {
        assert.equal(made.length, 1);
        const [lacking] = room.unconnected;
        assert.deepEqual([lacking?.why, lacking?.again], ["over", undefined]);
        assert.match(lacking!.text, /left/);
      }
    });
  }

  inside("a connection that can not be made is tried again", async (house) => {
    let fails = 2;
    const connect = () => {
      if (fails-- > 0) throw new Error("no memory left");
      return house.wire.connect();
    };
    const ada = await house.enter("a1", { connect });
    const ben = await house.enter("b1");
    await house.time.until(Promise.all([ada.room.session(), ben.room.session()]), 20);
    assert.ok(whys(ben).includes("again"));
  });

  inside("a first try that fails is not the last, for whoever of four it is", async (house) => {
    let broken = true;
    const connect = () => {
      if (broken) throw new Error("no memory left");
      return house.wire.connect();
    };
    const ada = await house.enter("a1");
    const ben = await house.enter("b1", { connect });
    const [cy, dora] = [await house.enter("c1"), await house.enter("d1")];
    const all = [ada, ben, cy, dora];
    const lacking = ({ room }: Member) => room.unconnected.map(({ peer }) => peer.peer).sort();
    await house.time.until(Promise.all(["c1", "d1"].map((name) => ada.room.session(name))));
    await house.time.until(cy.room.session("d1"));
    await house.time.pass(90);
    assert.deepEqual(all.map(lacking), [["b1"], ["a1", "c1", "d1"], ["b1"], ["b1"]]);
    broken = false;
    const names = ["a1", "c1", "d1"];
    const sessions = await house.time.until(Promise.all(names.map((name) => ben.room.session(name))), 40);
    assert.deepEqual(all.map(lacking), [[], [], [], []]);
    const there = await house.time.until(dora.room.session("b1"));
    await house.talk(sessions[2]!, there, "all here");
  });
});

describe("who is away", () => {
  for (const [ghostId, id] of [
    ["a1", "b1"],
    ["b1", "a1"],
  ]) {
    inside(`gets no session until it is back (${ghostId})`, async (house) => {
      const ghost = await house.enter(ghostId!);
      house.server.lose(ghostId!);
      const ada = await house.enter(id!);
      await house.time.pass(30);
      assert.equal(ada.sessions.length, 0);
      assert.deepEqual(
        ada.room.unconnected.map(({ why, peer }) => [why, peer.away]),
        [["away", true]],
      );
      house.server.resume(ghostId!);
      const [here, there] = await house.time.until(Promise.all([ada.room.session(), ghost.room.session()]), 6);
      await house.talk(here, there, "back");
      assert.deepEqual(
        ada.room.peers.map(({ away }) => !!away),
        [false],
      );
    });
  }

  inside("is tried again when it is back, and not before", async (house) => {
    const ada = await house.enter("a1", { options: SHORT });
    const ben = await house.enter("b1", { options: SHORT });
    const [here] = await house.sessions(ada, ben);
    house.wire.cut = true;
    house.server.lose("b1");
    await house.time.until(here!.waitClosed());
    await house.time.pass(60);
    assert.deepEqual([ada.sessions.length, whys(ada).at(-1)], [1, "away"]);
    house.wire.cut = false;
    house.server.resume("b1");
    const [again, there] = await house.time.until(Promise.all([ada.room.session(), ben.room.session()]), 6);
    await house.talk(again, there, "back");
  });

  for (const next of ["Z9", "A0"]) {
    inside(`and comes back as another (${next}) after its session ended gets one at once`, async (house) => {
      house.server.ids.set("ben", ["N1", next]);
      const ada = await house.enter("M1", { options: SHORT });
      const ben = await house.enter("N1", { name: "ben", options: { recovery: new Ladder(5, 8, 10, 600) } });
      const [here, there] = await house.sessions(ada, ben);
      house.wire.cut = true;
      house.server.lose("ben");
      await house.time.until(here!.waitClosed());
      house.server.vacate("ben");
      await house.time.pass(10);
      house.wire.cut = false;
      house.server.resume("ben");
      const [again, back] = await house.time.until(Promise.all([ada.room.session(), ben.room.session()]), 12);
      await house.talk(again, back, "awake");
      await house.time.until(there!.waitClosed());
      assert.deepEqual([ada.room.sessions, ben.room.sessions], [[again], [back]]);
    });
  }
});

describe("accept", () => {
  for (const [id, other] of [
    ["a1", "b1"],
    ["b1", "a1"],
  ]) {
    inside(`that throws is a refusal that the other side is told (${id})`, async (house) => {
      const errors: unknown[] = [];
      const before = globalThis.reportError;
      globalThis.reportError = (error: unknown) => void errors.push(error);
      try {
        const accept: JoinOptions["accept"] = ({ name }) => {
          throw new Error(`who is ${name}?`);
        };
        const ada = await house.enter(id!, { accept });
        const ben = await house.enter(other!);
        await house.time.pass(100);
        assert.deepEqual([ada.sessions.length, ben.sessions.length], [0, 1]);
        assert.equal(ben.sessions[0]?.receipt?.reason.text, "not accepted");
        assert.deepEqual(
          [ada, ben].map(({ room }) => room.unconnected.map(({ why }) => why)),
          [["refused"], ["over"]],
        );
        assert.equal(errors.length, 1);
      } finally {
        globalThis.reportError = before;
      }
    });

    inside(`that thinks for long lets somebody in at last (${id})`, async (house) => {
      let decide = (_: boolean) => {};
      const decided = new Promise<boolean>((resolve) => {
        decide = resolve;
      });
      const ada = await house.enter(id!, { accept: () => decided });
      const ben = await house.enter(other!);
      await house.time.pass(300);
      assert.deepEqual(
        ada.room.unconnected.map(({ why }) => why),
        ["considered"],
      );
      assert.equal(ada.sessions.length, 0);
      decide(true);
      const [here, there] = await house.time.until(Promise.all([ada.room.session(), ben.room.session()]), 100);
      await house.talk(here, there, "at last");
    });
  }
});

describe("a new peer id", () => {
  inside("after the server was started anew keeps the session, and both know it", async (house) => {
    house.server.ids.set("ada", ["a1", "x1"]).set("ben", ["b1", "y1"]);
    const ada = await house.enter("a1", { name: "ada" });
    const ben = await house.enter("b1", { name: "ben" });
    const [here, there] = await house.sessions(ada, ben);
    house.server.restart();
    await house.time.pass(60);
    assert.deepEqual([shellOf(here!).peerNow, shellOf(there!).peerNow], ["y1", "x1"]);
    assert.deepEqual([ada.sessions.length, ben.sessions.length], [1, 1]);
    assert.deepEqual([ada.room.unconnected, ben.room.unconnected], [[], []]);
    assert.equal((await house.time.until(here!.reset())).epoch, 2);
    await house.talk(here!, there!, "after");
  });

  for (const old of ["ada", "ben"]) {
    inside(`of the version before (${old}), said in-band only, makes no second session`, async (house) => {
      house.server.ids.set("ada", ["a1", "x1"]).set("ben", ["b1", "y1"]);
      house.server.old.add(old);
      const ada = await house.enter("a1", { name: "ada" });
      const ben = await house.enter("b1", { name: "ben" });
      const [here, there] = await house.sessions(ada, ben);
      house.server.restart();
      await house.time.pass(60);
      assert.deepEqual([ada.sessions.length, ben.sessions.length], [1, 1]);
      assert.equal((await house.time.until(here!.reset())).epoch, 2);
      await house.talk(here!, there!, "after");
    });
  }

  for (const victim of ["c1", "0c"]) {
    for (const way of ["in-band", "signaling", "both", "left", "late"]) {
      inside(`that is somebody else's (${victim}) is not believed: ${way}`, async (house) => {
        const ada = await house.enter("a1", considering(house));
        const eve = await house.enter("b1");
        const [mine, hers] = await house.sessions(ada, eve);
        if (way === "left") house.server.vacate("b1");
        const guest = await house.enter(victim, { name: "victim" });
        if (way === "late") await house.time.until(guest.room.session("a1"));
        for (let time = 0; time < 2; time++) {
          if (way !== "signaling") shellOf(hers!).sayMoved(victim);
          if (way !== "in-band") house.server.relay("b1", { type: "moved", session: hers!.id, to: "a1", peer: victim });
        }
        const got = await house.time.until(
          way === "late" ? ada.room.session("victim") : guest.room.session({ name: "a1" }),
          8,
        );
        assert.equal(got.state, "open");
        assert.deepEqual([shellOf(mine!).peerNow, mine!.state], ["b1", "open"]);
        const [there] = ada.room.sessions.filter((session) => shellOf(session).peerNow === victim);
        assert.ok(there && there !== mine);
        await house.talk(there, guest.room.sessions.find(({ name }) => name === "a1")!, "mine");
      });
    }
  }

  for (const stage of ["there", "considered", "together"]) {
    inside(`is not believed even where both of them say so: ${stage}`, async (house) => {
      const ada = await house.enter("a1", considering(house));
      const eve = await house.enter("b1");
      const [mine, hers] = await house.sessions(ada, eve);
      if (stage !== "there") house.server.vacate("b1");
      const guest = await house.enter("c1", { name: "victim" });
      if (stage === "together") await house.time.until(guest.room.session("a1"));
      while (stage === "considered" && ada.room.unconnected[0]?.why !== stage) await house.time.pass(0.1);
      shellOf(hers!).sayMoved("c1");
      house.server.relay("c1", { type: "moved", session: hers!.id, to: "a1", peer: "c1" });
      await house.time.pass(stage === "there" ? 3 : 0.5); // once it is accepted, its place would be free
      assert.equal(shellOf(mine!).peerNow, "b1");
    });
  }

  inside("or none: the word that there is another session ends none that answers", async (house) => {
    const ada = await house.enter("b1");
    const ben = await house.enter("a1");
    const [here, there] = await house.sessions(ada, ben);
    const coming = sessionId("lab", "a1", "b1", 2);
    await house.time.pass(1); // the next might begin now
    for (let time = 0; time < 3; time++) {
      const to = { session: coming, to: "b1", epoch: 1 };
      house.server.relay("a1", { type: "description", sdpType: "offer", sdp: "0", ...to });
      house.server.relay("a1", { type: "candidates", candidates: [], ...to });
    }
    await house.time.pass(30);
    assert.deepEqual([ada.room.sessions, here!.state], [[here], "open"]);
    await house.talk(here!, there!, "still");
  });
});

describe("who begins sessions", () => {
  inside("again and again gets one in half a second", async (house) => {
    const ada = await house.enter("b1");
    const ben = await house.enter("a1");
    const [here] = await house.sessions(ada, ben);
    const closed = { receipt: shellOf(here!).machine.receipt, closer: "network", reason: { code: "gave-up" } };
    house.server.relay("a1", { type: "closed", session: here!.id, to: "b1", channels: {}, ...closed });
    await house.time.until(here!.waitClosed());
    const relay = house.server.relay.bind(house.server);
    house.server.relay = () => {};
    const offer = { type: "description", to: "b1", epoch: 1, sdpType: "offer", sdp: "v=0\r\n" };
    for (let n = 2; n < 52; n++) {
      relay("a1", { ...offer, session: sessionId("lab", "a1", "b1", n) });
      await house.time.pass(0.02);
    }
    house.server.relay = relay;
    assert.deepEqual([ada.sessions.length >= 2, ada.sessions.length <= 4], [true, true], String(ada.sessions.length));
  });
});

describe("a room that is closed for all", () => {
  /** Host, Ben and Eve, each with a session with each. */
  async function three(house: House): Promise<[host: Member, ben: Member, eve: Member]> {
    house.server.hosts.add("host");
    const members = [await house.enter("host"), await house.enter("ben"), await house.enter("eve")] as const;
    for (const member of [...members, ...members]) await house.sessions(member);
    return [...members];
  }

  inside("ends every session in it, and each receipt names that", async (house) => {
    const members = await three(house);
    assert.deepEqual(
      members.map(({ room }) => room.mayCloseForAll),
      [true, false, false],
    );
    const [host, ben, eve] = members;
    const receipts = await house.time.until(host.room.closeForAll("the lesson is over"));
    assert.equal(receipts.length, 2);
    const ends = await house.time.until(
      Promise.all(members.flatMap(({ sessions }) => sessions.map((session) => session.waitClosed()))),
    );
    assert.equal(ends.length, 6);
    for (const end of ends) {
      assert.deepEqual(
        [end.cause, end.reason.code, end.path, end.clean],
        ["room-closed", "room-closed", "graceful", true],
      );
      assert.match(end.notice, /^The room was closed for everybody \(the lesson is over\)\./);
      assert.equal(ends.filter(({ agreed }) => agreed === end.agreed).length, 2);
    }
    await assert.rejects(eve.room.session(), /the room was closed: the lesson is over/);
    assert.equal(ben.room.over, "the room was closed: the lesson is over");
  });

  inside("by somebody without the right is not: nothing ends, and a later close has its own cause", async (house) => {
    const [, ben] = await three(house);
    await assert.rejects(house.time.until(ben.room.closeForAll("mine")), {
      name: "SignalingRefusedError",
      message: /right `close`/,
    });
    for (const { state } of house.members.flatMap(({ sessions }) => sessions)) assert.equal(state, "open");
    const receipts = await house.time.until(ben.room.close("bye"));
    assert.deepEqual(
      receipts.map(({ cause, reason }) => [cause, reason.code]),
      [
        ["left", "left"],
        ["left", "left"],
      ],
    );
  });

  inside("is the cause only where the own server says so: a peer cannot claim it", async (house) => {
    house.server.deaf.add("eve");
    const [host, , eve] = await three(house);
    const began = house.time.now;
    await house.time.until(host.room.closeForAll("the lesson is over"));
    assert.ok(house.time.now - began >= 1, "what the server says is awaited");
    const ends = await house.time.until(Promise.all(eve.sessions.map((session) => session.waitClosed())));
    for (const { cause, reason } of ends) assert.deepEqual([cause, reason.code], ["left", "room-closed"]);
  });

  inside("by the server for one of them is over for that one, and its sessions go on", async (house) => {
    const [host] = await three(house);
    const waits = assert.rejects(host.room.session(), /room lab is over: 16 peers are in it/);
    const left = { type: "left", room: "lab", code: "room-full", text: "16 peers are in it" };
    house.server.seats.get(host.room.client.peer)!.socket!.hear(left as never);
    await house.time.until(waits);
    assert.equal(host.room.over, "16 peers are in it");
    for (const { state } of host.sessions) assert.equal(state, "open");
  });

  inside("takes only the options of a close", async (house) => {
    const [host] = await three(house);
    await assert.rejects(host.room.closeForAll(5 as never), /close\(5\): an object with options/);
    await assert.rejects(host.room.closeForAll({ media: "never" as "cut" }), /media must be "finish" or "cut"/);
    assert.deepEqual([host.room.over, host.sessions.map(({ state }) => state)], [undefined, ["open", "open"]]);
  });
});

describe("mistakes", () => {
  test("of who joins are named before anything is dialled", async () => {
    const wrong = async (options: unknown, message: RegExp) =>
      assert.rejects(join("ws://server/ws", options as JoinOptions), { name: "TypeError", message });
    await wrong(undefined, /give at least a room/);
    await wrong(null, /give at least a room/);
    await wrong("lab", /give at least a room/);
    await wrong({}, /a room's name must be text, not undefined/);
    await wrong({ room: "" }, /a room's name must have 1 to 256 characters, not 0/);
    await wrong({ room: "x".repeat(257) }, /a room's name must have 1 to 256 characters, not 257/);
    await wrong({ room: "lab", name: "x".repeat(257) }, /a person's name must have at most 256 characters, not 257/);
    await wrong({ room: "lab", connect: {} }, /a function that makes a new RTCPeerConnection/);
  });

  inside("in the names of events, and texts in the place of options", async (house) => {
    const ada = await house.enter("a1", { name: "ada \ud83d", meta: { "\ud83d": ["\udc4b"] } });
    const ben = await house.enter("b1");
    assert.throws(() => ada.room.addEventListener("sesion" as "session", () => {}), {
      name: "TypeError",
      message: /room lab has no event sesion; it has session, peer, unconnected, signaling/,
    });
    assert.throws(() => ada.room.addEventListener("session", undefined as never), TypeError);
    const session = await house.time.until(ben.room.session("ada \ufffd"));
    const there = await house.time.until(ada.room.session({ name: "b1" }));
    const [report] = await house.time.until(ben.room.reset("full"));
    assert.equal(report?.status === "fulfilled" && report.value.level, "full");
    await assert.rejects(ben.room.session(7 as never), TypeError);
    const [receipt] = await house.time.until(ben.room.close("bye \ud83d"));
    assert.equal(receipt?.reason.text, "bye \ufffd");
    assert.equal((await house.time.until(there.waitClosed())).agreed, receipt?.agreed);
    assert.equal(session.receipt, receipt);
  });

  test("a program without a WebSocket is told so", async () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
    Object.defineProperty(globalThis, "WebSocket", { configurable: true, value: undefined });
    try {
      await assert.rejects(join("ws://127.0.0.1:9/ws", { room: "lab" }), /no socket: there is no WebSocket here/);
    } finally {
      if (before) Object.defineProperty(globalThis, "WebSocket", before);
      else Reflect.deleteProperty(globalThis, "WebSocket");
    }
  });
});
