/** Handles files that are dropped anywhere in the window. */

import type { ReactiveController, ReactiveControllerHost } from "lit";

export interface Dropped {
  files: File[];
  /** Names of folders, for which a browser gives no file. */
  folders: string[];
}

/** Lets the window accept files while its view is shown. */
export class DropTarget implements ReactiveController {
  /** Whether files are held over the window. */
  over = false;
  #stop = new AbortController();

  constructor(
    private readonly host: ReactiveControllerHost,
    private readonly take: (dropped: Dropped) => void,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const hold = (event: DragEvent) => hasFiles(event) && this.#set(true);
    addEventListener("dragenter", hold, { signal });
    addEventListener("dragover", hold, { signal });
    // // `relatedTarget` is the next element, or nothing when the pointer leaves the window.
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

function dropped({ items, files }: DataTransfer): Dropped {
  const entries = [...items].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.());
  const folders = entries.flatMap((entry) => (entry?.isDirectory ? entry.name : []));
  // Some browsers list a folder among the files, too.
  return { files: [...files].filter((_, number) => !entries[number]?.isDirectory), folders };
}
