/** A peer in the room: its session, the messages and tracks of it, and its status. */

import type { Channel, CloseReceipt, IncomingFile, Message, ResetEvent, Sent, Session, StateName } from "adieu-rtc";
import { type Devices, KINDS, type Kind, type MutedEvent, type TrackEvent } from "./devices.js";
import { Model } from "./model.js";

const CHAT = "chat";
/** Milliseconds between two updates of the length of a silence. */
const LOOK_AGAIN = 5000;

/** The outputs of a friend for the meeting. */
export interface Host {
  heard(friend: Friend, text: string): void;
  offered(friend: Friend, file: IncomingFile): Promise<void>;
  renewed(friend: Friend, event: ResetEvent): void;
  left(friend: Friend, receipt: CloseReceipt): void;
}

/** See the module. */
export class Friend extends Model {
  readonly name: string;
  /** The name to show, with a number if another peer has the same name. */
  readonly label: string;
  /** The tracks that they send. */
  readonly stream = new MediaStream();
  state: StateName;
  cause = "";
  /** Whether it was connected once. */
  met = false;
  /** The kinds that they have turned off themselves. */
  readonly quiet = new Set<Kind>();
  #chat: Promise<Channel> | undefined;
  /** The time of their last answer, while they are silent. */
  #since: number | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;
  readonly #sent = new MediaStream();
  readonly #over = new AbortController();
  /** The last exchange of tracks; exchanges run one after the other. */
  #exchanging: Promise<void> = Promise.resolve();

  constructor(
    readonly session: Session,
    readonly devices: Devices,
    host: Host,
    labels: readonly string[] = [],
  ) {
    super();
    this.name = session.name;
    this.label = numbered(this.name, labels);
    this.state = session.state;
    session.addEventListener("state", ({ state, cause }) => {
      this.state = state;
      this.cause = cause;
      this.#timed();
      if (state === "open") this.#opened(host);
      this.changed();
    });
    session.addEventListener("track", ({ track }) => this.#see(track));
    session.addEventListener("media", ({ media }) => {
      for (const [mid, { enabled = true, ended = false }] of media) this.#said(mid, enabled && !ended);
    });
    session.addEventListener("file", (file) => host.offered(this, file));
    session.addEventListener("reset", (event) => {
      if (event.report) this.#sayMuted();
      host.renewed(this, event);
    });
    session.addEventListener("closed", ({ receipt }) => {
      this.state = "closed";
      this.#timed();
      this.#over.abort();
      host.left(this, receipt);
      this.changed();
    });
    const { signal } = this.#over;
    devices.addEventListener("track", (event) => this.#give(event as TrackEvent), { signal });
    devices.addEventListener("muted", ({ kind }: Event & Partial<MutedEvent>) => this.#sayMuted(kind), { signal });
    for (const track of devices.tracks) this.#give({ track, old: undefined });
  }

  /** Return the seconds of their silence. */
  get silent(): number {
    return this.#since === undefined ? 0 : (Date.now() - this.#since) / 1000;
  }

  #timed(): void {
    if (this.state !== "suspect" && this.state !== "recovering") {
      this.#since = undefined;
      clearInterval(this.#looking);
      this.#looking = undefined;
    } else {
      this.#since ??= Date.now();
      this.#looking ??= setInterval(() => this.changed(), LOOK_AGAIN);
    }
  }

  // --- chat -----------------------------------------------------------------------------------------------------

  /** Start the chat and report muted devices, when it is connected for the first time. */
  #opened(host: Host): void {
    this.met = true;
    this.#sayMuted();
    if (this.#chat) return;
    this.#chat = this.session.open(CHAT);
    this.#chat
      .then((chat) => {
        chat.addEventListener("message", (data) => {
          host.heard(this, typeof data === "string" ? data : `(${data.length} bytes that are no text)`);
        });
      })
      .catch(() => undefined); // the writer learns it from `say`
  }

  /** Send a text, or a message that did not arrive before. */
  async say(words: string | Message): Promise<Sent> {
    await this.session.waitOpen();
    return (await (this.#chat ?? this.session.open(CHAT))).send(words);
  }

  /** Return the chat messages that the receipt of this session gives back. */
  static kept(receipt: CloseReceipt): Message[] {
    return [...receipt.unknown(CHAT), ...receipt.unsent(CHAT)];
  }

  // --- what this person sends -----------------------------------------------------------------------------------

  #give({ track, old }: { track: MediaStreamTrack; old: MediaStreamTrack | undefined }): void {
    this.#exchanging = this.#exchanging.then(async () => {
      try {
        if (old && this.#sent.getTracks().includes(old)) await this.session.replace(old, track);
        else this.#sent.addTrack(track);
        // // This also adds it to a connection that was made without such a device.
        await this.session.addStream(this.#sent);
        this.#sayMuted(track.kind as Kind);
      } catch (error) {
        if (!this.#over.signal.aborted) console.warn("a device could not be sent:", error);
      }
    });
  }

  #sayMuted(only?: Kind): void {
    if (this.state === "closed") return;
    for (const kind of KINDS) {
      const track = this.devices.track(kind);
      if (track && (only === undefined || only === kind)) this.session.mute(track, !this.devices.sends(kind));
    }
  }

  // --- what they send -------------------------------------------------------------------------------------------

  #see(track: MediaStreamTrack): void {
    for (const old of this.stream.getTracks()) {
      if (old.kind === track.kind && old !== track) this.stream.removeTrack(old);
    }
    this.stream.addTrack(track);
    track.addEventListener("ended", () => {
      this.stream.removeTrack(track);
      this.changed();
    });
    this.changed();
  }

  #said(mid: string, on: boolean): void {
    const transceiver = this.session.pc?.getTransceivers().find((one) => one.mid === mid);
    const kind = transceiver?.receiver.track.kind as Kind | undefined;
    if (!kind) return;
    if (on) this.quiet.delete(kind);
    else this.quiet.add(kind);
    this.changed();
  }

  /**
   * Whether there is something to see or hear. A track's own `muted` is no help: in Chromium it stays true forever if
   * the first packets come before their description is applied.
   */
  sends(kind: Kind): boolean {
    return this.stream.getTracks().some((track) => track.kind === kind) && !this.quiet.has(kind);
  }
}

/** Return a name that is free: "Ben", or "Ben (2)" if there is a Ben already. */
function numbered(name: string, taken: readonly string[]): string {
  let label = name;
  for (let number = 2; name && taken.includes(label); number++) label = `${name} (${number})`;
  return label;
}
