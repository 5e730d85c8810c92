/** A room as a person sees it: the peers, the conversation, the status, and the end. */

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
  /** Joins a room; tests replace it. */
  enter?: (url: string, options: JoinOptions) => Promise<Room>;
}

/** A meeting in a room. A person may leave and join again; the conversation stays. */
export class Meeting extends Model implements Host {
  readonly room: string;
  readonly devices: Devices;
  name = "";
  phase: Phase = "outside";
  friends: Friend[] = [];
  readonly entries: Entry[] = [];
  /** The receipts of the sessions that were open when this person left. */
  farewells: CloseReceipt[] = [];
  /** The devices that were on when this person left. */
  brought: Kind[] = [];
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

  constructor({ server, room, devices, enter = join }: MeetingInit) {
    super();
    this.room = room;
    this.devices = devices;
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
    this.farewells = [];
    room.addEventListener("session", ({ session }) => {
      const labels = this.friends.map(({ label }) => label);
      const friend = new Friend(session, this.devices, this, labels);
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
      else if (event.type === "kicked") this.#sentAway("you were sent out");
      this.changed();
    });
    this.#set("inside");
  }

  #sentAway(why: string): void {
    if (this.sentAway || this.phase !== "inside") return;
    this.#serverUp = false;
    this.sentAway = why;
    this.#note(`The server has removed you from the room (${why}). Open connections stay open.`, "bad");
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
    // // Peers that left earlier have had their goodbye; peers that never came need no goodbye.
    const staying = this.friends.filter(({ met }) => met).map(({ session }) => session);
    this.farewells = [];
    await this.#room!.close({ reason, timeout: GOODBYE });
    this.farewells = staying.length ? staying.flatMap(({ receipt }) => receipt ?? []) : this.#leftWithPage;
    this.brought = KINDS.filter((kind) => this.devices.track(kind));
    this.devices.stop();
    this.#set("left");
  }

  /** Handle the receipts of the sessions that ended when the page went away; it has returned after all. */
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
      // // The session ended first: `left` has the message, if it had been accepted.
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

  /** Make new connections and request devices again. Messages and files stay. */
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
    if (failed) this.#note(`The reset failed: ${failed.reason.message}`, "bad");
    else if (names) this.#note(`The connection with ${names} is new, after ${took}. Nothing was lost.`, "good");
    else this.#note("Your devices were requested again. There is no connection to renew: nobody else is here.", "good");
  }

  // // --- from friends ------------------------------------------------------------------------------------------

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

  // // --- status --------------------------------------------------------------------------------------------

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

/** Return the name to show for a peer. */
export function nameOf({ label }: { label: string }): string {
  return label || "Somebody without a name";
}

function isNews(entry: Entry): boolean {
  if (entry.kind === "file") return entry.shared instanceof Receiving;
  return entry.kind === "said" && entry.from !== undefined;
}
