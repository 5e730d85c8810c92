/** The negotiation of one connection, over a browser's that only takes notes. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Candidates, Description } from "../src/protocol/messages.js";
import { checkBundle } from "../src/session/bundle.js";
import { Connection, type Sink } from "../src/session/connection.js";
import { settled } from "./time.js";
import { vectors } from "./vectors.js";

/** What was set, and the signaling states that follow from it. */
class Notes {
  set: string[] = [];
  signalingState = "stable";
  currentRemoteDescription: unknown = null;
  localDescription: RTCSessionDescriptionInit | null = null;
  sctp = null;
  onnegotiationneeded: (() => void) | null = null;
  #offers = 0;

  createDataChannel(): object {
    return { close: () => undefined };
  }

  async createOffer(): Promise<RTCSessionDescriptionInit> {
    return { type: "offer", sdp: `offer ${++this.#offers}` };
  }

  async setLocalDescription(description?: RTCSessionDescriptionInit): Promise<void> {
    const answers = this.signalingState === "have-remote-offer";
    this.localDescription = description ?? (answers ? { type: "answer", sdp: "answer" } : await this.createOffer());
    this.#sets("local", this.localDescription);
  }

  async setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    this.#sets("remote", description);
  }

  #sets(side: "local" | "remote", { type, sdp }: RTCSessionDescriptionInit): void {
    this.set.push(`${side} ${sdp}`);
    this.signalingState = type === "offer" ? `have-${side}-offer` : "stable";
    if (type === "answer") this.currentRemoteDescription = "known";
  }

  async addIceCandidate({ candidate }: RTCIceCandidateInit): Promise<void> {
    if (candidate === "odd") throw new DOMException("not a candidate", "OperationError");
    if (candidate === "early") throw new DOMException("no description", "InvalidStateError");
    this.set.push(`candidate ${candidate}`);
  }

  restartIce(): void {
    this.onnegotiationneeded?.();
  }

  close(): void {}
}

function make(
  lost: (text: string) => void = assert.fail,
): [notes: Notes, connection: Connection, said: (string | undefined)[]] {
  const notes = new Notes();
  const said: string[] = [];
  const sink = {
    signal: (message: Description) => said.push(message.sdp),
    attachMedia: () => undefined,
    negotiated: () => undefined,
    connectionLost: (_epoch: number, _kind: string, text: string) => lost(text),
  } as unknown as Sink;
  const init = { offer: true, polite: true, sink, later: (call: () => void) => call() };
  return [notes, new Connection(1, notes as unknown as RTCPeerConnection, init), said];
}

function hear(connection: Connection, sdpType: "answer" | "offer", sdp: string): Promise<void> {
  connection.signaled({ type: "description", epoch: 1, sdpType, sdp } as Description);
  return settled();
}

async function standing(): Promise<ReturnType<typeof make>> {
  const made = make();
  const [notes, connection, said] = made;
  notes.onnegotiationneeded!();
  await settled();
  await hear(connection, "answer", "first answer");
  assert.deepEqual(notes.set.splice(0), ["local offer 1", "remote first answer"]);
  assert.deepEqual(said.splice(0), ["offer 1"]);
  return made;
}

test("the polite side's later offer is set when it is answered", async () => {
  const [notes, connection, said] = await standing();
  notes.onnegotiationneeded!();
  notes.onnegotiationneeded!();
  await settled();
  assert.deepEqual([notes.set, said], [[], ["offer 2"]]);
  await hear(connection, "answer", "second answer");
  assert.deepEqual(notes.set, ["local offer 2", "remote second answer"]);
});

test("an offer that gives way was never set, and is made anew", async () => {
  const [notes, connection, said] = await standing();
  notes.onnegotiationneeded!();
  await settled();
  await hear(connection, "offer", "their offer");
  assert.deepEqual(notes.set.splice(0), ["remote their offer", "local answer"]);
  notes.onnegotiationneeded!(); // as a browser does for what is still to be offered
  await settled();
  await hear(connection, "answer", "their answer");
  assert.deepEqual(notes.set, ["local offer 3", "remote their answer"]);
  assert.deepEqual(said, ["offer 2", "answer", "offer 3"]);
});

test("a new ICE path is looked for at once, also after its offer gave way", async () => {
  const [notes, connection] = await standing();
  connection.restartIce();
  await settled();
  assert.deepEqual(notes.set.splice(0), ["local offer 2"]);
  await hear(connection, "offer", "their offer");
  notes.onnegotiationneeded!();
  await settled();
  await hear(connection, "answer", "their answer");
  assert.deepEqual(notes.set, ["remote their offer", "local answer", "local offer 3", "remote their answer"]);
});

function hearCandidates(connection: Connection, ...lines: string[]): Promise<void> {
  const candidates = lines.map((candidate) => ({ candidate, sdpMid: "0" }));
  connection.signaled({ type: "candidates", epoch: 1, candidates } as Candidates);
  return settled();
}

test("a candidate that can not be used is passed over, and the next ones are added", async () => {
  const [notes, connection] = make();
  await hearCandidates(connection, "one", "odd", "two");
  assert.deepEqual(notes.set, ["candidate one", "candidate two"]);
});

test("a candidate that comes before its description ends the connection", async () => {
  const lost: string[] = [];
  const [notes, connection] = make((text) => lost.push(text));
  await hearCandidates(connection, "early", "one");
  assert.deepEqual([notes.set, lost.length], [[], 1]);
});

interface Bundle {
  name: string;
  refused: boolean;
  sdp: string;
}

for (const { name, refused, sdp } of vectors("protocol/bundles") as Bundle[]) {
  test(`a description of more than one transport is refused: ${name}`, () => {
    if (refused) assert.throws(() => checkBundle(sdp), /transports/);
    else checkBundle(sdp);
    if (refused) assert.throws(() => checkBundle(sdp.replaceAll("\r\n", "\n")), /transports/);
  });
}

test("there is a bound on the sections of a description", () => {
  const sections = Array.from({ length: 256 }, (_, mid) => `m=audio 0 X 0\r\na=mid:${mid}\r\n`);
  checkBundle(`v=0\r\n${sections.join("")}`);
  assert.throws(() => checkBundle(`v=0\r\n${sections.join("")}${sections[0]}`), /256/);
});

test("a connection is lost by such an offer before the browser sees it", async () => {
  const lost: string[] = [];
  const [notes, connection] = make((text) => lost.push(text));
  const { sdp } = (vectors("protocol/bundles") as Bundle[]).find(({ name }) => name === "two in no bundle") as Bundle;
  await hear(connection, "offer", sdp);
  assert.equal(lost.length, 1);
  assert.match(lost[0] ?? "", /2 transports/);
  assert.ok(!notes.set.some((what) => what.startsWith("remote")));
});

test("an answer that is said again does not answer the next offer", async () => {
  const [notes, connection] = make();
  const hear = (sdp: string) => connection.signaled({ type: "description", epoch: 1, sdpType: "answer", sdp });
  notes.onnegotiationneeded!();
  await settled();
  hear("v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\n");
  await settled();
  connection.restartIce();
  await settled();
  assert.equal(notes.signalingState, "have-local-offer");
  hear("v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\na=with-candidates\r\n");
  await settled();
  assert.equal(notes.signalingState, "have-local-offer");
  hear("v=0\r\no=- 7 2 IN IP4 0.0.0.0\r\ns=-\r\n");
  await settled();
  assert.equal(notes.signalingState, "stable");
});
