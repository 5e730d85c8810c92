/** A room and sessions that do what a test says. */

import type { CloseReceipt, Message, StateName } from "adieu-rtc";
import type { FakeStream, FakeTrack } from "./browser.js";

type Handler = (event: never) => unknown;

class Told {
  #handlers = new Map<string, Handler[]>();
  addEventListener(type: string, handler: Handler): void {
    this.#handlers.set(type, [...(this.#handlers.get(type) ?? []), handler]);
  }
  tell(type: string, event: unknown): void {
    for (const handler of this.#handlers.get(type) ?? []) handler(event as never);
  }
}

class FakeChat extends Told {
  readonly given: (string | Message)[] = [];
  #waiting: { seq: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #delivered = 0;

  get sent(): string[] {
    return this.given.map((one) => (typeof one === "string" ? one : String(one.data)));
  }

  async send(data: string | Message) {
    this.given.push(data);
    const seq = this.given.length;
    const delivered = () =>
      seq <= this.#delivered
        ? Promise.resolve()
        : new Promise<void>((resolve, reject) => this.#waiting.push({ seq, resolve, reject }));
    return { seq, delivered };
  }

  /** The other side takes all, or the first few. */
  deliver(upTo = 1_000_000): void {
    this.#delivered = upTo;
    for (const { seq, resolve } of this.#waiting) if (seq <= upTo) resolve();
    this.#waiting = this.#waiting.filter(({ seq }) => seq > upTo);
  }

  fail(): void {
    for (const { reject } of this.#waiting) reject(new Error("the session has ended"));
  }
}

let made = 0;

interface End {
  unsent?: number[];
  as?: string;
  by?: string;
  code?: string;
}

export class FakeSession extends Told {
  readonly id = `receipt ${++made}`;
  readonly chat = new FakeChat();
  state: StateName = "connecting";
  receipt: CloseReceipt | undefined;
  /** Told of muting: kind, and whether it is. */
  readonly said: [kind: string, muted: boolean][] = [];
  /** What sending a file brings. */
  fileError: Error | undefined;
  /** When a file is there; at once by default. */
  fileArrives: Promise<void> = Promise.resolve();
  /** What is not delivered when it is closed. */
  willLose: number[] = [];
  #stream: FakeStream | undefined;
  #open = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  constructor(
    readonly name: string,
    readonly peer = `peer ${made}`,
  ) {
    super();
  }

  become(state: StateName, cause = ""): void {
    this.state = state;
    if (state === "open") this.#open();
    this.tell("state", { state, previous: "connecting", cause, evidence: [] });
  }

  end({ unsent = [], as = this.id, by = "remote", code = "left" }: End): void {
    const messages = unsent.map((seq) => {
      const given = this.chat.given[seq - 1]!;
      return typeof given === "string" ? { data: given, seq, receipt: as, sent: false } : given;
    });
    this.receipt = {
      id: this.id,
      notice: `${this.name} left.`,
      cause: code,
      channels: {},
      files: [],
      partial: [],
      confirmed: true,
      clean: !unsent.length,
      by,
      reason: { code },
      unsent: () => messages,
      unknown: () => [],
    } as unknown as CloseReceipt;
    this.chat.fail();
    this.tell("closed", { receipt: this.receipt });
  }

  get sends(): FakeTrack[] {
    return this.#stream?.getTracks() ?? [];
  }

  async waitOpen(): Promise<void> {
    await this.#opened;
  }
  async open(): Promise<FakeChat> {
    return this.chat;
  }
  async addStream(stream: FakeStream): Promise<FakeStream> {
    this.#stream = stream;
    return stream;
  }
  async replace(old: FakeTrack, now: FakeTrack): Promise<void> {
    this.#stream!.removeTrack(old);
    this.#stream!.addTrack(now);
  }
  mute(track: FakeTrack, muted: boolean): void {
    this.said.push([track.kind, muted]);
  }
  readonly folders: [name: string, paths: string[]][] = [];
  async sendFolder(files: Iterable<File>, { name }: { name: string }) {
    const all = [...files];
    this.folders.push([name, all.map((file) => file.webkitRelativePath)]);
    return this.sendFile(all[0]!);
  }
  async sendFile(file: File) {
    if (this.fileError) throw this.fileError;
    return { addEventListener() {}, cancel() {}, wait: () => this.fileArrives, done: file.size };
  }
}

export class FakeRoom extends Told {
  readonly sessions: FakeSession[] = [];
  readonly resets: string[] = [];
  resetError: Error | undefined;
  closes = 0;
  closedForAll = 0;
  closeError: Error | undefined;
  mayCloseForAll = false;
  peers: { peer: string; name?: string; away?: boolean }[] = [];
  unconnected: { peer: { peer: string; name?: string }; why: string }[] = [];
  readonly tried: string[] = [];

  bring(session: FakeSession): void {
    this.sessions.push(session);
    this.tell("session", { session });
  }
  tryAgain(peer: string): boolean {
    this.tried.push(peer);
    return true;
  }
  say(event: object): void {
    this.tell("signaling", event);
  }
  async reset({ level }: { level: string }) {
    this.resets.push(level);
    return [this.resetError ? { status: "rejected", reason: this.resetError } : { status: "fulfilled", value: {} }];
  }
  async closeForAll(): Promise<void> {
    if (this.closeError) throw this.closeError;
    this.closedForAll++;
    await this.close();
  }
  async close(): Promise<void> {
    this.closes++;
    await Promise.resolve();
    for (const session of this.sessions) if (!session.receipt) session.end({ unsent: session.willLose });
  }
}
