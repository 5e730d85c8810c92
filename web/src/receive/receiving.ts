/** The receiving side of `adieu send` in a page: proves the link, takes the files that it lacks, and the receipt. */

import { type IncomingFile, type IncomingFolder, join, type Room, type Session } from "adieu-rtc";
import { browser } from "../../../js/src/platform.js";
import { within } from "../../../js/src/promises.js";
import { safe } from "../../../js/src/session/names.js";
import { isWanted } from "../../../js/src/session/pair.js";
import { ending } from "../model/ending.js";
import { MAX_FILE } from "../model/file.js";
import { Model } from "../model/model.js";
import { en } from "../words/en.js";
import { words } from "../words/language.js";
import type { Link } from "./link.js";
import { AT_ONCE, CHANNEL, type Entry, ExchangeError, FOLDER, Line, MAX_ENTRIES, MAX_PATHS } from "./messages.js";
import { digestOf, Pin, prove } from "./proof.js";
import { countOf, placeOn } from "./whole.js";

/** The member of a peer's metadata that says which side it is. */
const ROLE = "adieu send";
/** Seconds to wait for the sender. */
const TO_MEET = 60;
/** Milliseconds in which the sender hears why this page cannot go on. */
const TO_SAY = 1000;
/** Seconds after which the ICE servers are asked for again, if they could not be had. */
const ASK_AGAIN = 30;
/** Seconds over which the rate is measured. */
const OVER = 4;

/** `lost`: the connection ended, and the sender may come back. */
export type Phase = "ready" | "meeting" | "receiving" | "lost" | "done" | "failed";

/** A file of the sender's list. */
export interface Item {
  readonly number: number;
  /** The path with slashes, as the sender has it. */
  readonly path: string;
  /** Fit for a disk. */
  readonly name: string;
  readonly size: number;
  /** Bytes that are here. */
  done: number;
  proof: string;
  file: File | undefined;
}

export class Receiving extends Model {
  phase: Phase = "ready";
  #why = () => "";
  items: Item[] = [];
  /** Bytes of all files. */
  size = 0;
  /** Bytes that are here. */
  done = 0;
  /** The number of the receipt. */
  receipt = "";
  readonly #server: string;
  readonly #link: Link;
  readonly #enter: typeof join;
  #ice: RTCIceServer[] = [];
  #entries: Entry[] = [];
  /** The folder that the person has chosen, where the files go straight to the disk. */
  #disk: FileSystemDirectoryHandle | undefined;
  /** The place in it; undefined before the first byte. */
  #place: FileSystemDirectoryHandle | undefined;
  #seen: [at: number, done: number][] = [];

  constructor({ server, link, enter = join }: { server: string; link: Link; enter?: typeof join }) {
    super();
    this.#server = server;
    this.#link = link;
    this.#enter = enter;
  }

  /** Why it failed, or is lost. */
  get why(): string {
    return this.#why();
  }

  /** Bytes a second, over the last seconds. */
  get rate(): number {
    const [first, last] = [this.#seen[0], this.#seen.at(-1)];
    return first && last && last[0] > first[0] ? (last[1] - first[1]) / (last[0] - first[0]) : 0;
  }

  /** Whether the files are on the disk already. */
  get isSaved(): boolean {
    return this.#place !== undefined;
  }

  /** Whether leaving the page would lose something. */
  get underWay(): boolean {
    return this.phase === "receiving" || this.phase === "lost";
  }

  /**
   * Meet the sender and take everything.
   *
   * @param options with `to`, all of it goes into a new folder there, and not into this page's memory.
   * @throws SignalingError the server cannot be reached, or refuses this page.
   */
  async begin({ to, ...options }: { token?: string; to?: FileSystemDirectoryHandle } = {}): Promise<void> {
    if (to !== this.#disk) this.#place = undefined;
    this.#disk = to;
    this.#to("meeting");
    let known = () => {};
    const iceKnown = new Promise<void>((resolve) => (known = resolve));
    let pin: Pin;
    let room: Room;
    try {
      pin = await makePin(); // fails where the browser has no WebRTC
      room = await this.#enter(this.#server, {
        room: this.#link.room,
        meta: { [ROLE]: "receiver" },
        // Other receivers may be here too.
        accept: async ({ meta }) => {
          await iceKnown;
          return meta?.[ROLE] === "sender";
        },
        connect: () => pin.connection(this.#ice),
        ...options,
      });
    } catch (error) {
      this.#to("ready");
      throw error;
    }
    const over = new AbortController();
    void this.#renewIce(room, pin, known, over.signal);
    try {
      while (!(await this.#attempt(room, pin)));
    } finally {
      over.abort();
      await room.close();
    }
  }

  /** Ask for the ICE servers again and again, each time well before their credentials expire. */
  async #renewIce(room: Room, pin: Pin, known: () => void, over: AbortSignal): Promise<void> {
    const end = new Promise((resolve) => over.addEventListener("abort", resolve));
    while (!over.aborted) {
      let seconds: number;
      try {
        [this.#ice, seconds] = await room.client.iceServers();
        pin.renew(this.#ice);
      } catch {
        seconds = ASK_AGAIN; // the server is away, or names servers that there cannot be
      }
      known();
      if (!seconds) return;
      await within((seconds * 2) / 3, browser, end);
    }
  }

  /** Take everything in one session. Return whether it is over, well or not. */
  async #attempt(room: Room, pin: Pin): Promise<boolean> {
    let session: Session;
    try {
      session = await room.session({ signal: AbortSignal.timeout(TO_MEET * 1000) });
    } catch (error) {
      return this.#fail(isLate(error) ? whyNobody(room) : shown(error));
    }
    try {
      await this.#take(session, pin);
    } catch (error) {
      const { receipt } = session;
      if (receipt && pin.isSet && !isWanted(receipt)) {
        this.#to("lost", () => ending(receipt, session.name));
        return false;
      }
      await session.close({ reason: wordsOf(error).slice(0, 100), timeout: TO_SAY });
      return this.#fail(receipt && pin.isSet ? () => ending(receipt, session.name) : shown(error));
    } finally {
      pin.clear();
    }
    return true;
  }

  async #take(session: Session, pin: Pin): Promise<void> {
    const line = new Line(await session.open(CHANNEL));
    await prove(session, line, this.#link, pin);
    try {
      if (await this.#list(line)) await this.#takeAsOne(session, line);
      else await this.#takeAll(session, line);
    } catch (error) {
      if (error instanceof ExchangeError && !session.receipt) {
        await line.send({ type: "failed", text: wordsOf(error).slice(0, 500) });
      }
      throw error;
    }
  }

  /** Hear the list, and whether it can come as one folder. Files that an earlier attempt took of it are kept. */
  async #list(line: Line): Promise<boolean> {
    const entries: Entry[] = [];
    let characters = 0;
    let whole = false;
    for (let last = false; !last; ) {
      const heard = await line.next("entries", Number.POSITIVE_INFINITY);
      entries.push(...heard.entries);
      for (const { path } of heard.entries) characters += path.length;
      ({ last, whole } = heard);
      if (entries.length > MAX_ENTRIES || characters > MAX_PATHS)
        throw new ExchangeError((why) => why.tooMany(MAX_ENTRIES));
    }
    const large = !(whole && this.#disk) && entries.find(({ size }) => size > MAX_FILE);
    if (large) throw new ExchangeError((why) => why.tooLarge(safe(large.path)));
    if (JSON.stringify(entries) !== JSON.stringify(this.#entries)) {
      this.items = itemsOf(entries);
      this.size = this.items.reduce((sum, { size }) => sum + size, 0);
      this.done = 0;
      this.#place = undefined;
    }
    this.#entries = entries;
    this.#to("receiving");
    return whole;
  }

  /** Take everything as one folder. Its transfer finds the parts that an earlier attempt has left. */
  async #takeAsOne(session: Session, line: Line): Promise<void> {
    await line.send({ type: "have", files: [], last: true, whole: true });
    await line.next("missing");
    await this.#end(session, line, (answer) => Promise.race([this.#receiveFolder(session), answer]));
  }

  /** Take file by file from a sender of the first version: into the page's memory. */
  async #takeAll(session: Session, line: Line): Promise<void> {
    this.#place = undefined;
    const missing = await this.#compare(line);
    await this.#end(session, line, async (answer) => {
      await Promise.race([this.#receive(session, missing), answer]);
      return digestOfList(this.#entries, new Map(this.items.map(({ number, proof }) => [number, proof])));
    });
  }

  /** Take what comes, and compare the last words: `take` returns this side's. */
  async #end(session: Session, line: Line, take: (over: Promise<never>) => Promise<string>): Promise<void> {
    const answer = line.next("done", Number.POSITIVE_INFINITY);
    const own = await take(Promise.race([early(answer), session.waitClosed().then(ended)]));
    await line.send({ type: "done", digest: own });
    if ((await answer).digest !== own) throw new ExchangeError((why) => why.otherHashes);
    const receipt = await session.waitClosed();
    this.receipt = receipt.id;
    if (receipt.confirmed && receipt.clean) this.#to("done");
    else this.#fail(() => words().receive.notConfirmed(ending(receipt, session.name)));
  }

  /** Say which files are here already, and forget those that are others now. Return those that are missing. */
  async #compare(line: Line): Promise<Map<string, Item>> {
    const known = this.items.filter(({ file }) => file).map(({ number, proof }) => [number, proof] as const);
    for (let at = 0; at < Math.max(known.length, 1); at += AT_ONCE) {
      await line.send({ type: "have", files: known.slice(at, at + AT_ONCE), last: at + AT_ONCE >= known.length });
    }
    const others = new Set<number>();
    for (let last = false; !last; ) {
      const heard = await line.next("missing", Number.POSITIVE_INFINITY); // it hashes them first
      for (const number of heard.files) if (number < this.#entries.length) others.add(number);
      last = heard.last;
    }
    for (const item of this.items) {
      if (others.has(item.number)) item.file = undefined;
      if (!item.file) this.#moved(item, 0);
    }
    return new Map(this.items.filter(({ file }) => !file).map((item) => [`${item.number}`, item]));
  }

  /** Take the missing files, which are offered by their numbers. */
  #receive(session: Session, missing: Map<string, Item>): Promise<void> {
    let left = missing.size;
    return new Promise((resolve, reject) => {
      if (!left) resolve();
      session.addEventListener("file", (offered: IncomingFile) => {
        const item = missing.get(offered.name);
        if (offered.stream || offered.size !== item?.size) return offered.refuse(en.receive.why.notInList);
        missing.delete(offered.name);
        offered.addEventListener("progress", () => this.#moved(item, offered.done));
        // The handler waits, so that nobody takes the offer for one without an answer.
        return this.#accept(offered, item).then(() => --left || resolve(), reject);
      });
    });
  }

  /** Take the one folder; return its proof. */
  #receiveFolder(session: Session): Promise<string> {
    let taken = false;
    return new Promise((resolve, reject) => {
      session.addEventListener("folder", (offered: IncomingFolder) => {
        if (taken || offered.count !== countOf(this.#entries) || offered.size !== this.size) {
          return offered.refuse(en.receive.why.notInList);
        }
        taken = true;
        offered.addEventListener("progress", () => this.#came(offered.done));
        return this.#acceptFolder(offered).then(() => resolve(offered.proof), reject);
      });
    });
  }

  async #acceptFolder(offered: IncomingFolder): Promise<void> {
    if (this.#disk) {
      this.#place ??= await placeOn(this.#disk, this.#entries);
      await offered.accept({ to: this.#place, exists: "overwrite" }); // the folder is this page's own
    } else {
      const files = [...(await offered.accept()).values()]; // in the order of the list
      if (this.items.some(({ size }, at) => files[at]?.size !== size)) {
        throw new ExchangeError((why) => why.notInList);
      }
      for (const [at, item] of this.items.entries()) item.file = new File([files[at]!], item.name);
    }
    this.#came(this.size);
  }

  /** Note how many bytes of the folder are here: they come in the order of the list. */
  #came(done: number): void {
    let left = done;
    for (const item of this.items) {
      item.done = Math.min(item.size, left);
      left -= item.done;
    }
    this.done = done;
    this.#measure();
  }

  async #accept(offered: IncomingFile, item: Item): Promise<void> {
    const file = await offered.accept();
    item.file = new File([file], item.name);
    item.proof = offered.proof;
    this.#moved(item, item.size);
  }

  #moved(item: Item, done: number): void {
    this.done += done - item.done;
    item.done = done;
    this.#measure();
  }

  #measure(): void {
    const now = performance.now() / 1000;
    this.#seen.push([now, this.done]);
    while (this.#seen.length > 2 && now - this.#seen[0]![0] > OVER) this.#seen.shift();
    this.changed();
  }

  #to(phase: Phase, why = () => ""): void {
    this.phase = phase;
    this.#why = why;
    this.#seen = [];
    this.changed();
  }

  #fail(why: () => string): true {
    this.#to("failed", why);
    return true;
  }
}

/** Return the digest of a list; both sides compare it at the end. */
export function digestOfList(entries: readonly Entry[], proofs: ReadonlyMap<number, string>): string {
  return digestOf(JSON.stringify(entries.map(({ path, size }, number) => [path, size, proofs.get(number) ?? ""])));
}

function itemsOf(entries: readonly Entry[]): Item[] {
  return entries.flatMap(({ path, size }, number) =>
    size === FOLDER ? [] : [{ number, path, name: safe(path), size, done: 0, proof: "", file: undefined }],
  );
}

async function makePin(): Promise<Pin> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256" } as EcKeyGenParams;
  return new Pin(await RTCPeerConnection.generateCertificate(algorithm));
}

/** Fail with the sender's last word, if it comes before the files do. */
async function early(answer: Promise<unknown>): Promise<never> {
  await answer;
  throw new ExchangeError((why) => why.filesMissing);
}

function ended(): never {
  throw new ExchangeError((why) => why.ended);
}

function isLate(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function whyNobody(room: Room): () => string {
  const busy = room.peers.some(({ meta }) => meta?.[ROLE] === "sender");
  return () => words().receive.why[busy ? "busy" : "nobody"];
}

/** Return the error in the language of the page, if it is one of the exchange. */
function shown(error: unknown): () => string {
  return () => (error instanceof ExchangeError ? error.shown : wordsOf(error));
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
