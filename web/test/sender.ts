/** The sender's side of a link, over sessions that a test ends. */

import { Sha256 } from "../../js/src/sha256.js";
import type { Link } from "../src/receive/link.js";
import { linkMac } from "../src/receive/proof.js";
import { digestOfList } from "../src/receive/receiving.js";

/** What this sender does wrong. */
export interface Trouble {
  /** The session ends after so many files, once. */
  endsAfter?: number;
  /** The first file is another one in the second session. */
  changes?: boolean;
  wrongProof?: boolean;
  extra?: boolean;
  /** It fails before its proof. */
  stranger?: boolean;
  wrongDigest?: boolean;
  unconfirmed?: boolean;
  early?: boolean;
  large?: boolean;
  /** Its list is too long to hold. */
  longPaths?: boolean;
  /** Everything goes as one folder. */
  whole?: boolean;
  /** It offers a wrong folder first. */
  otherCount?: boolean;
  otherSize?: boolean;
  /** The files of the folder have other sizes than in the list. */
  otherFiles?: boolean;
  /** It fails, with words that turn around what is read. */
  odd?: boolean;
}

interface Heard {
  type: string;
  whole?: boolean;
  mac?: string;
  digest?: string;
  files?: [number, string][];
}

const SENDER = "0f".repeat(32);
const RECEIVER = "a0".repeat(32);
const described = (fingerprint: string) => ({ sdp: `a=fingerprint:sha-256 ${fingerprint.match(/../g)!.join(":")}` });

class Pipe {
  readonly #waiting: unknown[] = [];
  #wake: (() => void) | undefined;
  push(message: unknown): void {
    this.#waiting.push(message);
    this.#wake?.();
  }
  async next(): Promise<unknown> {
    while (!this.#waiting.length) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#waiting.shift();
  }
}

class FakeOffer {
  proof: string;
  done = 0;
  readonly size: number;
  constructor(
    readonly name: string,
    readonly text: string,
    readonly answers: { accepted: (name: string) => void; refused: (reason: string) => void },
    readonly stream = false,
  ) {
    this.size = text.length;
    this.proof = new Sha256().add(new TextEncoder().encode(text)).hex();
  }
  addEventListener(): void {}
  hold(): void {}
  refuse(reason: string): void {
    this.answers.refused(reason);
  }
  async accept(): Promise<File> {
    if (this.stream) throw new Error("it is taken");
    this.answers.accepted(this.name);
    return new File([this.text], this.name);
  }
}

class FakeFolder {
  readonly proof = "f".repeat(64);
  readonly done: number;
  constructor(
    readonly name: string,
    readonly count: number,
    readonly size: number,
    readonly files: Map<string, File>,
    readonly answers: { accepted: (to: unknown) => Promise<void>; refused: (reason: string) => void },
  ) {
    this.done = size;
  }
  addEventListener(_: "progress", handler: () => void): void {
    handler();
  }
  refuse(reason: string): void {
    this.answers.refused(reason);
  }
  async accept({ to, exists }: { to?: FileSystemDirectoryHandle; exists?: string } = {}): Promise<unknown> {
    const place = await to?.getDirectoryHandle(this.name, { create: true });
    if (place && exists !== "overwrite") throw new Error("it would get another name");
    await this.answers.accepted(place);
    return place ?? this.files;
  }
}

class FakeSession {
  readonly id: string;
  readonly pc = { remoteDescription: described(SENDER), localDescription: described(RECEIVER) };
  readonly toPage = new Pipe();
  readonly toSender = new Pipe();
  receipt: object | undefined;
  /** Milliseconds that the page gave its close. */
  timeout: number | undefined;
  file: ((offer: FakeOffer) => unknown) | undefined;
  folder: ((offer: FakeFolder) => unknown) | undefined;
  #closed: (receipt: object) => void = () => undefined;
  readonly #end = new Promise<object>((resolve) => (this.#closed = resolve));

  constructor(number: number) {
    this.id = `receipt ${number}`;
  }
  async open() {
    return {
      send: async (text: string) => this.toSender.push(JSON.parse(text)),
      receive: async () => JSON.stringify(await this.toPage.next()),
    };
  }
  addEventListener(type: "file" | "folder", handler: (offer: never) => unknown): void {
    Object.assign(this, { [type]: handler });
  }
  end(code: string, confirmed = true): void {
    this.receipt ??= {
      ...{ id: this.id, notice: code, cause: code, confirmed, clean: true, by: "remote", reason: { code } },
      ...{ channels: {}, files: [], partial: [] },
    };
    this.#closed(this.receipt);
  }
  async close({ reason, timeout }: { reason: string; timeout: number }): Promise<object> {
    this.timeout = timeout;
    this.end(reason);
    return this.#end;
  }
  waitClosed(): Promise<object> {
    return this.#end;
  }
}

export class FakeSender {
  readonly link: Link = { room: "send-x", key: new Uint8Array(16) };
  readonly sessions: FakeSession[] = [];
  /** The files that were taken, by session. */
  readonly sent: string[][] = [];
  /** The files that the page had already, by session. */
  readonly claimed: number[][] = [];
  readonly refused: string[] = [];
  /** Where the folders went. */
  readonly places: unknown[] = [];
  listed = 0;
  readonly #entries: { path: string; size: number }[];
  readonly #proofs = new Map<number, string>();

  constructor(
    readonly files: Record<string, string>,
    readonly trouble: Trouble = {},
  ) {
    this.#entries = Object.entries(files).map(([path, text]) =>
      path.endsWith("/") ? { path: path.slice(0, -1), size: -1 } : { path, size: text.length },
    );
    if (trouble.large) this.#entries[0]!.size = 2 ** 40;
  }

  /** What a browser has. */
  install(): void {
    Object.assign(globalThis, { RTCPeerConnection: { generateCertificate: async () => ({}) } });
  }

  readonly enter = async () => ({
    client: { iceServers: async () => [[], 0] },
    peers: [],
    session: async () => {
      const session = new FakeSession(this.sessions.length);
      this.sessions.push(session);
      void this.#serve(session, this.sessions.length - 1);
      return session;
    },
    close: async () => [],
  });

  async #serve(session: FakeSession, nth: number): Promise<void> {
    const { trouble } = this;
    const heard = () => session.toSender.next() as Promise<Heard>;
    const say = (message: object) => session.toPage.push(message);
    const mac = (who: "sender" | "receiver") =>
      btoa(String.fromCharCode(...linkMac(this.link.key, who, SENDER, RECEIVER)));
    if ((await heard()).mac !== mac("receiver")) return say({ type: "refused" });
    if (trouble.stranger) return say({ type: "failed", text: "all is here" });
    say({ type: "confirm", mac: trouble.wrongProof ? mac("receiver") : mac("sender") });
    if (trouble.wrongProof) return;
    this.listed++;
    if (trouble.odd) return say({ type: "failed", text: "\u202ebad\nnews\u0007" });
    for (let n = 0; trouble.longPaths && n < 21; n++) {
      say({ type: "entries", entries: Array(200).fill(["x".repeat(4096), 1]), last: n === 20 });
    }
    const whole = trouble.whole && { whole: true };
    say({
      type: "entries",
      entries: this.#entries.map(({ path, size }) => [path, size, 420, 0]),
      last: true,
      ...whole,
    });
    const have = await heard();
    if (have.type !== "have") return;
    const { files = [] } = have;
    this.claimed.push(files.map(([number]) => number));
    const changed = trouble.changes && nth === 1 ? [0] : [];
    say({ type: "missing", files: changed, last: true });
    if (trouble.early) return say({ type: "done", digest: "0".repeat(64) });
    if (have.whole) return this.#serveFolder(session, nth);
    await this.#send(
      session,
      nth,
      new Set(files.map(([number]) => number).filter((number) => !changed.includes(number))),
    );
    if (session.receipt) return;
    const done = await heard();
    const own = trouble.wrongDigest ? "0".repeat(64) : digestOfList(this.#entries, this.#proofs);
    say({ type: "done", digest: own });
    if (done.digest === own) session.end("everything was sent", !trouble.unconfirmed);
  }

  async #serveFolder(session: FakeSession, nth: number): Promise<void> {
    const { trouble } = this;
    const sent: string[] = [];
    this.sent.push(sent);
    const answers = {
      accepted: async (place: unknown) => {
        sent.push("folder");
        this.places.push(place);
        if (nth || !trouble.endsAfter) return;
        session.end("network-lost");
        await new Promise(() => undefined);
      },
      refused: (why: string) => this.refused.push(why),
    };
    while (!session.folder) await new Promise((resolve) => setTimeout(resolve));
    const files = Object.entries(this.files).filter(([path]) => !path.endsWith("/"));
    const longer = trouble.otherFiles ? "x" : "";
    const made = new Map(files.map(([path, text]) => [path, new File([text + longer], path)]));
    const size = files.reduce((sum, [, text]) => sum + text.length, 0);
    const offer = (count: number, size: number) =>
      session.folder!(new FakeFolder("folder", count, size, made, answers));
    if (trouble.otherCount) await offer(files.length + 1, size);
    if (trouble.otherSize) await offer(files.length, size - 1);
    await offer(files.length, size);
    const done = (await session.toSender.next()) as Heard;
    session.toPage.push({ type: "done", digest: "f".repeat(64) });
    if (done.digest === "f".repeat(64)) session.end("everything was sent");
  }

  async #send(session: FakeSession, nth: number, known: Set<number>): Promise<void> {
    const sent: string[] = [];
    this.sent.push(sent);
    const answers = { accepted: (name: string) => sent.push(name), refused: (why: string) => this.refused.push(why) };
    while (!session.file) await new Promise((resolve) => setTimeout(resolve));
    if (this.trouble.extra) {
      await session.file(new FakeOffer("99", "x", answers));
      await session.file(new FakeOffer("0", "of another size", answers));
      await session.file(new FakeOffer("0", Object.values(this.files)[0]!, answers, true));
    }
    for (const [number, text] of Object.values(this.files).entries()) {
      if (known.has(number)) continue;
      const offer = new FakeOffer(`${number}`, text, answers);
      this.#proofs.set(number, offer.proof);
      await session.file(offer);
      if (!nth && sent.length === this.trouble.endsAfter) return session.end("network-lost");
    }
  }
}
