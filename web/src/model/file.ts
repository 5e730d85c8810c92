/** A file on its way, to or from a peer. */

import type { IncomingFile, Session, Transfer } from "adieu-rtc";
import { Model } from "./model.js";
import { type Present, type Who, whoIs } from "./who.js";

/** `asked`: this person has not answered yet. */
export type FileState = "asked" | "moving" | "here" | "failed" | "declined";

/** Bytes. Larger files are refused: a browser has no place for them while they arrive. */
export const MAX_FILE = 2 * 1024 ** 3;
/** Bytes. Before larger files the page asks the person: they cost time, memory, and perhaps money. */
export const ASK_ABOVE = 20 * 1000 ** 2;

/** A file on its way. It fires `change` for progress too. */
export abstract class SharedFile extends Model {
  abstract readonly direction: "in" | "out";
  state: FileState = "moving";
  done = 0;
  /** The reason of a failure. */
  why = "";

  constructor(
    /** The peer. */
    public who: Who,
    readonly name: string,
    readonly size: number,
  ) {
    super();
  }

  /** Progress from 0 to 1. */
  get part(): number {
    return this.size ? this.done / this.size : Number(this.state === "here");
  }

  get under(): boolean {
    return this.state === "moving";
  }

  protected moved(done: number): void {
    this.done = done;
    this.changed();
  }

  protected end(state: "here" | "failed" | "declined", error?: unknown): void {
    this.state = state;
    this.why = error instanceof Error ? error.message : "";
    if (state === "here") this.done = this.size;
    this.changed();
  }
}

/** A file that this person sends. After a failure it can be sent again, and continues where it stopped. */
export class Sending extends SharedFile {
  readonly direction = "out";
  #transfer: Transfer | undefined;
  #cancelled = false;

  constructor(
    who: Who,
    readonly file: File,
  ) {
    super(who, file.name, file.size);
  }

  async send(friend: Present & { readonly session: Session }): Promise<void> {
    this.who = whoIs(friend);
    this.state = "moving";
    this.#cancelled = false;
    this.moved(0);
    try {
      const transfer = (this.#transfer = await friend.session.sendFile(this.file));
      transfer.addEventListener("progress", () => this.moved(transfer.done));
      if (this.#cancelled) transfer.cancel();
      await transfer.wait();
      this.end("here");
    } catch (error) {
      this.end("failed", error);
    }
  }

  cancel(): void {
    this.#cancelled = true;
    this.#transfer?.cancel();
  }
}

/** A file from a peer. */
export class Receiving extends SharedFile {
  readonly direction = "in";
  /** The address to save it from, once it is complete. */
  url = "";

  constructor(
    who: Who,
    readonly offered: IncomingFile,
  ) {
    super(who, offered.name, offered.size);
  }

  /** Handle the session's `file` event: a file of ordinary size is accepted at once. */
  async receive(): Promise<void> {
    if (this.size > MAX_FILE) {
      this.offered.refuse("too large for a browser");
      this.end("failed", new Error("it is too large for a browser"));
    } else if (this.size > ASK_ABOVE) {
      this.offered.hold();
      this.offered.addEventListener("withdrawn", () => this.end("failed", new Error("the offer was withdrawn")));
      this.state = "asked";
      this.changed();
    } else {
      await this.take();
    }
  }

  /** Accept the file. */
  async take(): Promise<void> {
    this.state = "moving";
    this.changed();
    this.offered.addEventListener("progress", () => this.moved(this.offered.done));
    try {
      const file = await this.offered.accept();
      this.url = URL.createObjectURL(file);
      this.end("here");
    } catch (error) {
      this.end("failed", error);
    }
  }

  /** Refuse the file. */
  decline(): void {
    if (this.state !== "asked") return;
    this.offered.refuse("they do not want it");
    this.end("declined");
  }

  /** Release its memory. */
  forget(): void {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = "";
  }
}
