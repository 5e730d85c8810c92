/** A room as a person sees it: the peers, the conversation, the status, and the end. */

import type { CloseReceipt, IncomingFile, IncomingFolder, JoinOptions, ResetEvent, Room } from "adieu-rtc";
import { words } from "../words/language.js";
import { type Devices, KINDS, type Kind } from "./devices.js";
import { ending } from "./ending.js";
import { allOwed, type Entry, type Farewell, type Mark, type Owed, owedTo, type Said } from "./entries.js";
import { type Folder, Receiving, Sending, type SharedFile } from "./file.js";
import { Friend, type Host } from "./friend.js";
import { Model } from "./model.js";
import { Screen } from "./screen.js";
import { whoIs } from "./who.js";
import { type Apart, atMost, type Line, nameOf, seconds, short, stillUnderWay, summary, type Tone } from "./words.js";

/** Milliseconds that a goodbye may take. */
const GOODBYE = 5000;

export type ResetChoice = "connection" | "devices" | "everything";

export type Phase = "outside" | "entering" | "inside" | "leaving" | "left";

export interface MeetingInit {
  server: string;
  room: string;
  devices: Devices;
  screen?: Screen;
  /** Joins a room; tests replace it. */
  enter?: (url: string, options: JoinOptions) => Promise<Room>;
}

/** The event `news`: something new is in the conversation that this person did not do. */
export class NewsEvent extends Event {
  constructor(readonly entry: Entry) {
    super("news");
  }
}

/** Join a room by the SDK, which is loaded meanwhile: the page before the room does without. */
async function enterRoom(url: string, options: JoinOptions): Promise<Room> {
  const { join } = await loadSdk();
  return join(url, options);
}

/** Load the SDK. */
export function loadSdk(): Promise<{ join: (url: string, options: JoinOptions) => Promise<Room> }> {
  return import("../../../js/src/session/join.js");
}

/** A meeting in a room. A person may leave and join again; the conversation stays. */
export class Meeting extends Model implements Host {
  readonly room: string;
  readonly devices: Devices;
  readonly screen: Screen;
  name = "";
  phase: Phase = "outside";
  friends: Friend[] = [];
  readonly entries: Entry[] = [];
  /** The ends of the sessions that were open when this person left. */
  farewells: Farewell[] = [];
  /** The devices that were on when this person left. */
  brought: Kind[] = [];
  /** Whether this person is asked how to leave, as files are under way. */
  leavingAsked = false;
  /** Whether this person leaves when the files have arrived. */
  leavesLater = false;
  /** Whether this person is asked if the room shall be closed for everybody. */
  closingAsked = false;
  /** The room was closed for everybody. */
  closed = false;
  /** Whether this person is asked what to renew. */
  resetAsked = false;
  /** The reason why the server removed this person, if it did. */
  sentAway = "";
  readonly #server: string;
  readonly #enter: (url: string, options: JoinOptions) => Promise<Room>;
  #room: Room | undefined;
  /** The token, kept in memory only. */
  #token: string | undefined;
  #serverUp = true;
  #leaving: Promise<void> | undefined;
  /** Peers that get their missed messages as soon as they are here. */
  #resend = false;
  #resetting = 0;
  /** The number of entries when this person looked last. */
  #seen = 0;
  /** Ids of peers that are here and could not be reached. They are tried again and again; one note says so. */
  readonly #missed = new Set<string>();

  constructor({ server, room, devices, screen = new Screen(), enter = enterRoom }: MeetingInit) {
    super();
    this.room = room;
    this.devices = devices;
    this.screen = screen;
    screen.addEventListener("change", () => this.changed());
    this.#server = server;
    this.#enter = enter;
  }

  // --- coming and going -----------------------------------------------------------------------------------------

  /**
   * Join the room.
   *
   * @param token a token for a server with keys; by default the last one.
   * @param resend send missed messages again when their people join.
   * @throws the errors of `join`.
   */
  async enter(name: string, { token, resend = false }: { token?: string; resend?: boolean } = {}): Promise<void> {
    if (this.phase !== "outside" && this.phase !== "left") return;
    const before = this.phase;
    this.name = name;
    this.#token = token ?? this.#token;
    this.#resend = resend;
    this.#set("entering");
    try {
      const room = await this.#enter(this.#server, {
        room: this.room,
        name,
        ...(this.#token && { token: this.#token }),
      });
      this.#entered(room);
    } catch (error) {
      this.#set(before);
      throw error;
    }
  }

  #entered(room: Room): void {
    this.#room = room;
    this.#serverUp = true;
    this.#leaving = undefined;
    this.sentAway = "";
    this.closed = false;
    this.farewells = [];
    room.addEventListener("session", ({ session }) => {
      const labels = this.friends.map(({ label }) => label);
      const friend = new Friend(session, this.devices, this, labels, this.screen);
      this.friends = [...this.friends, friend];
      friend.addEventListener("change", () => this.changed());
      session.waitOpen().then(
        () => this.#arrived(friend),
        () => undefined, // see `closed`
      );
      this.changed();
    });
    for (const type of ["peer", "unconnected"] as const) room.addEventListener(type, () => this.changed());
    room.addEventListener("signaling", (event) => {
      if (event.type === "up") this.#serverUp = true;
      else if (event.type === "down") this.#serverUp = false;
      else if (event.type === "ended" && event.error) this.#sentAway(event.error.message);
      else if (event.type === "ended" && this.phase === "inside")
        void this.leave(); // the page went away and has returned
      else if (event.type === "kicked" && event.code === "room-closed") {
        this.closed = true;
        void this.leave(); // the sessions are being closed already
      } else if (event.type === "kicked") this.#sentAway(words().call.sentOut);
      this.changed();
    });
    this.#set("inside");
  }

  #sentAway(why: string): void {
    if (this.sentAway || this.phase !== "inside") return;
    this.#serverUp = false;
    this.sentAway = why;
    this.#note(() => words().call.sentAway(why), "bad");
  }

  #arrived(friend: Friend): void {
    this.#missed.delete(friend.session.peer);
    this.#note(() => words().call.cameIn(nameOf(friend)), "good");
    if (this.#resend) void this.sendOwed(friend);
  }

  /** Return the files under way: one of several peers' counts once, by the peer that has least of it. */
  get underWay(): SharedFile[] {
    const least = new Map<unknown, SharedFile>();
    for (const entry of this.entries) {
      if (entry.kind !== "file" || !entry.shared.under) continue;
      const { shared } = entry;
      const key = shared instanceof Sending ? shared.file : shared;
      const other = least.get(key);
      if (!other || shared.part < other.part) least.set(key, shared);
    }
    return [...least.values()];
  }

  /** Leave; while files are under way this person is asked first. */
  askToLeave(): void {
    if (this.phase !== "inside") return;
    if (!this.underWay.length) return void this.leave();
    this.leavingAsked = true;
    this.changed();
  }

  /** Whether this person may close the room for everybody. */
  get mayCloseForAll(): boolean {
    return this.phase === "inside" && !!this.#room?.mayCloseForAll;
  }

  /** Close the room for everybody; this person is asked first. */
  askToClose(): void {
    this.closingAsked = this.mayCloseForAll;
    this.changed();
  }

  /** Answer: close it. If the server does not, this person stays. */
  async closeForAll(): Promise<void> {
    if (!this.closingAsked) return;
    this.#leaving = this.#leave(async (room) => {
      await room.closeForAll({ timeout: GOODBYE });
      this.closed = true;
    });
    await this.#leaving;
  }

  /** Answer: stay. */
  stay(): void {
    this.leavingAsked = this.leavesLater = this.closingAsked = false;
    this.changed();
  }

  /** Answer: leave when the files have arrived. */
  leaveLater(): void {
    this.leavesLater = true;
    this.changed();
  }

  override changed(): void {
    super.changed();
    if (this.phase === "inside" && this.leavesLater && !this.underWay.length) void this.leave();
  }

  /** Say goodbye to everybody, within a few seconds, and leave. A second call waits for the first. */
  leave(reason = ""): Promise<void> {
    if (this.phase === "inside") this.#leaving = this.#leave((room) => room.close({ reason, timeout: GOODBYE }));
    return this.#leaving ?? Promise.resolve();
  }

  async #leave(close: (room: Room) => Promise<unknown>): Promise<void> {
    this.leavingAsked = this.leavesLater = this.resetAsked = this.closingAsked = false;
    this.#set("leaving");
    // Peers that left earlier have had their goodbye; peers that never came need no goodbye.
    const staying = this.friends.filter(({ met }) => met);
    this.farewells = [];
    try {
      await close(this.#room!);
    } catch (error) {
      const { message } = error as Error; // the server does not close the room: nothing has ended
      this.#note(() => words().call.notClosed(message), "bad");
      this.#set("inside");
      return;
    }
    this.farewells = staying.length ? staying.flatMap(farewellOf) : this.#leftWithPage;
    this.brought = KINDS.filter((kind) => this.devices.track(kind));
    this.devices.stop();
    this.screen.hide();
    this.#set("left");
  }

  /** Handle the receipts of the sessions that ended when the page went away; it has returned after all. */
  get #leftWithPage(): Farewell[] {
    return this.entries.flatMap((entry) => {
      const alone = entry.kind === "farewell" && entry.receipt.by === "local" && entry.receipt.reason.code !== "left";
      return alone ? [entry] : [];
    });
  }

  #set(phase: Phase): void {
    this.phase = phase;
    this.changed();
  }

  /** Look how good the connections are. */
  measure(): void {
    for (const friend of this.friends) void friend.measure().catch(() => undefined); // it has ended meanwhile
  }

  /** Show a screen, or hide it. */
  async share(): Promise<void> {
    if (this.screen.track) return this.screen.hide();
    try {
      await this.screen.show();
    } catch (error) {
      const { message } = error as Error;
      this.#note(() => words().call.noScreen(message), "bad");
    }
  }

  /** Return the peers to show: not those that are away and were never met, nor those that are tried again. */
  get shown(): Friend[] {
    const away = new Set(this.#room?.peers.filter((peer) => peer.away).map(({ peer }) => peer));
    return this.friends.filter(({ met, session: { peer } }) => met || !(away.has(peer) || this.#missed.has(peer)));
  }

  /** Return the peers that are here and not connected, except those that are just joining. */
  get apart(): Apart[] {
    const shown = new Set(this.shown.map(({ session }) => session.peer));
    return (this.#room?.unconnected ?? []).flatMap(({ peer: { peer, name = "" }, why }) => {
      const told = ["again", "over", "refused"].includes(why) || (why === "connecting" && this.#missed.has(peer));
      if (!told || shown.has(peer)) return [];
      const trying = why === "connecting";
      return { peer, label: name, trying, wanted: trying || why === "again" };
    });
  }

  /** Try now to connect with a peer that is here and not connected. */
  tryAgain({ peer }: Apart): void {
    this.#room?.tryAgain(peer);
    this.changed();
  }

  // --- chat -----------------------------------------------------------------------------------------------------

  /** Return the peers that can get messages. */
  get present(): Friend[] {
    return this.friends.filter(({ state }) => state !== "connecting" && state !== "closed");
  }

  /** Send a message to everybody; false if nobody is there. */
  say(text: string): boolean {
    const { present } = this;
    if (!present.length) return false;
    const entry: Said = { kind: "said", text, at: new Date(), marks: [] };
    this.#add(entry);
    for (const friend of present) {
      const mark: Mark = { who: whoIs(friend), state: "sending" };
      entry.marks.push(mark);
      void this.#send(friend, entry, mark);
    }
    return true;
  }

  async #send(friend: Friend, entry: Said, mark: Mark): Promise<void> {
    mark.who = whoIs(friend);
    mark.state = "sending";
    delete mark.seq;
    this.changed();
    try {
      const sent = await friend.say(mark.again ?? entry.text);
      mark.seq = sent.seq;
      await sent.delivered();
      mark.state = "delivered";
    } catch {
      // The session ended first: `left` has the message, if it had been accepted.
      mark.state = "owed";
    }
    this.changed();
  }

  /** Return the messages that did not reach this friend, or an earlier peer of that name. */
  owedTo(friend: Friend): Owed[] {
    return owedTo(this.entries, friend);
  }

  /** Return the messages that did not reach some peer. */
  get owed(): Owed[] {
    return allOwed(this.entries);
  }

  /** Send it again. If it had arrived after all, the other side recognizes it and does not show it twice. */
  async sendOwed(friend: Friend): Promise<void> {
    await Promise.all(this.owedTo(friend).map(({ entry, mark }) => this.#send(friend, entry, mark)));
  }

  /** Return the number of new entries from others since this person looked last. */
  get unread(): number {
    return this.entries.slice(this.#seen).filter(isNews).length;
  }

  /** Note that this person looks at the conversation now. */
  look(): void {
    const { unread } = this;
    this.#seen = this.entries.length;
    if (unread) this.changed();
  }

  // --- files ----------------------------------------------------------------------------------------------------

  /** Send files and folders to everybody; false if nobody is there. */
  sendFiles(files: Iterable<File | Folder>): boolean {
    const { present } = this;
    for (const file of files) {
      for (const friend of present) {
        const shared = new Sending(whoIs(friend), file);
        this.#add({ kind: "file", shared, at: new Date() });
        void shared.send(friend);
      }
    }
    return present.length > 0;
  }

  /** Return the peer that can get a failed file again: not another person of that name who was sent the file too. */
  receiverOf(shared: Sending): Friend | undefined {
    const sent = this.entries.flatMap((entry) => (entry.kind === "file" ? entry.shared : []));
    const had = ({ session }: Friend) =>
      sent.some((one) => one instanceof Sending && one.file === shared.file && one.who.to === session.id);
    const { present } = this;
    return (
      present.find(({ session }) => session.id === shared.who.to) ??
      present.find((friend) => friend.name === shared.who.name && !had(friend))
    );
  }

  /** Whether something would be lost if the page went away now. */
  get unfinished(): boolean {
    const moving = this.entries.some((entry) => entry.kind === "file" && entry.shared.under);
    const saying = this.entries.some(
      (entry) => entry.kind === "said" && entry.marks.some(({ state }) => state === "sending"),
    );
    return moving || saying || this.owed.length > 0;
  }

  // --- reset ----------------------------------------------------------------------------------------------------

  get resetting(): boolean {
    return this.#resetting > 0;
  }

  /** Ask what to renew. */
  askToReset(): void {
    if (this.phase !== "inside" || this.resetting) return;
    this.resetAsked = true;
    this.changed();
  }

  /** Answer: nothing. */
  keep(): void {
    this.resetAsked = false;
    this.changed();
  }

  /**
   * Make new connections, request devices again, or both. Messages and files stay.
   *
   * @param what the connection, the devices, or everything.
   * @param only the one peer whose connection it is; without it, everybody's.
   */
  async reset(what: ResetChoice = "everything", only?: Friend): Promise<void> {
    if (this.phase !== "inside" || this.resetting) return;
    this.resetAsked = false;
    this.#resetting++;
    this.changed();
    const began = performance.now();
    const names = what === "devices" ? [] : (only ? [only] : this.friends).map(nameOf);
    const level = what === "everything" ? "full" : "transport";
    const connections = what === "devices" ? [] : this.#renew(level, only);
    const devices = what === "connection" ? undefined : this.devices.renew();
    const [results] = await Promise.all([connections, devices]);
    const failed = results.find(({ status }) => status === "rejected") as PromiseRejectedResult | undefined;
    this.#resetting--;
    const took = seconds((performance.now() - began) / 1000);
    const texts = () => words().call;
    if (failed) this.#note(() => texts().resetFailed(failed.reason.message), "bad");
    else if (names.length) this.#note(() => texts().isNew(names, took), "good");
    else if (what === "devices") this.#note(() => texts().devicesAgain, "good");
    else if (what === "connection") this.#note(() => texts().nothingToRenew, "good");
    else this.#note(() => `${texts().devicesAgain} ${texts().nothingToRenew}`, "good");
  }

  #renew(level: "transport" | "full", only: Friend | undefined): Promise<PromiseSettledResult<unknown>[]> {
    return only ? Promise.allSettled([only.session.reset({ level })]) : this.#room!.reset({ level });
  }

  // --- from friends ------------------------------------------------------------------------------------------

  heard(friend: Friend, text: string): void {
    this.#add({ kind: "said", from: nameOf(friend), text, at: new Date(), marks: [] });
  }

  offered(friend: Friend, file: IncomingFile | IncomingFolder): Promise<void> {
    const shared = new Receiving(whoIs(friend), file);
    this.#add({ kind: "file", shared, at: new Date() });
    return shared.receive();
  }

  renewed(friend: Friend, { asker, report }: ResetEvent): void {
    if (report && asker === friend.session.peer) this.#note(() => words().call.renewed(nameOf(friend)), "good");
  }

  left(friend: Friend, receipt: CloseReceipt): void {
    for (const message of Friend.kept(receipt)) {
      const mark = this.#markOf(friend, receipt, message);
      if (mark) mark.again = message;
    }
    this.friends = this.friends.filter((one) => one !== friend);
    if (!friend.met) {
      const { peer } = friend.session;
      if (receipt.by !== "local" && !this.#missed.has(peer)) this.#note(() => ending(receipt, friend.label), "bad");
      this.#missed.add(peer);
      this.changed();
      return;
    }
    this.#add({ kind: "farewell", who: friend.label, receipt, at: new Date() });
  }

  #markOf(friend: Friend, receipt: CloseReceipt, message: { seq: number; receipt: string }): Mark | undefined {
    const marks = this.entries.flatMap((entry) => (entry.kind === "said" ? entry.marks : []));
    return marks.find(({ who, state, seq, again }) => {
      if (who.to !== friend.session.id || state === "delivered") return false;
      if (again) return again.seq === message.seq && again.receipt === message.receipt;
      return seq === message.seq && message.receipt === receipt.id;
    });
  }

  // --- status --------------------------------------------------------------------------------------------

  get line(): Line {
    const steps = this.friends.flatMap(({ step }) => step ?? []);
    const going = stillUnderWay(steps);
    const more = { tone: "wait", more: going && atMost(steps) } as const;
    const { state } = words();
    if (this.phase === "leaving") {
      const names = this.friends.map(nameOf).map(short);
      return { text: names.length ? state.goodbye(names, going) : state.leaving, ...more };
    }
    if (this.resetting) return { text: state.renewing(going), ...more };
    const { shown, apart } = this;
    return summary(shown, { online: navigator.onLine, server: this.#serverUp, apart });
  }

  /** Add a note. It follows the language of the page. */
  #note(say: () => string, tone: Tone): void {
    this.#add({
      kind: "note",
      get text() {
        return say();
      },
      tone,
      at: new Date(),
    });
  }

  #add(entry: Entry): void {
    this.entries.push(entry);
    this.dispatchEvent(new NewsEvent(entry));
    if (entry.kind === "file") entry.shared.addEventListener("change", () => this.changed());
    this.changed();
  }
}

function farewellOf({ label, session: { receipt } }: Friend): Farewell[] {
  return receipt ? [{ kind: "farewell", who: label, receipt, at: new Date() }] : [];
}

function isNews(entry: Entry): boolean {
  if (entry.kind === "file") return entry.shared instanceof Receiving;
  return entry.kind === "said" && entry.from !== undefined;
}
