import assert from "node:assert/strict";
import { test } from "node:test";
import type { JoinOptions, Room } from "adieu-rtc";
import { Devices } from "../src/model/devices.js";
import type { FileEntry } from "../src/model/entries.js";
import { ASK_ABOVE, MAX_FILE, Receiving, Sending } from "../src/model/file.js";
import { Meeting } from "../src/model/meeting.js";
import { FakeMedia, install, settled } from "./browser.js";
import { FakeRoom, FakeSession } from "./room.js";

async function inside({ resend = false } = {}) {
  const rooms: FakeRoom[] = [];
  const options: JoinOptions[] = [];
  const devices = new Devices(new FakeMedia() as unknown as MediaDevices);
  const meeting = new Meeting({
    server: "ws://here/ws",
    room: "lab",
    devices,
    enter: async (_, given) => {
      options.push(given);
      rooms.push(new FakeRoom());
      return rooms.at(-1) as unknown as Room;
    },
  });
  await meeting.enter("Ada", { token: "secret", resend });
  const meet = async (name = "Ben") => {
    const session = new FakeSession(name);
    rooms.at(-1)!.bring(session);
    session.become("open");
    await settled();
    return session;
  };
  return { meeting, devices, rooms, options, meet };
}

const texts = (meeting: Meeting) =>
  meeting.entries.map((entry) =>
    entry.kind === "farewell" ? entry.receipt.notice : "text" in entry ? entry.text : "",
  );

test("who comes in is told, and connected", async () => {
  const { meeting, meet } = await inside();
  assert.equal(meeting.line.text, "Nobody else is here yet.");
  await meet();
  assert.deepEqual(texts(meeting), ["Ben came in."]);
  assert.equal(meeting.line.text, "Connected with Ben.");
});

test("a message is marked delivered when everybody has it", async () => {
  const { meeting, meet } = await inside();
  const [ben, cy] = [await meet("Ben"), await meet("Cy")];
  assert.ok(meeting.say("hello"));
  await settled();
  assert.deepEqual([ben.chat.sent, cy.chat.sent], [["hello"], ["hello"]]);
  const entry = meeting.entries.at(-1)!;
  assert.ok(entry.kind === "said");
  ben.chat.deliver();
  await settled();
  assert.deepEqual(
    entry.marks.map(({ state }) => state),
    ["delivered", "sending"],
  );
  assert.ok(meeting.unfinished);
  cy.chat.deliver();
  await settled();
  assert.ok(!meeting.unfinished);
});

test("words to nobody are not taken", async () => {
  const { meeting } = await inside();
  assert.ok(!meeting.say("hello?"));
  assert.ok(!meeting.sendFiles([new File(["x"], "x")]));
  assert.deepEqual(meeting.entries, []);
});

test("what did not arrive is kept, and sent again when its receiver is back", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  for (const text of ["one", "two", "three"]) meeting.say(text);
  await settled();
  ben.chat.deliver(1);
  ben.end({ unsent: [2, 3] });
  await settled();
  assert.deepEqual(
    meeting.owed.map(({ entry }) => entry.text),
    ["two", "three"],
  );
  assert.equal(meeting.friends.length, 0);

  const again = await meet();
  const [friend] = meeting.friends;
  assert.equal(meeting.owedTo(friend!).length, 2);
  await Promise.all([meeting.sendOwed(friend!), settled().then(() => again.chat.deliver())]);
  assert.deepEqual(again.chat.sent, ["two", "three"]);
  // As messages of the first session, so that a receiver who has them knows them again.
  assert.deepEqual(
    again.chat.given.map((one) => (typeof one === "string" ? one : one.receipt)),
    [ben.id, ben.id],
  );
  assert.equal(meeting.owed.length, 0);
});

test("two of the same name are told apart, and each gets what is theirs", async () => {
  const { meeting, meet } = await inside();
  const first = await meet();
  const second = await meet();
  assert.equal(meeting.line.text, "Connected with Ben and Ben (2).");
  assert.deepEqual(texts(meeting), ["Ben came in.", "Ben (2) came in."]);
  meeting.say("one");
  meeting.sendFiles([new File(["abc"], "abc.txt")]);
  await settled();
  first.chat.deliver();
  second.end({ unsent: [1] });
  await settled();
  const [ben] = meeting.friends;
  assert.deepEqual(
    meeting.owed.map(({ mark }) => mark.who.label),
    ["Ben (2)"],
  );
  assert.deepEqual(meeting.owedTo(ben!), [], "who has it is not asked to get it again");
  const files = meeting.entries.flatMap((entry) => (entry.kind === "file" ? entry.shared : [])) as Sending[];
  assert.equal(meeting.receiverOf(files[1]!), undefined, "nor is the file of the one for the other");

  const back = await meet();
  assert.deepEqual(
    meeting.friends.map(({ label }) => label),
    ["Ben", "Ben (2)"],
  );
  assert.equal(meeting.receiverOf(files[1]!), meeting.friends[1]);
  const resent = meeting.sendOwed(meeting.friends[1]!);
  await settled();
  back.chat.deliver();
  await resent;
  assert.equal(meeting.owed.length, 0);
});

test("what was said and not seen is counted, until it is looked at", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  meeting.look();
  ben.chat.tell("message", "hello");
  ben.tell("file", new Offer(1));
  meeting.say("mine");
  await settled();
  assert.equal(meeting.unread, 2);
  meeting.look();
  assert.equal(meeting.unread, 0);
});

test("how long somebody has not answered is counted, and told while it lasts", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const { meeting, meet } = await inside();
  const ben = await meet();
  ben.become("suspect", "frozen, network-lost");
  assert.match(meeting.line.text, /for a moment/);
  let told = 0;
  meeting.addEventListener("change", () => told++);
  t.mock.timers.tick(20_000);
  await settled();
  assert.ok(told > 0);
  assert.match(meeting.line.text, /for 10 seconds/);
  ben.become("recovering", "frozen");
  t.mock.timers.tick(100_000);
  assert.match(meeting.line.text, /does not respond.*2 minutes so far/);
  ben.become("open");
  await settled();
  ben.become("suspect", "busy");
  assert.doesNotMatch(meeting.line.text, /so far/);
  ben.end({});
  await settled();
  told = 0;
  t.mock.timers.tick(100_000);
  await settled();
  assert.equal(told, 0, "nobody is looked after who has gone");
});

test("who is here and can not be reached is told once, and may be tried again", async () => {
  const { meeting, rooms, meet } = await inside();
  await meet();
  const [room] = rooms;
  const dora = new FakeSession("Dora");
  const is = (why: string) => {
    room!.unconnected = [{ peer: { peer: dora.peer, name: "Dora" }, why }];
    room!.tell("unconnected", room!.unconnected[0]);
  };
  const tryDora = () => {
    const session = new FakeSession("Dora", dora.peer);
    room!.bring(session);
    is("connecting");
    return session;
  };
  room!.bring(dora);
  is("connecting");
  assert.deepEqual(
    [meeting.shown.map(({ label }) => label), meeting.apart],
    [["Ben", "Dora"], []],
    "the first time she is shown as coming",
  );
  dora.end({ by: "network", code: "gave-up" });
  is("again");
  await settled();
  const apart = { peer: dora.peer, label: "Dora", trying: false, wanted: true };
  assert.deepEqual(meeting.apart, [apart]);
  assert.equal(meeting.line.text, "Connected with Ben. Dora is here, not connected to you.");
  meeting.tryAgain(apart);
  assert.deepEqual(room!.tried, [dora.peer]);
  const second = tryDora();
  assert.deepEqual(meeting.apart, [{ ...apart, trying: true }]);
  assert.equal(meeting.shown.length, 1, "no tile comes and goes");
  second.end({ by: "network", code: "gave-up" });
  is("again");
  await settled();
  assert.equal(texts(meeting).filter((text) => text.startsWith("Dora")).length, 1);
  const third = tryDora();
  third.become("open");
  room!.unconnected = [];
  await settled();
  assert.deepEqual([meeting.apart, meeting.shown.length], [[], 2]);
  assert.equal(meeting.line.text, "Connected with Ben and Dora.");
});

test("nobody meets a ghost", async () => {
  const { meeting, rooms } = await inside();
  const echo = new FakeSession("Echo");
  rooms[0]!.peers = [{ peer: echo.peer, name: "Echo" }];
  rooms[0]!.bring(echo);
  assert.equal(meeting.line.text, "Echo is here, connecting …");
  rooms[0]!.peers = [{ peer: echo.peer, name: "Echo", away: true }];
  rooms[0]!.unconnected = [{ peer: rooms[0]!.peers[0]!, why: "away" }];
  let told = 0;
  meeting.addEventListener("change", () => told++);
  rooms[0]!.tell("peer", { type: "peerAway" });
  await settled();
  assert.equal(told, 1);
  assert.deepEqual([meeting.shown, meeting.apart, meeting.line.text], [[], [], "Nobody else is here yet."]);
});

test("what did not arrive twice is still kept", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  meeting.say("one");
  await settled();
  ben.end({ unsent: [1] });
  await settled();
  const again = await meet();
  void meeting.sendOwed(meeting.friends[0]!);
  await settled();
  again.end({ unsent: [1], as: ben.id });
  await settled();
  assert.deepEqual(
    meeting.owed.map(({ mark }) => mark.again?.receipt),
    [ben.id],
  );
});

test("leaving gives the farewells, and lets go of the devices", async () => {
  const { meeting, meet, devices, rooms } = await inside();
  await devices.turnOn(["audio", "video"]);
  await meet();
  const leaving = meeting.leave();
  assert.equal(meeting.phase, "leaving");
  assert.equal(meeting.line.text, "Saying goodbye to Ben …");
  assert.equal(meeting.leave(), leaving, "a second call joins the first");
  await leaving;
  assert.equal(meeting.phase, "left");
  assert.equal(rooms[0]!.closes, 1);
  assert.equal(meeting.farewells.length, 1);
  assert.deepEqual([devices.state("audio"), devices.state("video")], ["off", "off"]);
  assert.deepEqual(meeting.brought, ["audio", "video"]);
});

test("a page that went away, and is back after all, has left", async () => {
  const { meeting, meet, rooms } = await inside();
  const ben = await meet();
  ben.end({ by: "local", code: "navigated" });
  rooms[0]!.say({ type: "ended", error: undefined });
  await settled();
  assert.equal(meeting.phase, "left");
  assert.deepEqual(
    meeting.farewells.map(({ receipt }) => receipt.notice),
    ["Ben left."],
  );
  assert.deepEqual(meeting.devices.tracks, []);
});

test("who comes back keeps the conversation and the key, and what was owed is sent", async () => {
  const { meeting, meet, options, rooms } = await inside();
  await meet();
  meeting.say("one");
  await settled();
  rooms[0]!.sessions[0]!.willLose = [1];
  await meeting.leave();
  await settled();
  assert.equal(meeting.owed.length, 1);
  await meeting.enter("Ada", { resend: true });
  assert.equal(options[1]!.token, "secret");
  const ben = await meet();
  ben.chat.deliver();
  await settled();
  assert.deepEqual(ben.chat.sent, ["one"]);
  assert.equal(meeting.owed.length, 0);
  assert.equal(rooms.length, 2);
});

test("a reset renews connections and devices, and says so", async () => {
  const { meeting, meet, devices, rooms } = await inside();
  await devices.turnOn(["video"]);
  await meet();
  const before = devices.track("video");
  await Promise.all([meeting.reset(), meeting.reset()]);
  assert.deepEqual(rooms[0]!.resets, ["full"]);
  assert.notEqual(devices.track("video"), before);
  assert.match(texts(meeting).at(-1)!, /^The connection with Ben is new/);
});

test("a reset of the connection alone leaves the devices, and one of the devices leaves the connection", async () => {
  const { meeting, meet, devices, rooms } = await inside();
  await devices.turnOn(["video"]);
  const ben = await meet();
  const before = devices.track("video");
  meeting.askToReset();
  assert.ok(meeting.resetAsked);
  await meeting.reset("connection");
  assert.ok(!meeting.resetAsked);
  assert.deepEqual([rooms[0]!.resets, devices.track("video")], [["transport"], before]);
  await meeting.reset("devices");
  assert.deepEqual(rooms[0]!.resets, ["transport"]);
  assert.notEqual(devices.track("video"), before);
  assert.equal(texts(meeting).at(-1), "Your devices were requested again.");
  const asked: string[] = [];
  Object.assign(ben, { reset: async ({ level }: { level: string }) => void asked.push(level) });
  await meet("Cy");
  await meeting.reset("everything", meeting.friends[0]);
  assert.deepEqual([asked, rooms[0]!.resets], [["full"], ["transport"]]);
  assert.match(texts(meeting).at(-1)!, /^The connection with Ben is new/);
});

test("a goodbye says what it waits for", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  const files = [{ name: "film.mp4", size: 10, done: 3, sent: true }];
  const step = { work: "close", step: "drain", messages: 1, bytes: 5, incoming: 2, files, timeout: 4100 };
  meeting.phase = "leaving";
  assert.equal(meeting.line.more, "");
  ben.tell("progress", step);
  assert.deepEqual(meeting.line, {
    text: "Saying goodbye to Ben: 1 message, film.mp4 (30 %) and 2 from the other side under way …",
    tone: "wait",
    more: "4 seconds left at most",
  });
});

test("a reset that fails says why, and nothing is over", async () => {
  const { meeting, meet, rooms } = await inside();
  await meet();
  rooms[0]!.resetError = new Error("no answer");
  await meeting.reset();
  assert.match(texts(meeting).at(-1)!, /no answer/);
  assert.equal(meeting.phase, "inside");
  assert.ok(!meeting.resetting);
});

test("devices that are turned on later reach those who are there", async () => {
  const { meeting, meet, devices } = await inside();
  const ben = await meet();
  await devices.turnOn(["video"]);
  await settled();
  assert.deepEqual(
    ben.sends.map(({ kind }) => kind),
    ["video"],
  );
  const cy = await meet("Cy");
  await settled();
  assert.deepEqual(
    cy.sends.map(({ kind }) => kind),
    ["video"],
  );
  await meeting.reset();
  await settled();
  assert.deepEqual(ben.sends, [devices.track("video")]);
});

test("a device that is muted is told to those who are there, and to those who come", async () => {
  const { meet, devices } = await inside();
  await devices.turnOn(["audio"]);
  const ben = await meet();
  await devices.toggle("audio");
  const cy = await meet("Cy");
  await settled();
  assert.deepEqual(
    [ben.said.at(-1), cy.said.at(-1)],
    [
      ["audio", true],
      ["audio", true],
    ],
  );
});

/** A meeting in which a file is under way, until `arrives` is called. */
async function sending() {
  const { meeting, meet } = await inside();
  const ben = await meet();
  let arrives = () => {};
  ben.fileArrives = new Promise((resolve) => {
    arrives = resolve;
  });
  meeting.sendFiles([new File(["abc"], "film.mp4")]);
  await settled();
  return { meeting, arrives };
}

test("leaving is asked while a file is under way, and may wait for it", async () => {
  const { meeting, arrives } = await sending();
  assert.deepEqual(
    meeting.underWay.map(({ name }) => name),
    ["film.mp4"],
  );
  meeting.askToLeave();
  assert.deepEqual([meeting.phase, meeting.leavingAsked], ["inside", true]);
  meeting.stay();
  assert.ok(!meeting.leavingAsked);
  meeting.askToLeave();
  meeting.leaveLater();
  assert.equal(meeting.phase, "inside");
  arrives();
  await settled();
  assert.notEqual(meeting.phase, "inside");
});

test("the question how to leave stays until it is answered, also when everything has arrived", async () => {
  const { meeting, arrives } = await sending();
  meeting.askToLeave();
  arrives();
  await settled();
  assert.deepEqual([meeting.phase, meeting.leavingAsked, meeting.underWay], ["inside", true, []]);
  await meeting.leave();
  assert.deepEqual([meeting.phase, meeting.leavingAsked], ["left", false]);
});

test("leaving is not asked when nothing is under way", async () => {
  const { meeting, meet } = await inside();
  await meet();
  meeting.askToLeave();
  assert.ok(!meeting.leavingAsked);
  assert.notEqual(meeting.phase, "inside");
});

test("a file that failed can be sent again to whoever is back", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  ben.fileError = new Error("the session ended");
  meeting.sendFiles([new File(["abc"], "abc.txt")]);
  await settled();
  const entry = meeting.entries.at(-1)!;
  assert.ok(entry.kind === "file" && entry.shared instanceof Sending);
  assert.deepEqual([entry.shared.state, entry.shared.why], ["failed", "the session ended"]);
  ben.end({});
  await settled();
  assert.equal(meeting.receiverOf(entry.shared), undefined);
  await meet();
  await entry.shared.send(meeting.receiverOf(entry.shared)!);
  assert.equal(entry.shared.state, "here");
});

/** A file that somebody offers. */
class Offer extends EventTarget {
  done = 0;
  answer = "";
  constructor(
    readonly size: number,
    readonly stream = false,
  ) {
    super();
  }
  readonly name = "film.mp4";
  hold(): void {
    this.answer = "held";
  }
  refuse(why: string): void {
    this.answer = `refused: ${why}`;
  }
  async accept(): Promise<File> {
    this.answer = "accepted";
    return new File([], this.name);
  }
}

test("a large file waits until its receiver has said yes", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  const offer = async (size: number) => {
    const file = new Offer(size);
    ben.tell("file", file);
    await settled();
    const { shared } = meeting.entries.at(-1) as FileEntry;
    assert.ok(shared instanceof Receiving);
    return { file, shared };
  };
  const small = await offer(ASK_ABOVE);
  assert.deepEqual([small.file.answer, small.shared.state], ["accepted", "here"]);
  const wanted = await offer(ASK_ABOVE + 1);
  assert.deepEqual([wanted.file.answer, wanted.shared.state], ["held", "asked"]);
  await wanted.shared.take();
  assert.deepEqual([wanted.file.answer, wanted.shared.state], ["accepted", "here"]);
  wanted.shared.decline();
  assert.equal(wanted.shared.state, "here");
  const unwanted = await offer(MAX_FILE);
  unwanted.shared.decline();
  unwanted.shared.decline();
  assert.deepEqual([unwanted.file.answer, unwanted.shared.state], ["refused: they do not want it", "declined"]);
  const gone = await offer(MAX_FILE);
  gone.file.dispatchEvent(new Event("withdrawn"));
  assert.deepEqual([gone.shared.state, gone.shared.why], ["failed", "the offer was withdrawn"]);
  assert.match((await offer(MAX_FILE + 1)).file.answer, /^refused: it is too large/);
});

test("a server that is away is told; one that sends us away, too", async () => {
  const { meeting, meet, rooms } = await inside();
  await meet();
  rooms[0]!.say({ type: "down" });
  assert.match(meeting.line.text, /server does not answer/);
  rooms[0]!.say({ type: "up" });
  assert.equal(meeting.line.text, "Connected with Ben.");
  rooms[0]!.say({ type: "ended", error: new Error("kicked") });
  assert.match(texts(meeting).at(-1)!, /removed you from the room \(kicked\)/);
});

test("who can not come in stays outside", async () => {
  const meeting = new Meeting({
    server: "ws://here/ws",
    room: "lab",
    devices: new Devices(undefined),
    enter: () => Promise.reject(new Error("full")),
  });
  await assert.rejects(meeting.enter("Ada"), /full/);
  assert.equal(meeting.phase, "outside");
});

/** A folder that somebody offers. */
class FolderOffer extends Offer {
  readonly count = 2;
  override accept(options?: { to?: unknown }): Promise<File> {
    this.answer = options?.to ? "to the disk" : "accepted";
    return Promise.resolve(new Map([["inner/a.txt", new File(["deep"], "a.txt")]]) as never);
  }
}

test("a folder is sent with its paths, and received as a ZIP file", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  const inner = Object.defineProperty(new File(["abc"], "a.txt"), "webkitRelativePath", {
    value: "holiday/inner/a.txt",
  });
  meeting.sendFiles([{ name: "holiday", files: [inner] }]);
  await settled();
  assert.deepEqual(ben.folders, [["holiday", ["holiday/inner/a.txt"]]]);
  const sent = meeting.entries.at(-1)!;
  assert.ok(sent.kind === "file" && sent.shared.isFolder);
  assert.deepEqual([sent.shared.size, sent.shared.state], [3, "here"]);
  ben.tell("folder", new FolderOffer(4));
  const got = meeting.entries.at(-1)!;
  assert.ok(got.kind === "file" && got.shared instanceof Receiving && got.shared.isFolder);
  const { shared } = got;
  await new Promise<void>((done) => shared.addEventListener("change", () => shared.state === "here" && done()));
  const packed = await (await fetch(got.shared.url)).text();
  assert.match(packed, /holiday|film/);
  assert.match(packed, /inner\/a\.txt/);
  got.shared.forget();
});

test("where the browser can, a file of any size goes to the disk; a place that is not chosen changes nothing", async () => {
  const { meeting, meet } = await inside();
  const ben = await meet();
  const offer = (offered: Offer) => {
    ben.tell(offered instanceof FolderOffer ? "folder" : "file", offered);
    const entry = meeting.entries.at(-1)!;
    assert.ok(entry.kind === "file" && entry.shared instanceof Receiving);
    return entry.shared;
  };
  assert.equal(offer(new Offer(MAX_FILE + 1)).state, "failed", "this browser cannot");
  const endless = new Offer(0, true);
  assert.equal(offer(endless).state, "failed", "nobody knows how large a stream is");
  assert.match(endless.answer, /^refused/);
  const places: (object | undefined)[] = [undefined, {}, {}];
  const pick = async () => {
    const place = places.shift();
    if (!place) throw new DOMException("no", "AbortError");
    return place;
  };
  install({ showSaveFilePicker: pick, showDirectoryPicker: pick });
  try {
    const large = offer(new Offer(MAX_FILE + 1));
    assert.deepEqual([large.state, large.fits, large.canSave], ["asked", false, true]);
    await large.save();
    assert.equal(large.state, "asked");
    await large.save();
    assert.deepEqual([large.state, large.isSaved, large.url], ["here", true, ""]);
    const stream = offer(new Offer(0, true));
    assert.deepEqual([stream.state, stream.fits, stream.canSave], ["asked", false, true]);
    const folder = new FolderOffer(MAX_FILE + 1);
    const shared = offer(folder);
    await shared.save();
    assert.deepEqual([folder.answer, shared.isSaved], ["to the disk", true]);
  } finally {
    install({ showSaveFilePicker: undefined, showDirectoryPicker: undefined });
  }
});

test("who is in a room that is closed for all leaves it; who is sent out may stay with open connections", async () => {
  const closed = await inside();
  await closed.meet("Ben");
  closed.rooms[0]!.say({ type: "kicked", room: "lab", code: "room-closed" });
  await settled();
  assert.deepEqual([closed.meeting.phase, closed.meeting.closed, closed.rooms[0]!.closes], ["left", true, 1]);
  assert.equal(closed.meeting.farewells.length, 1);
  await closed.meeting.enter("Ada");
  assert.equal(closed.meeting.closed, false);
  const sentOut = await inside();
  sentOut.rooms[0]!.say({ type: "kicked", room: "lab" });
  assert.match(texts(sentOut.meeting).at(-1)!, /\(you were sent out\)/);
  assert.equal(sentOut.meeting.phase, "inside");
});

test("a room is closed for all by those that may, when they have said so twice", async () => {
  const { meeting, meet, rooms } = await inside();
  const [room] = rooms;
  await meet("Ben");
  meeting.askToClose();
  assert.equal(meeting.closingAsked, false, "without the right there is no question");
  room!.mayCloseForAll = true;
  await meeting.closeForAll();
  assert.deepEqual([room!.closedForAll, meeting.phase], [0, "inside"], "not before it was asked");
  meeting.askToClose();
  meeting.stay();
  await meeting.closeForAll();
  assert.equal(room!.closedForAll, 0);
  meeting.askToClose();
  room!.closeError = new Error("the token does not grant it");
  await meeting.closeForAll();
  assert.deepEqual([meeting.phase, meeting.closed, meeting.line.text], ["inside", false, "Connected with Ben."]);
  assert.equal(texts(meeting).at(-1), "The room was not closed: the token does not grant it");
  room!.closeError = undefined;
  meeting.askToClose();
  await meeting.closeForAll();
  assert.deepEqual([meeting.phase, meeting.closed, room!.closedForAll], ["left", true, 1]);
  assert.equal(meeting.farewells.length, 1);
});
