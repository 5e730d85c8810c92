/** How `goodbye` finds the other side: a connection and channels that do as the test says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../src/goodbye/connection.js";

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
function knocked() {
  const made: Channel[] = [];
  const fired: string[] = [];
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
  const owner = { fire: (type: string) => void fired.push(type), over() {}, options: {} };
  const connection = new Connection(pc as unknown as RTCPeerConnection, owner);
  const [talk, knock] = made as [Channel, Channel];
  return { pc, connection, talk, knock, fired };
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

test("a transport that bundling or a rollback closes is not the other side; the one in use is", ({ mock }) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { pc, connection, fired } = knocked();
  const [voice, video] = [new Transport(), new Transport()];
  pc.users = [{ transport: voice }, { transport: video }, { transport: null }];
  pc.dispatchEvent(new Event("signalingstatechange"));
  voice.become("connected");
  video.become("closed"); // the event may come before the sender has its new transport
  pc.users = [{ transport: voice }, { transport: voice }];
  pc.dispatchEvent(new Event("signalingstatechange"));
  mock.timers.tick(1000);
  assert.deepEqual(fired, []);
  voice.become("closed");
  mock.timers.tick(1000);
  assert.deepEqual(fired, ["gone"]);
  connection.abandon();
});
