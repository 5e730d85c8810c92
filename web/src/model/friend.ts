/** A peer in the room: its session, the messages and tracks of it, and its status. */

import type {
  Channel,
  CloseReceipt,
  IncomingFile,
  IncomingFolder,
  Message,
  ProgressEvent,
  ResetEvent,
  Sent,
  Session,
  StateName,
} from "adieu-rtc";
import { words } from "../words/language.js";
import { type Devices, KINDS, type Kind, type MutedEvent, type TrackEvent } from "./devices.js";
import { Model } from "./model.js";
import { Pictures } from "./pictures.js";
import type { Gauge, Quality } from "./quality.js";
import type { HiddenEvent, Screen, ShownEvent } from "./screen.js";

const CHAT = "chat";
/** Milliseconds between two updates of the length of a silence. */
const LOOK_AGAIN = 5000;
/** Tracks that something is said of before they come. */
const MAX_EARLY = 64;

/** The outputs of a friend for the meeting. */
export interface Host {
  heard(friend: Friend, text: string): void;
  offered(friend: Friend, file: IncomingFile | IncomingFolder): Promise<void>;
  renewed(friend: Friend, event: ResetEvent): void;
  left(friend: Friend, receipt: CloseReceipt): void;
}

/** See the module. */
export class Friend extends Model {
  readonly name: string;
  /** The name to show, with a number if another peer has the same name. */
  readonly label: string;
  /** The pictures and the sound that they send. */
  readonly pictures: Pictures;
  state: StateName;
  cause = "";
  /** The step of a close or a reset that runs. */
  step: ProgressEvent | undefined;
  /** Whether it was connected once. */
  met = false;
  /** How good the connection is, once it was measured. */
  quality: Quality | undefined;
  #chat: Promise<Channel> | undefined;
  /** The time of their last answer, while they are silent. */
  #since: number | undefined;
  #looking: ReturnType<typeof setInterval> | undefined;
  readonly #sent = new MediaStream();
  readonly #shown = new MediaStream();
  readonly #over = new AbortController();
  #gauge: Gauge | undefined;
  /** Reports about tracks that are not here yet, by mid. */
  readonly #early = new Map<string, boolean>();
  /** The last exchange of tracks; exchanges run one after the other. */
  #exchanging: Promise<void> = Promise.resolve();

  constructor(
    readonly session: Session,
    readonly devices: Devices,
    host: Host,
    labels: readonly string[] = [],
    readonly screen?: Screen,
  ) {
    super();
    this.name = session.name;
    this.label = numbered(this.name, labels);
    this.state = session.state;
    this.pictures = new Pictures(() => new Set(session.pc?.getReceivers().map(({ track }) => track)));
    this.pictures.addEventListener("change", () => this.changed());
    session.addEventListener("state", ({ state, cause }) => {
      this.state = state;
      this.cause = cause;
      if (state === "open") this.step = undefined;
      this.#timed();
      if (state === "open") this.#opened(host);
      this.changed();
    });
    session.addEventListener("track", ({ track, streams, transceiver }) => {
      this.pictures.see(track, streams?.[0]?.id);
      const on = this.#early.get(transceiver?.mid ?? "");
      if (on !== undefined) this.pictures.say(track, on);
    });
    session.addEventListener("media", ({ media }) => {
      for (const [mid, { enabled = true, ended = false }] of media) this.#said(mid, enabled && !ended);
    });
    session.addEventListener("file", (file) => host.offered(this, file));
    session.addEventListener("folder", (folder) => host.offered(this, folder));
    session.addEventListener("reset", (event) => {
      this.#early.clear(); // a new connection numbers its tracks anew
      if (event.report) {
        this.#sayMuted();
        this.pictures.prune();
      }
      host.renewed(this, event);
    });
    session.addEventListener("progress", (step) => {
      this.step = step;
      this.changed();
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
    screen?.addEventListener("shown", (event) => this.#show((event as ShownEvent).track), { signal });
    screen?.addEventListener("hidden", (event) => this.#hide((event as HiddenEvent).track), { signal });
    if (screen?.track) this.#show(screen.track);
  }

  /** Return the seconds of their silence. */
  get silent(): number {
    return this.#since === undefined ? 0 : (Date.now() - this.#since) / 1000;
  }

  /** Look how good the connection is. */
  async measure(): Promise<void> {
    const { pc } = this.session;
    if (this.state !== "open" || !pc?.getStats) return;
    const [{ Gauge, sampleOf }, report] = await Promise.all([import("./quality.js"), pc.getStats()]);
    const sample = sampleOf(report as never);
    if (!sample) return;
    this.#gauge ??= new Gauge();
    const { trouble } = this.quality ?? {};
    this.quality = this.#gauge.add(sample);
    if (this.quality.trouble || trouble) this.changed(); // nothing is to be seen of one that is fine
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
          host.heard(this, typeof data === "string" ? data : words().chat.noText(data.length));
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
        // This also adds it to a connection that was made without such a device.
        await this.session.addStream(this.#sent);
        this.#sayMuted(track.kind as Kind);
      } catch (error) {
        if (!this.#over.signal.aborted) console.warn("a device could not be sent:", error);
      }
    });
  }

  /** Send a picture of the screen, without a report about it, which makes it different from a camera. */
  #show(track: MediaStreamTrack): void {
    this.#exchanging = this.#exchanging.then(async () => {
      if (track.readyState !== "live" || this.#over.signal.aborted) return;
      this.#shown.addTrack(track);
      await this.session.addStream(this.#shown).catch(() => undefined); // it has ended meanwhile
    });
  }

  /** Send it no longer, and give its place in the description back. */
  #hide(track: MediaStreamTrack): void {
    this.#exchanging = this.#exchanging.then(() => {
      this.#shown.removeTrack(track);
      for (const transceiver of this.session.pc?.getTransceivers() ?? []) {
        if (transceiver.sender.track === track) transceiver.stop();
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

  #said(mid: string, on: boolean): void {
    const transceiver = this.session.pc?.getTransceivers().find((one) => one.mid === mid);
    if (!transceiver || !this.pictures.say(transceiver.receiver.track, on)) this.#early.set(mid, on);
    if (this.#early.size > MAX_EARLY) this.#early.clear();
  }

  /** Return the stream of themselves: their camera, or the one picture that they send, and their sound. */
  get stream(): MediaStream {
    return this.pictures.stream;
  }

  /** Whether there is something to see or hear of themselves. */
  sends(kind: Kind): boolean {
    return this.pictures.sends(kind);
  }
}

/** Return a name that is free: "Ben", or "Ben (2)" if there is a Ben already. */
function numbered(name: string, taken: readonly string[]): string {
  let label = name;
  for (let number = 2; name && taken.includes(label); number++) label = `${name} (${number})`;
  return label;
}
