/** How `goodbye` finds the other side: a connection and channels that do as the test says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../src/goodbye/connection.js";
import type { GoodbyeOptions } from "../src/goodbye/options.js";
import type { Receipt } from "../src/goodbye/receipt.js";

class Channel extends EventTarget {
  readyState: RTCDataChannelState = "connecting";
  bufferedAmount = 0;
  said: string[] = [];
  readonly label: string;
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(label: string) {
    super();
    this.label = label;
  }

  become(state: "open" | "closed"): void {
    this.readyState = state;
    if (state === "open") this.onopen?.();
    else this.onclose?.();
    this.dispatchEvent(new Event(state === "open" ? "open" : "close"));
  }

  send(text: string): void {
    assert.equal(this.readyState, "open");
    this.said.push(text);
  }

  close(): void {
    this.readyState = "closing";
  }
}

class Transport extends EventTarget {
  state: RTCDtlsTransportState = "new";

  become(state: RTCDtlsTransportState): void {
    this.state = state;
    this.dispatchEvent(new Event("statechange"));
  }
}

/** A connection with goodbye, its talk channel and its knock; a transport for each sender. */
function knocked(options: GoodbyeOptions = {}) {
  const made: Channel[] = [];
  const fired: string[] = [];
  const receipts: Receipt[] = [];
  const pc = Object.assign(new EventTarget(), {
    signalingState: "stable",
    connectionState: "connected",
    sctp: { transport: null },
    createDataChannel(label: string) {
      const channel = new Channel(label);
      made.push(channel);
      return channel;
    },
    close() {},
    users: [] as { transport: Transport | null }[],
    getSenders: () => pc.users,
    getReceivers: () => [],
    getStats: async () => new Map(),
  });
  const owner = {
    fire: (type: string) => void fired.push(type),
    over: (receipt: Receipt) => void receipts.push(receipt),
    options,
  };
  const connection = new Connection(pc as unknown as RTCPeerConnection, owner);
  const [talk, knock] = made as [Channel, Channel];
  return { pc, connection, talk, knock, fired, receipts };
}

test("the knock is closed as soon as it opens, and hello follows when it is closed", () => {
  const { connection, talk, knock } = knocked();
  talk.become("open");
  knock.become("open");
  assert.equal(knock.readyState, "closing");
  assert.deepEqual(talk.said, [], "nothing is said before the other side has shown itself");
  knock.become("closed");
  assert.equal(talk.said.length, 1);
  connection.abandon();
});

test("a knock that closes before the talk channel opens is answered then, once", () => {
  const { connection, talk, knock } = knocked();
  knock.become("closed");
  assert.deepEqual(talk.said, []);
  talk.become("open");
  assert.equal(talk.said.length, 1);
  assert.match(talk.said[0] ?? "", /hello/);
  connection.abandon();
});

test("a transport that bundling or a rollback closes is not the other side; the one in use is", async () => {
  const { pc, connection, fired } = knocked();
  const [voice, video] = [new Transport(), new Transport()];
  pc.users = [{ transport: voice }, { transport: video }, { transport: null }];
  pc.dispatchEvent(new Event("signalingstatechange"));
  voice.become("connecting");
  video.become("closed"); // the event may come before the sender has its new transport
  pc.users = [{ transport: voice }, { transport: voice }];
  pc.dispatchEvent(new Event("signalingstatechange"));
  await connection.sleep(200);
  assert.deepEqual(fired, []);
  voice.become("closed");
  await connection.sleep(200);
  assert.deepEqual(fired, ["gone"]);
  connection.abandon();
});

test("a channel that ends by itself is not kept; one that ends with its connection is", async () => {
  const { pc, connection } = knocked();
  const [request, chat] = ["request", "chat"].map((label) => pc.createDataChannel(label) as unknown as Channel);
  assert.equal(connection.channels.size, 2);
  request?.become("closed");
  await connection.sleep(1100);
  assert.deepEqual([...connection.channels], [chat]);
  const voice = new Transport();
  pc.users = [{ transport: voice }];
  pc.dispatchEvent(new Event("signalingstatechange"));
  chat?.become("closed"); // its end may be known before that of the connection
  voice.become("closed");
  await connection.sleep(1100);
  assert.deepEqual([...connection.channels], [chat]);
  connection.abandon();
});

test("a connection that is disconnected may come back: it is drained, not thrown away", async () => {
  const { pc, connection, receipts } = knocked();
  pc.connectionState = "disconnected";
  connection.close({ receipt: "a".repeat(32), reason: "", reset: false }, 5000);
  for (let turn = 0; turn < 50; turn++) await undefined;
  assert.equal(receipts.length, 0);
  connection.abandon();
  await connection.sleep(200);
  assert.equal(receipts[0]?.cause, "left");
});

/** Take the errors that nobody handles, in Node or in a browser. The function returned ends that. */
function takeUnhandled(taken: unknown[]): () => void {
  if (typeof addEventListener === "function") {
    const take = (event: PromiseRejectionEvent) => {
      event.preventDefault();
      taken.push(event.reason);
    };
    addEventListener("unhandledrejection", take);
    return () => removeEventListener("unhandledrejection", take);
  }
  const runner = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection").on("unhandledRejection", (error) => void taken.push(error));
  return () => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of runner) process.on("unhandledRejection", listener);
  };
}

test("a say() that throws is reported, and holds up no close", async () => {
  const failed: unknown[] = [];
  const stop = takeUnhandled(failed);
  const { connection, receipts } = knocked({
    say() {
      throw new Error("the signaling is down");
    },
  });
  connection.heard(
    JSON.stringify({ type: "closing", receipt: "a".repeat(32), reason: "", reset: false, deadlineMs: 1 }),
  );
  await connection.sleep(100);
  connection.abandon();
  assert.equal(receipts.length, 1);
  assert.match(String(failed[0]), /the signaling is down/);
  stop();
});

test("getStats() that never answers, as Firefox's when the connection closes meanwhile, holds up no close", async () => {
  const { pc, connection, receipts } = knocked();
  connection.close({ receipt: "a".repeat(32), reason: "", reset: false }, 5000);
  pc.getStats = () => new Promise(() => {});
  await connection.sleep(50);
  connection.abandon();
  await connection.sleep(700);
  assert.equal(receipts[0]?.cause, "left");
});
