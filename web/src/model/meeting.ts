/** A room as a person sees it: who is there, what was said, how it stands, and how it ended. */

import { type CloseReceipt, type IncomingFile, type JoinOptions, join, type ResetEvent, type Room } from "adieu-rtc";
import { type Devices, KINDS, type Kind } from "./devices.js";
import { allOwed, type Entry, type Mark, type Owed, owedTo, type Said } from "./entries.js";
import { Receiving, Sending } from "./file.js";
import { Friend, type Host } from "./friend.js";
import { Model } from "./model.js";
import { whoIs } from "./who.js";
import { type Apart, type Line, list, seconds, summary, type Tone } from "./words.js";

/** Milliseconds that a goodbye may take. */
const GOODBYE = 5000;

export type Phase = "outside" | "entering" | "inside" | "leaving" | "left";

export interface MeetingInit {
  server: string;
  room: string;
  devices: Devices;
  /** Enters a room; tests give another. */
  enter?: (url: string, options: JoinOptions) => Promise<Room>;
}

/** See the module. It may be left and entered again: what was said stays. */
export class Meeting extends Model implements Host {
  readonly room: string;
  readonly devices: Devices;
  name = "";
  phase: Phase = "outside";
  friends: Friend[] = [];
  readonly entries: Entry[] = [];
  /** How it ended with those who were there when this person left. */
  farewells: CloseReceipt[] = [];
  /** The devices that were on when this person left. */
  brought: Kind[] = [];
  /** Why the server let this person go, if it did. */
  sentAway = "";
  readonly #server: string;
  readonly #enter: (url: string, options: JoinOptions) => Promise<Room>;
  #room: Room | undefined;
  /** Kept in memory only. */
  #token: string | undefined;
  #serverUp = true;
  #leaving: Promise<void> | undefined;
  /** Who is to get what they did not get, as soon as they are here. */
  #resend = false;
  #resetting = 0;
  /** Entries that were there when this person looked last. */
  #seen = 0;
  /** Ids of those who are here and could not be reached: they are tried again and again, which is told once. */
  readonly #missed = new Set<string>();

  constructor({ server, room, devices, enter = join }: MeetingInit) {
    super();
    this.room = room;
    this.devices = devices;
    this.#server = server;
    this.#enter = enter;
  }

  // --- coming and going -----------------------------------------------------------------------------------------

  /**
   * Come in.
   *
   * @param token opens a server with keys; known from the last time if it is left out.
   * @param resend send again, as people come, what they did not get last time.
   * @throws what `join` throws.
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
    this.farewells = [];
    room.addEventListener("session", ({ session }) => {
      const labels = this.friends.map(({ label }) => label);
      const friend = new Friend(session, this.devices, this, labels);
      this.friends = [...this.friends, friend];
      friend.addEventListener("change", () => this.changed());
      session.waitOpen().then(
        () => this.#arrived(friend),
        () => undefined, // `closed` tells
      );
      this.changed();
    });
    for (const type of ["peer", "unconnected"] as const) room.addEventListener(type, () => this.changed());
    room.addEventListener("signaling", (event) => {
      if (event.type === "up") this.#serverUp = true;
      else if (event.type === "down") this.#serverUp = false;
      else if (event.type === "ended" && event.error) this.#sentAway(event.error.message);
      else if (event.type === "ended" && this.phase === "inside")
        void this.leave(); // the page went away, and is back
      else if (event.type === "kicked") this.#sentAway("you were sent out");
      this.changed();
    });
    this.#set("inside");
  }

  #sentAway(why: string): void {
    if (this.sentAway || this.phase !== "inside") return;
    this.#serverUp = false;
    this.sentAway = why;
    this.#note(`The server has closed the room to you (${why}). Who is connected stays connected.`, "bad");
  }

  #arrived(friend: Friend): void {
    this.#missed.delete(friend.session.peer);
    this.#note(`${nameOf(friend)} came in.`, "good");
    if (this.#resend) void this.sendOwed(friend);
  }

  /** Say goodbye to everybody, within a few seconds, and leave. A second call waits for the first. */
  leave(reason = ""): Promise<void> {
    if (this.phase === "inside") this.#leaving = this.#leave(reason);
    return this.#leaving ?? Promise.resolve();
  }

  async #leave(reason: string): Promise<void> {
    this.#set("leaving");
    // Those who had gone before have had their farewell; those who never came need none.
    const staying = this.friends.filter(({ met }) => met).map(({ session }) => session);
    this.farewells = [];
    await this.#room!.close({ reason, timeout: GOODBYE });
    this.farewells = staying.length ? staying.flatMap(({ receipt }) => receipt ?? []) : this.#leftWithPage;
    this.brought = KINDS.filter((kind) => this.devices.track(kind));
    this.devices.stop();
    this.#set("left");
  }

  /** The farewells of those who were there when the page went away; it is back after all. */
  get #leftWithPage(): CloseReceipt[] {
    return this.entries.flatMap((entry) => {
      const alone = entry.kind === "farewell" && entry.receipt.by === "local" && entry.receipt.reason.code !== "left";
      return alone ? [entry.receipt] : [];
    });
  }

  #set(phase: Phase): void {
    this.phase = phase;
    this.changed();
  }

  /** Those who are to be seen: not who is away and was never met, nor who is tried again. */
  get shown(): Friend[] {
    const away = new Set(this.#room?.peers.filter((peer) => peer.away).map(({ peer }) => peer));
    return this.friends.filter(({ met, session: { peer } }) => met || !(away.has(peer) || this.#missed.has(peer)));
  }

  /** Those who are here and not connected, but for those who come in at this moment. */
  get apart(): Apart[] {
    const shown = new Set(this.shown.map(({ session }) => session.peer));
    return (this.#room?.unconnected ?? []).flatMap(({ peer: { peer, name = "" }, why }) => {
      const told = ["again", "over", "refused"].includes(why) || (why === "connecting" && this.#missed.has(peer));
      if (!told || shown.has(peer)) return [];
      const trying = why === "connecting";
      return { peer, label: name, trying, wanted: trying || why === "again" };
    });
  }

  /** Try now to connect with somebody who is here and not connected. */
  tryAgain({ peer }: Apart): void {
    this.#room?.tryAgain(peer);
    this.changed();
  }

  // --- chat -----------------------------------------------------------------------------------------------------

  /** Those who can be spoken to. */
  get present(): Friend[] {
    return this.friends.filter(({ state }) => state !== "connecting" && state !== "closed");
  }

  /** Say something to everybody; false if nobody is there to hear it. */
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
      // The session ended first: `left` has what to send again, if it had been accepted.
      mark.state = "owed";
    }
    this.changed();
  }

  /** What this friend, or somebody with the same name before, did not get. */
  owedTo(friend: Friend): Owed[] {
    return owedTo(this.entries, friend);
  }

  /** What anybody did not get. */
  get owed(): Owed[] {
    return allOwed(this.entries);
  }

  /** Send it again. A message that had arrived after all is known again by the other side, and is not shown twice. */
  async sendOwed(friend: Friend): Promise<void> {
    await Promise.all(this.owedTo(friend).map(({ entry, mark }) => this.#send(friend, entry, mark)));
  }

  /** What others have said or sent since this person looked last. */
  get unread(): number {
    return this.entries.slice(this.#seen).filter(isNews).length;
  }

  /** This person looks at the conversation now. */
  look(): void {
    const { unread } = this;
    this.#seen = this.entries.length;
    if (unread) this.changed();
  }

  // --- files ----------------------------------------------------------------------------------------------------

  /** Send files to everybody; false if nobody is there. */
  sendFiles(files: Iterable<File>): boolean {
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

  /** Who can get a file again that did not arrive: not another person of that name, who had it sent to them too. */
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

  /** New connections, devices asked for again; what was said and what is on its way stays. */
  async reset(): Promise<void> {
    if (this.phase !== "inside" || this.resetting) return;
    this.#resetting++;
    this.changed();
    const began = performance.now();
    const names = list(this.friends.map(nameOf));
    const [results] = await Promise.all([this.#room!.reset({ level: "full" }), this.devices.renew()]);
    const failed = results.find(({ status }) => status === "rejected") as PromiseRejectedResult | undefined;
    this.#resetting--;
    const took = seconds((performance.now() - began) / 1000);
    if (failed) this.#note(`The reset did not work: ${failed.reason.message}`, "bad");
    else if (names) this.#note(`The connection with ${names} is new, after ${took}. Nothing was lost.`, "good");
    else this.#note("Your devices were asked for again. There is no connection to renew: nobody else is here.", "good");
  }

  // --- told by friends ------------------------------------------------------------------------------------------

  heard(friend: Friend, text: string): void {
    this.#add({ kind: "said", from: nameOf(friend), text, at: new Date(), marks: [] });
  }

  offered(friend: Friend, file: IncomingFile): Promise<void> {
    const shared = new Receiving(whoIs(friend), file);
    this.#add({ kind: "file", shared, at: new Date() });
    return shared.receive();
  }

  renewed(friend: Friend, { asker, report }: ResetEvent): void {
    if (report && asker === friend.session.peer) this.#note(`${nameOf(friend)} renewed the connection.`, "good");
  }

  left(friend: Friend, receipt: CloseReceipt): void {
    for (const message of Friend.kept(receipt)) {
      const mark = this.#markOf(friend, receipt, message);
      if (mark) mark.again = message;
    }
    this.friends = this.friends.filter((one) => one !== friend);
    if (!friend.met) {
      const { peer } = friend.session;
      if (receipt.by !== "local" && !this.#missed.has(peer)) this.#note(receipt.notice, "bad");
      this.#missed.add(peer);
      this.changed();
      return;
    }
    this.#add({ kind: "farewell", who: nameOf(friend), receipt, at: new Date() });
  }

  #markOf(friend: Friend, receipt: CloseReceipt, message: { seq: number; receipt: string }): Mark | undefined {
    const marks = this.entries.flatMap((entry) => (entry.kind === "said" ? entry.marks : []));
    return marks.find(({ who, state, seq, again }) => {
      if (who.to !== friend.session.id || state === "delivered") return false;
      if (again) return again.seq === message.seq && again.receipt === message.receipt;
      return seq === message.seq && message.receipt === receipt.id;
    });
  }

  // --- how it stands --------------------------------------------------------------------------------------------

  get line(): Line {
    if (this.phase === "leaving") {
      const names = list(this.friends.map(nameOf));
      return { text: names ? `Saying goodbye to ${names} …` : "Leaving …", tone: "wait" };
    }
    if (this.resetting) return { text: "Renewing the connection …", tone: "wait" };
    const { shown, apart } = this;
    return summary(shown, { online: navigator.onLine, server: this.#serverUp, apart });
  }

  #note(text: string, tone: Tone): void {
    this.#add({ kind: "note", text, tone, at: new Date() });
  }

  #add(entry: Entry): void {
    this.entries.push(entry);
    if (entry.kind === "file") entry.shared.addEventListener("change", () => this.changed());
    this.changed();
  }
}

/** What people call somebody. */
export function nameOf({ label }: { label: string }): string {
  return label || "Somebody without a name";
}

function isNews(entry: Entry): boolean {
  if (entry.kind === "file") return entry.shared instanceof Receiving;
  return entry.kind === "said" && entry.from !== undefined;
}
