/** A file on its way, to or from a peer. */

import type { IncomingFile, IncomingFolder, Session, Transfer } from "adieu-rtc";
import { en } from "../words/en.js";
import { Model } from "./model.js";
import { type Present, type Who, whoIs } from "./who.js";

/** `asked`: this person has not answered yet. */
export type FileState = "asked" | "moving" | "here" | "failed" | "declined";

/** Bytes. Larger files go straight to the disk, or are refused: a browser has no other place for them. */
export const MAX_FILE = 2 * 1024 ** 3;
/** Bytes. Before larger files the page asks the person: they cost time, memory, and perhaps money. */
export const ASK_ABOVE = 20 * 1000 ** 2;

/** A folder that is sent: its files have their paths in it. */
export interface Folder {
  readonly name: string;
  readonly files: readonly File[];
}

/** Asks the person for a place on the disk. */
interface Pickers {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<FileSystemFileHandle>;
  showDirectoryPicker?: (options: { mode: "readwrite" }) => Promise<FileSystemDirectoryHandle>;
}

/** A file or folder on its way. It fires `change` for progress too. */
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
    public size: number,
    readonly isFolder = false,
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
    readonly file: File | Folder,
  ) {
    const isFolder = !(file instanceof File);
    const size = isFolder ? file.files.reduce((sum, { size }) => sum + size, 0) : file.size;
    super(who, file.name, size, isFolder);
  }

  async send(friend: Present & { readonly session: Session }): Promise<void> {
    this.who = whoIs(friend);
    this.state = "moving";
    this.#cancelled = false;
    this.moved(0);
    try {
      const { file } = this;
      const { session } = friend;
      const sending =
        file instanceof File ? session.sendFile(file) : session.sendFolder(file.files, { name: file.name });
      const transfer = (this.#transfer = await sending);
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
  /** The address to save it from, once it is complete; empty if it is on the disk already. */
  url = "";
  /** Whether it went to the disk. */
  isSaved = false;

  constructor(
    who: Who,
    readonly offered: IncomingFile | IncomingFolder,
  ) {
    super(who, offered.name, offered.size, offered.count !== undefined);
  }

  /** Whether it can go straight to the disk, where the browser can. */
  get canSave(): boolean {
    const { showSaveFilePicker, showDirectoryPicker } = globalThis as Pickers;
    return typeof (this.isFolder ? showDirectoryPicker : showSaveFilePicker) === "function";
  }

  /** Whether the browser has a place for it. Nobody knows how large a stream is. */
  get fits(): boolean {
    return this.size <= MAX_FILE && !(this.offered as IncomingFile).stream;
  }

  /** Handle the session's `file` event: a file of ordinary size is accepted at once. */
  async receive(): Promise<void> {
    if (!this.fits && !this.canSave) {
      this.offered.refuse(en.file.why.tooLarge);
      this.end("failed", new Error(en.file.why.tooLarge));
    } else if (!this.fits || this.size > ASK_ABOVE) {
      this.offered.hold();
      this.offered.addEventListener("withdrawn", () => this.end("failed", new Error(en.file.why.withdrawn)));
      this.state = "asked";
      this.changed();
    } else {
      await this.take();
    }
  }

  /** Accept it, straight to a place on the disk that the person chooses. */
  async save(): Promise<void> {
    const { showSaveFilePicker, showDirectoryPicker } = globalThis as Pickers;
    let to: FileSystemFileHandle | FileSystemDirectoryHandle | undefined;
    try {
      if (this.isFolder) to = await showDirectoryPicker?.({ mode: "readwrite" });
      else to = await showSaveFilePicker?.({ suggestedName: this.name });
    } catch {
      return; // the person has chosen no place: the question is still open
    }
    if (to && this.state === "asked") await this.take(to);
  }

  /** Accept it. */
  async take(to?: FileSystemFileHandle | FileSystemDirectoryHandle): Promise<void> {
    this.state = "moving";
    this.changed();
    this.offered.addEventListener("progress", () => this.moved(this.offered.done));
    try {
      const blob = await this.#accept(to);
      if (to) this.isSaved = true;
      else if (blob) this.url = URL.createObjectURL(blob);
      this.end("here");
    } catch (error) {
      this.end("failed", error);
    }
  }

  /** Return what is here: of a folder, a ZIP file. */
  async #accept(to?: FileSystemFileHandle | FileSystemDirectoryHandle): Promise<Blob | undefined> {
    if (!this.isFolder) {
      const file = this.offered as IncomingFile;
      return to ? file.accept({ to: to as FileSystemFileHandle }) : file.accept();
    }
    const folder = this.offered as IncomingFolder;
    if (to) {
      await folder.accept({ to: to as FileSystemDirectoryHandle });
      return undefined;
    }
    const [files, { zipped }] = await Promise.all([folder.accept(), import("../receive/zip.js")]);
    return zipped([...files].map(([path, file]) => ({ path: `${this.name}/${path}`, file })));
  }

  /** Refuse it. */
  decline(): void {
    if (this.state !== "asked") return;
    this.offered.refuse(en.file.why.unwanted);
    this.end("declined");
  }

  /** Release its memory. */
  forget(): void {
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = "";
  }
}
