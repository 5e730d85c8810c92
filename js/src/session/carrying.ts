/**
 * Files and folders for the peer of a name, in one session after the other: loaded when they are used. It is a bundle of
 * its own, and gets what it needs of the first.
 */

import { checked, sendable } from "../bytes.js";
import { Deferred } from "../promises.js";
import { MAX_FILE_TEXT } from "../protocol/control.js";
import type { Emitter } from "./emitter.js";
import type { Cargo } from "./files/cargo.js";
import type { FolderSource } from "./files/folders.js";
import type { Session } from "./session.js";
import type { Shell } from "./shell.js";
import type { SendFileOptions, SendFolderOptions, Transfer, Transfers } from "./transfer.js";

/** The room, for this. */
interface Carrier {
  readonly sessions: Session[];
  readonly over: string | undefined;
  change(): Promise<void>;
}

interface CarriedEvents {
  /** More of it has arrived. */
  progress: CarriedTransfer;
}

/** Parts of the first bundle: a second copy of them would be strangers there. */
interface Tools {
  Emitter: typeof Emitter;
  TransferError: new (message: string) => Error;
  settleCurrent(): void;
  shellOf(session: Session): Shell;
  transfersOf(session: Session): Transfers;
}

/**
 * A file or a folder on its way to the peer of a name; made by `room.sendFile()` and `room.sendFolder()`. It goes on in
 * the next session when one ends. The event `progress` reports that more has arrived. See `Transfer` for the rest.
 */
export interface CarriedTransfer extends Pick<Emitter<CarriedEvents>, "addEventListener" | "removeEventListener"> {
  /** The name of the peer. */
  readonly to: string;
  /** The name that the other side sees. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** The transfer in the last session; undefined before the first. */
  readonly transfer: Transfer | undefined;
  /** Bytes that the other side is known to have taken. */
  readonly done: number;
  /** The proof, once it is sent. */
  readonly proof: string;
  /** Whether it is over, one way or the other. */
  readonly finished: boolean;
  /**
   * Wait until the other side has all of it, checked against its hash.
   *
   * @throws TransferError it was refused or failed, or this side left the room; the message says which.
   */
  wait(): Promise<void>;
  /** Cancel it, and notify the other side. */
  cancel(): void;
}

/** Returns what is sent in the next session. */
type Make = () => Promise<Blob | Cargo>;

/** See `Room.sendFile`. */
export function carryFile(
  room: Carrier,
  tools: Tools,
  to: string,
  file: Blob,
  { name }: SendFileOptions,
): CarriedTransfer {
  if (!(file instanceof Blob)) {
    throw new TypeError("a stream cannot be read again in the next session: send it in one session, or send a file");
  }
  const said = named(name, file instanceof File ? file.name : "file");
  return carried(room, tools, to, said, file.size, async () => file);
}

/** See `Room.sendFolder`. */
export async function carryFolder(
  room: Carrier,
  tools: Tools,
  to: string,
  source: FolderSource,
  { name, exclude = [] }: SendFolderOptions,
): Promise<CarriedTransfer> {
  const folder = "kind" in source ? source : [...source];
  const { folderCargo } = await import("./files/folders.js");
  const [own, found] = await folderCargo(folder, exclude);
  let first: Cargo | undefined = found;
  return carried(room, tools, to, named(name, own), found.size, async () => {
    const cargo = first ?? (await folderCargo(folder, exclude))[1];
    first = undefined;
    return cargo;
  });
}

function named(name: string | undefined, own: string): string {
  if (name !== undefined) return checked("a file's name", name, 1, MAX_FILE_TEXT);
  return sendable(own, MAX_FILE_TEXT) || "file";
}

/** The inside of a carried transfer. */
interface Carried extends CarriedTransfer {
  arrived(): void;
  /** Words, or the error of the transfer. */
  fail(why: string | Error): void;
  /** Follow the transfer in the next session. */
  follow(transfer: Transfer): void;
}

function carried(room: Carrier, tools: Tools, to: string, name: string, size: number, make: Make): CarriedTransfer {
  const { Emitter, TransferError, settleCurrent } = tools;

  class Transferring extends Emitter<CarriedEvents> implements Carried {
    readonly to = to;
    readonly name = name;
    readonly size = size;
    transfer: Transfer | undefined;
    readonly #over = new Deferred<void>();

    get done(): number {
      return this.transfer?.done ?? 0;
    }

    get proof(): string {
      return this.transfer?.proof ?? "";
    }

    get finished(): boolean {
      return this.#over.settled;
    }

    wait(): Promise<void> {
      settleCurrent();
      return this.#over.promise;
    }

    cancel(): void {
      this.fail("cancelled");
      this.transfer?.cancel();
    }

    arrived(): void {
      this.#over.resolve();
    }

    fail(why: string | Error): void {
      if (this.finished) return;
      this.#over.reject(why instanceof Error ? why : new TransferError(`${name} was not sent: ${why}`));
    }

    follow(transfer: Transfer): void {
      this.transfer = transfer;
      if (this.finished) transfer.cancel(); // it was cancelled a moment ago
      transfer.addEventListener("progress", () => this.emit("progress", this));
    }
  }

  const made = new Transferring("a file on its way", { progress: true });
  carry(room, tools, made, make).catch((error) => made.fail(error.message));
  return made;
}

/** Send it in one session after the other, until it is over. */
async function carry(room: Carrier, tools: Tools, one: Carried, make: Make): Promise<void> {
  let before: Blob | Cargo | undefined;
  while (!one.finished) {
    const session = newest(room, one.to);
    if (!session) {
      if (room.over !== undefined) throw new Error(`the room is over: ${room.over}`);
      await room.change();
      continue;
    }
    const what = await make();
    if (one.finished || session.state !== "open") continue; // cancelled, or ended, meanwhile
    const again = before && continues(what, before) ? one.transfer : undefined;
    before = what;
    const transfer = await tools.transfersOf(session).send(what, { name: one.name }, "", again);
    one.follow(transfer);
    await sentIn(room, tools.shellOf(session), session, one, transfer);
  }
}

/** Wait until it is over, or the session has ended, or does not answer and has a successor. */
async function sentIn(room: Carrier, { machine }: Shell, session: Session, one: Carried, transfer: Transfer) {
  let left = false;
  const ending = transfer.wait().then(
    () => one.arrived(),
    (error) => {
      if (session.state !== "closing" && session.state !== "closed" && !left) one.fail(error);
      left = true;
    },
  );
  while (!left && !one.finished) {
    await Promise.race([ending, room.change()]);
    const later = machine.isTroubled ? newest(room, one.to) : undefined;
    if (!left && later && later !== session) {
      left = true;
      transfer.cancel();
    }
  }
}

/** Whether this is what was to be sent before, unchanged. */
function continues(what: Blob | Cargo, before: Blob | Cargo): boolean {
  return what === before || JSON.stringify((what as Cargo).entries) === JSON.stringify((before as Cargo).entries);
}

function newest(room: Carrier, name: string): Session | undefined {
  return room.sessions.reverse().find((session) => session.name === name && session.state === "open");
}
