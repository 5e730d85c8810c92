/** Handles files and folders that are dropped anywhere in the window. */

import type { ReactiveController, ReactiveControllerHost } from "lit";
import type { Folder } from "../model/file.js";

/** The most files and folders of one folder; the SDK has the same bound. */
const MOST = 100_000;

/** Files and folders that are dropped. A folder is read when it is dropped. */
export type Dropping = Promise<(File | Folder)[]>;

/** Lets the window accept files while its view is shown. */
export class DropTarget implements ReactiveController {
  /** Whether files are held over the window. */
  over = false;
  #stop = new AbortController();

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly take: (dropping: Dropping) => void,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const hold = (event: DragEvent) => hasFiles(event) && this.#set(true);
    addEventListener("dragenter", hold, { signal });
    addEventListener("dragover", hold, { signal });
    // `relatedTarget` is the next element, or nothing when the pointer leaves the window.
    addEventListener("dragleave", ({ relatedTarget }) => relatedTarget === null && this.#set(false), { signal });
    addEventListener(
      "drop",
      (event) => {
        this.#set(false);
        if (hasFiles(event)) this.take(dropped(event.dataTransfer!));
      },
      { signal },
    );
  }

  hostDisconnected(): void {
    this.#stop.abort();
    this.over = false;
  }

  #set(over: boolean): void {
    if (over === this.over) return;
    this.over = over;
    this.host.requestUpdate();
  }
}

/** Keep the browser from opening a dropped file in place of the page. */
export function keepPage(): void {
  for (const type of ["dragover", "drop"] as const) {
    addEventListener(type, (event) => {
      if (hasFiles(event)) event.preventDefault();
    });
  }
}

function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes("Files") ?? false;
}

/** The entries have to be asked for at once: they are gone when the event is over. */
function dropped({ items, files }: DataTransfer): Dropping {
  const entries = [...items].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.());
  const folders = entries.filter((entry) => entry?.isDirectory) as FileSystemDirectoryEntry[];
  // Some browsers list a folder among the files, too.
  const single = [...files].filter((_, number) => !entries[number]?.isDirectory);
  return Promise.all(folders.map(read)).then((read) => [...single, ...read]);
}

/** Read a folder with all that is in it. Empty folders are left out. */
async function read(folder: FileSystemDirectoryEntry): Promise<Folder> {
  const files: File[] = [];
  for (const folders = [folder]; folders.length; ) {
    for (const entry of await listed(folders.pop()!)) {
      if (entry.isDirectory) folders.push(entry as FileSystemDirectoryEntry);
      else files.push(await fileOf(entry as FileSystemFileEntry));
      if (files.length + folders.length > MOST) throw new RangeError("too many files for one folder");
    }
  }
  return { name: folder.name, files };
}

/** A browser lists some at a time; an empty list is the end. */
async function listed(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return all;
    all.push(...some);
    if (all.length > MOST) return all;
  }
}

/** Return the file with its path in the dropped folder, as a field for folders gives it. */
async function fileOf(entry: FileSystemFileEntry): Promise<File> {
  const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject));
  return Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.replace(/^\//, "") });
}
