/** Files that are dropped anywhere in the window. */

import type { ReactiveController, ReactiveControllerHost } from "lit";

export interface Dropped {
  files: File[];
  /** Names of folders: a browser gives no file for them. */
  folders: string[];
}

/** While its view is shown, the window takes files. */
export class DropTarget implements ReactiveController {
  /** Files are being held over the window. */
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
    // It goes from one thing in the window to the next; to nothing, when it leaves the window.
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

/** A browser goes to a file that is dropped on a page, and leaves the page for it: not here. */
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
