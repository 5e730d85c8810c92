/** The signaling client: its machine by itself, then a room over a server of this process, on virtual time. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { join, SignalingClient, SignalingLostError, SignalingRefusedError } from "../src/index.js";
import type { FromServer } from "../src/protocol/messages.js";
import { encodeBody, type Relayed, wrap } from "../src/protocol/signaling.js";
import { shellOf } from "../src/session/session.js";
import type { Down, Ended } from "../src/signaling/events.js";
import { type Output, SignalingMachine } from "../src/signaling/machine.js";
import { POLICY } from "../src/signaling/policy.js";
import { Wire } from "./fakes.js";
import { DOCUMENT_STAYS, settled, VirtualTime } from "./time.js";

const LIMITS = {
  messageBytes: 65536,
  sdpBytes: 61440,
  candidates: 50,
  messagesPerSecond: 50,
  burst: 200,
  rooms: 128,
  roomPeers: 16,
};
const welcome = (resumed = false, peer = "me", resumeToken = "t1"): FromServer => ({
  type: "welcome",
  peer,
  resumeToken,
  resumed,
  resumeGraceMs: 75000,
  pingMs: 10000,
  limits: LIMITS,
});
const candidates: Relayed = { type: "candidates", to: "you", epoch: 1, candidates: [] };

/** A machine that stands, and the two ends of its socket. */
class Line {
  readonly machine = new SignalingMachine({ policy: POLICY, name: "ada", random: () => 0.5 });
  now = 0;

  constructor() {
    this.machine.start(0);
    this.open();
    this.hear(welcome());
    this.told();
  }

  open(): void {
    this.machine.handleOpen(undefined);
    assert.equal(this.said()[0].type, "hello");
  }

  hear(message: FromServer, envelope = {}): void {
    this.machine.handleFrame(wrap(encodeBody(message), envelope), this.now);
  }

  // biome-ignore lint/suspicious/noExplicitAny: JSON
  said(): any[] {
    const frames: unknown[] = [];
    for (let frame: string | undefined; (frame = this.machine.pollTransmit(this.now)) !== undefined; ) {
      frames.push(JSON.parse(frame));
    }
    return frames;
  }

  told(): Output[] {
    const outputs: Output[] = [];
    for (let output: Output | undefined; (output = this.machine.pollOutput()); ) outputs.push(output);
    return outputs;
  }

  lose(options = {}): Output[] {
    this.machine.handleLost("gone", this.now, options);
    return this.told();
  }

  comeAgain(resumed: boolean, peer = "me"): Output[] {
    this.now = this.machine.pollTimeout()!;
    this.machine.handleTimeout(this.now);
    this.open();
    this.hear(welcome(resumed, peer, "t2"), resumed ? { ack: 1 } : {});
    return this.told();
  }
}

describe("the machine", () => {
  test("says hello, asks, and hands out the answer", () => {
    const line = new Line();
    const request = line.machine.request({ type: "join", room: "lab" }, 0);
    assert.deepEqual(line.said(), [{ id: request, type: "join", room: "lab" }]);
    line.hear({ type: "joined", room: "lab", peers: [] }, { id: request });
    assert.deepEqual(
      line.told().map(({ type }) => type),
      ["answer", "joined"],
    );
  });

  test("takes its seat back and says again only what the server lacks", () => {
    const line = new Line();
    line.machine.send({ ...candidates, epoch: 1 });
    line.machine.send({ ...candidates, epoch: 2 });
    assert.deepEqual(
      line.said().map(({ seq, epoch }) => [seq, epoch]),
      [
        [1, 1],
        [2, 2],
      ],
    );
    assert.deepEqual(
      line.lose().map(({ type }) => type),
      ["down"],
    );
    assert.deepEqual(line.comeAgain(true), [{ type: "up", peer: "me", resumed: true }]);
    assert.deepEqual(
      line.said().map(({ seq, epoch }) => [seq, epoch]),
      [[2, 2]],
    );
  });

  test("joins again and tells what may be lost when the seat is gone", () => {
    const line = new Line();
    const request = line.machine.request({ type: "join", room: "lab" }, 0);
    line.hear({ type: "joined", room: "lab", peers: [] }, { id: request });
    line.machine.send(candidates);
    line.said();
    line.lose();
    line.told();
    const told = line.comeAgain(false, "other");
    assert.deepEqual(
      told.map(({ type }) => type),
      ["seatMoved", "undelivered", "up"],
    );
    assert.deepEqual(
      line.said().map(({ type }) => type),
      ["join"],
    );
  });

  test("what comes twice is told once, and a gap ends the socket", () => {
    const line = new Line();
    line.hear({ type: "peerAway", room: "lab", peer: "you" }, { seq: 1 });
    line.hear({ type: "peerAway", room: "lab", peer: "you" }, { seq: 1 });
    assert.equal(line.told().length, 1);
    line.now = 0.5;
    assert.deepEqual(line.said(), [{ ack: 1, type: "ack" }]);
    line.hear({ type: "peerAway", room: "lab", peer: "you" }, { seq: 3 });
    assert.match((line.told()[0] as { reason: string }).reason, /miscounted/);
  });

  test("a final code is the end, with an answer for everybody", () => {
    const line = new Line();
    line.machine.request({ type: "iceServers" }, 0);
    line.machine.send(candidates);
    const told = line.lose({ code: 3509 });
    assert.deepEqual(
      told.map(({ type }) => type),
      ["refusal", "undelivered", "ended"],
    );
    const { error } = told.at(-1) as unknown as { error: SignalingRefusedError };
    assert.ok(error instanceof SignalingRefusedError && error.code === 3509);
    assert.throws(() => line.machine.request({ type: "iceServers" }, 0), SignalingLostError);
  });

  test("a server that is silent is asked, and then counts as lost", () => {
    const line = new Line();
    assert.equal(line.machine.pollTimeout(), 5);
    line.machine.handleTimeout((line.now = 5));
    const [probe] = line.said();
    assert.deepEqual([probe.type, probe.to], ["probe", "me"]);
    line.hear({ type: "probe", to: "me", alive: false }, { id: probe.id });
    line.machine.handleTimeout((line.now = 9.9));
    assert.equal(line.machine.want, "talk");
    line.machine.handleTimeout((line.now = 10));
    line.said();
    line.machine.handleTimeout((line.now = 15));
    assert.equal(line.machine.want, "wait");
  });

  test("a server that answers no probe of a peer counts as lost after two seconds", () => {
    const line = new Line();
    line.now = 3;
    line.machine.request({ type: "probe", to: "you" }, line.now);
    const [probe] = line.said();
    assert.equal(line.machine.pollTimeout(), 5);
    line.hear({ type: "probe", to: "you", alive: true }, { id: probe.id });
    line.machine.handleTimeout((line.now = 7.9));
    assert.equal(line.machine.want, "talk");
    line.machine.request({ type: "probe", to: "you" }, line.now);
    line.said();
    line.machine.handleTimeout((line.now = 9.8));
    assert.equal(line.machine.want, "talk");
    line.machine.handleTimeout((line.now = 9.91));
    assert.equal(line.machine.want, "wait");
  });

  test("waits between attempts grow to two seconds", () => {
    const line = new Line();
    const waits: number[] = [];
    for (let n = 0; n < 7; n++) {
      const [down] = line.lose() as unknown as [{ retryIn: number }];
      waits.push(down.retryIn);
      line.now += down.retryIn;
      line.machine.handleTimeout(line.now);
    }
    assert.deepEqual(
      waits.map((wait) => Number(wait.toFixed(3))),
      [0.075, 0.15, 0.3, 0.6, 1.2, 1.5, 1.5],
    );
  });

  test("a server of another version is named as such, whatever it says first", () => {
    for (const [first, words] of [
      [{ type: "welcome", peer: "me", seat: 7 }, /another version: welcome\.resumeToken/],
      [{ type: 7 }, /another version: message\.type/],
    ] as const) {
      const machine = new SignalingMachine({ policy: POLICY, random: () => 0.5 });
      machine.start(0);
      machine.handleOpen(undefined);
      machine.handleFrame(JSON.stringify(first), 0);
      const told = machine.pollOutput();
      assert.equal(told?.type, "down");
      assert.match((told as Down).reason, words);
      assert.equal(machine.want, "wait");
    }
  });

  test("a server that refuses this version is final, with its words", () => {
    const machine = new SignalingMachine({ policy: POLICY, random: () => 0.5 });
    machine.start(0);
    machine.handleOpen(undefined);
    const refusal = { type: "error", code: "unsupported", message: "this server speaks version 2" };
    machine.handleFrame(JSON.stringify(refusal), 0);
    machine.handleLost("bad request", 0, { code: 3501 });
    const told = machine.pollOutput() as Ended;
    assert.equal(told.type, "ended");
    assert.match(told.error!.message, /bad request: this server speaks version 2/);
  });

  test("what a later server says beside is ignored", () => {
    const line = new Line();
    const frame = { ...JSON.parse(encodeBody(welcome())), weather: "fine" };
    line.lose();
    line.now = line.machine.pollTimeout()!;
    line.machine.handleTimeout(line.now);
    line.open();
    line.machine.handleFrame(JSON.stringify(frame), line.now);
    line.machine.handleFrame(JSON.stringify({ type: "forecast", seq: 1, tomorrow: "rain" }), line.now);
    assert.ok(line.machine.up);
    assert.deepEqual([line.told().some(({ type }) => type === "up"), line.machine.badFrames], [true, 1]);
  });

  test("garbage is counted and dropped; a probe of another peer is answered", () => {
    const line = new Line();
    for (const frame of ["{", "[]", '{"type":"later"}', new ArrayBuffer(3)]) line.machine.handleFrame(frame, 0);
    assert.equal(line.machine.badFrames, 4);
    line.hear({ type: "probe", from: "you", to: "me", session: "s" });
    assert.deepEqual(line.said(), [{ type: "probe", session: "s", to: "you", alive: true }]);
    assert.throws(() => line.machine.send({ ...candidates, to: "" }), TypeError);
    assert.throws(() => line.machine.send({ type: "cancel", to: "you", epoch: -1 }), TypeError);
  });
});

/** As much of a server as a room needs. */
class Server {
  readonly beacons: string[] = [];
  /** What is said to it is lost. */
  deaf = false;
  #seats = new Map<string, FakeSocket>();
  #seqs = new Map<string, number>();
  #count = 0;

  constructor(readonly time: VirtualTime) {}

  open(): WebSocket {
    return new FakeSocket(this) as unknown as WebSocket;
  }

  heard(socket: FakeSocket, frame: string): void {
    if (this.deaf) return;
    const { id, seq: _seq, ack: _ack, ...message } = JSON.parse(frame);
    const answer = (reply: object) => socket.hear({ id, ...reply });
    switch (message.type) {
      case "hello":
        socket.peer = `peer${++this.#count}`;
        socket.name = message.name;
        answer(JSON.parse(encodeBody(welcome(false, socket.peer, `token of ${socket.peer}`))));
        break;
      case "join":
        answer({ type: "joined", room: message.room, peers: [...this.#seats.values()].map(described) });
        for (const other of this.#seats.keys())
          this.#tell(other, { type: "peerJoined", room: message.room, peer: described(socket) });
        this.#seats.set(socket.peer, socket);
        break;
      case "iceServers":
        answer({ type: "iceServersAre", iceServers: [] });
        break;
      case "quit":
        this.#seats.delete(socket.peer);
        for (const other of this.#seats.keys())
          this.#tell(other, { type: "peerLeft", room: "lab", peer: socket.peer, reason: "left" });
        answer({ type: "goodbye" });
        break;
      case "ack":
        break;
      default:
        if (message.type === "probe" && !("alive" in message)) {
          answer({ type: "probe", to: message.to, alive: this.#seats.has(message.to) });
        }
        this.#tell(message.to, { ...message, from: socket.peer });
    }
  }

  #tell(peer: string, message: object): void {
    const seq = (this.#seqs.get(peer) ?? 0) + 1;
    this.#seqs.set(peer, seq);
    this.#seats.get(peer)?.hear({ seq, ...message });
  }
}

function described({ peer, name }: FakeSocket): object {
  return { peer, name };
}

class FakeSocket {
  readonly OPEN = 1;
  readyState = 0;
  peer = "";
  name = "";
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor(
    readonly server: Server,
    opens = true,
  ) {
    if (opens) server.time.later(0.001, () => this.open());
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  send(frame: string): void {
    this.server.time.later(0.002, () => this.server.heard(this, frame));
  }

  hear(message: object): void {
    this.server.time.later(0.002, () => this.onmessage?.({ data: JSON.stringify(message) }));
  }

  close(): void {
    this.readyState = 3;
  }
}

/** @param between called when Ben is there, and Ada is not. */
async function meet(between?: () => void) {
  const time = new VirtualTime();
  const server = new Server(time);
  const wire = new Wire(time);
  const platform = time.platform({
    openSocket: () => server.open(),
    makeConnection: () => wire.connect(),
    beacon: (_, body) => server.beacons.push(body),
  });
  const enter = (name: string) => join("ws://server/ws", { room: "lab", name, platform });
  const ben = enter("ben");
  if (between) {
    await time.until(ben);
    between();
  }
  const rooms = await time.until(Promise.all([enter("ada"), ben]));
  return { time, server, wire, ada: rooms[0], ben: rooms[1] };
}

describe("the first dial", () => {
  type Ending = { code: number; reason?: string; says?: object; opens?: boolean };

  /** A client whose sockets end one by one as told; the last is welcome. */
  function dial(endings: Ending[], url = "ws://server/ws", policy = {}) {
    const time = new VirtualTime();
    const server = new Server(time);
    const downs: Down[] = [];
    const openSocket = () => {
      const ending = endings.shift();
      if (!ending) return server.open();
      const socket = new FakeSocket(server, ending.opens !== false);
      if (ending.says) socket.hear(ending.says);
      time.later(0.003, () => socket.onclose?.({ code: ending.code, reason: ending.reason ?? "" }));
      return socket as unknown as WebSocket;
    };
    const client = new SignalingClient(url, {
      platform: time.platform({ openSocket }),
      policy,
      onEvent: (event) => event.type === "down" && downs.push(event),
    });
    return { time, client, downs, opening: client.open() };
  }

  test("comes again when it is told to", async () => {
    const { time, client, downs, opening } = dial([3013, 3001, 1012, 1013, 4000].map((code) => ({ code })));
    await time.until(opening);
    assert.deepEqual(
      downs.map(({ byServer }) => byServer),
      [true, true, true, true, true],
    );
    assert.ok(client.up);
    await time.until(client.quit());
    assert.equal(time.timers, 0);
  });

  test("sleeps while its socket closes, though a frame waits: that time is no reason to wake up", async () => {
    const time = new VirtualTime();
    const server = new Server(time);
    let timers = 0;
    const sockets: FakeSocket[] = [];
    const platform = time.platform({
      openSocket: () => {
        sockets.push(new FakeSocket(server));
        return sockets[0] as unknown as WebSocket;
      },
      later: (seconds, call) => {
        assert.ok(++timers < 100, "the client wakes itself up all the time");
        return time.later(seconds, call);
      },
    });
    const client = new SignalingClient("ws://server/ws", { platform, onEvent() {} });
    await time.until(client.open());
    (sockets[0] as FakeSocket).readyState = 2;
    client.send({ type: "wait", to: "ben", session: "s", reason: "", etaMs: 1 });
    await time.pass(1);
    (sockets[0] as FakeSocket).onclose?.({ code: 1006, reason: "" });
    await client.quit();
  });

  test("after a socket that was given up, the next one waits for the answer to a request, and has its whole time", async () => {
    const time = new VirtualTime();
    const server = new Server(time);
    let opened = 0;
    const asked: AbortSignal[] = [];
    let answer = () => {};
    const platform = time.platform({
      openSocket: () => {
        opened++;
        const socket = new FakeSocket(server, opened === 1);
        if (opened === 2) time.later(2, () => socket.open());
        return socket as unknown as WebSocket;
      },
      reach: (url, signal) => {
        assert.equal(url, "http://server/ws");
        asked.push(signal);
        return new Promise<void>((resolve) => {
          answer = resolve;
          signal.onabort = () => resolve();
        });
      },
    });
    const client = new SignalingClient("ws://server/ws", { platform, onEvent() {} });
    await time.until(client.open());
    assert.equal(asked.length, 0);
    server.deaf = true;
    await time.pass(60);
    assert.equal(opened, 1, "no socket was tried in the cut");
    assert.ok(asked.length > 5, `${asked.length} requests`);
    assert.ok(asked.slice(0, -1).every(({ aborted }) => aborted));

    for (const count = asked.length; asked.length === count; ) await time.pass(0.1); // a new request
    await time.pass(4.5);
    server.deaf = false;
    answer();
    await time.pass(2.1);
    assert.ok(client.up);
    assert.equal(opened, 2);
    await time.until(client.quit());
    assert.equal(time.timers, 0);
  });

  test("comes again no longer than its time, and says why", async () => {
    const never = Array.from({ length: 200 }, () => ({ code: 3013, reason: "too many connections: come again" }));
    const { time, opening } = dial(never, undefined, { enterTimeout: 20 });
    await assert.rejects(time.until(opening), /too many connections: come again/);
    assert.ok(time.now > 15 && time.now < 21, `${time.now} s`);
  });

  test("ends at once when nobody has said to come again", async () => {
    for (const [url, ending, words] of [
      ["ws://server/ws", { code: 1006, opens: false }, /no signaling server is there: does it run\?$/],
      ["wss://server/a/ws", { code: 1006, opens: false }, /trust its certificate/],
      ["ws://server/", { code: 1006, opens: false }, /its path ends with \/ws/],
      ["ws://server/ws", { code: 1006 }, /the connection was lost/],
    ] as const) {
      const { time, opening } = dial([ending], url);
      await assert.rejects(time.until(opening), words);
      await assert.rejects(opening, SignalingLostError);
      assert.ok(time.now < 1);
    }
  });

  test("a refusal is an error with its code and the remedy, said once", async () => {
    const text =
      "pages of 'http://localhost:5173' may not use this server: start it with --origin http://localhost:5173";
    const says = { type: "error", code: "origin", message: `${text}, or …` };
    const { time, opening } = dial([{ code: 3507, reason: text, says }]);
    await assert.rejects(time.until(opening), (error: SignalingRefusedError) => {
      assert.ok(error instanceof SignalingRefusedError);
      assert.deepEqual([error.code, error.message], [3507, `${text}, or …`]);
      return true;
    });
  });
});

describe("a room", () => {
  test("everybody meets, talks, resets, and leaves with receipts that agree", async () => {
    const { time, ada, ben } = await meet();
    const [here, there] = await time.until(Promise.all([ada.session(), ben.session({ name: "ada" })]));
    assert.deepEqual([here.id, here.name, there.name], [there.id, "ben", "ada"]);
    const [chat, other] = await time.until(Promise.all([here.open("chat"), there.open("chat")]));
    await chat.send("hi");
    assert.equal(await time.until(other.receive()), "hi");
    const [report] = await time.until(ada.reset());
    assert.equal(report?.status, "fulfilled");
    const [receipts, theirs] = await time.until(Promise.all([ada.close({ reason: "bye" }), there.waitClosed()]));
    assert.equal(receipts[0]?.agreed, theirs.agreed);
    assert.equal(theirs.notice, "ada left (bye).");
    assert.equal(String(here.ledger()), "nothing");
    await assert.rejects(ada.session(), SignalingLostError);
    await time.until(ben.close());
    await time.pass(2);
    assert.equal(time.timers, 0);
  });

  test("a second close gives the same receipts", async () => {
    const { time, ada, ben } = await meet();
    await time.until(ada.session());
    const [first, second] = await time.until(Promise.all([ada.close(), ada.close()]));
    const third = await time.until(ada.close());
    assert.deepEqual(
      [first, second].map(([receipt]) => receipt === third[0]),
      [true, true],
    );
    assert.equal(third.length, 1);
    await ada.client.quit();
    assert.deepEqual((await time.until(ada.reset())).length, 0);
    await time.until(ben.close());
  });

  for (const way of ["in-band", "signaling"]) {
    test(`a page that goes away says so by beacon, and ${way} is enough for the other side`, {
      skip: DOCUMENT_STAYS,
    }, async () => {
      const page = new EventTarget();
      const members = { document: page, addEventListener: page.addEventListener.bind(page) };
      const { time, server, wire, ada, ben } = await meet(() => Object.assign(globalThis, members));
      Object.assign(globalThis, { document: undefined, addEventListener: undefined });
      const [here, there] = await time.until(Promise.all([ada.session(), ben.session()]));
      if (way === "in-band") server.deaf = true;
      else wire.cut = true;
      const began = time.now;
      let known = 0;
      there.addEventListener("state", () => (known ||= time.now - began));
      page.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: false }));
      const [{ resumeToken, closing }] = server.beacons.map((beacon) => JSON.parse(beacon));
      assert.deepEqual([resumeToken, closing.length], [`token of ${ada.client.peer}`, 1]);
      const [{ session, to, receipt, reason, deadlineMs }] = closing;
      assert.deepEqual([session, to, receipt], [here.id, ben.me, shellOf(here).machine.receipt]);
      assert.deepEqual([reason.code, deadlineMs], ["tab-closed", 0]);
      assert.equal(wire.made.filter(({ signalingState }) => signalingState === "closed").length, 1);
      const told = await time.until(there.waitClosed());
      assert.deepEqual([told.by, told.cause], ["remote", "tab-closed"]);
      assert.ok(known > 0 && known < 0.1, `known after ${known} s`); // a page that is gone repeats nothing
    });
  }

  test("blocked storage costs only the word for a reload", async () => {
    const before = Object.getOwnPropertyDescriptor(globalThis, "sessionStorage");
    const get = () => {
      throw new DOMException("blocked", "SecurityError");
    };
    Object.defineProperty(globalThis, "sessionStorage", { configurable: true, get });
    try {
      const { time, ada, ben } = await meet();
      assert.equal((await time.until(ada.session())).state, "open");
      await time.until(Promise.all([ada.close(), ben.close()]));
    } finally {
      if (before) Object.defineProperty(globalThis, "sessionStorage", before);
      else Reflect.deleteProperty(globalThis, "sessionStorage");
    }
  });

  test("who is not accepted is told, and a wait for a session ends by its signal", async () => {
    const { time, ada } = await meet();
    const stop = new AbortController();
    const waiting = ada.session({ name: "eve", signal: stop.signal });
    await settled();
    stop.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    await time.until(ada.close());
  });

  test("a url that is none is refused; a server that is not there is an error", async () => {
    const time = new VirtualTime();
    const platform = time.platform({ openSocket: () => new FakeSocket({ time, heard() {} } as never) as never });
    await assert.rejects(join("https://server/ws", { room: "lab", platform }), TypeError);
    await assert.rejects(time.until(join("ws://server/ws", { room: "lab", platform })), SignalingLostError);
    const signal = AbortSignal.abort();
    await assert.rejects(join("ws://server/ws", { room: "lab", platform, signal }), { name: "AbortError" });
  });
});
