/** The camera and microphone of this person. One capture serves everybody in the room. */

import { Model } from "./model.js";

export type Kind = "audio" | "video";
export const KINDS: readonly Kind[] = ["audio", "video"];

/**
 * `off`: not requested. `asking`: requested. `on`. `muted`: turned off by this person, sends nothing. The others say
 * why there is no device: `denied`, `missing`, `busy` (another program has it), `unplugged`, `blocked` (the browser
 * gives no device to this page).
 */
export type DeviceState = "off" | "asking" | "on" | "muted" | "denied" | "missing" | "busy" | "unplugged" | "blocked";

const CONSTRAINTS = {
  audio: { echoCancellation: true, noiseSuppression: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" },
};

/**
 * Milliseconds after which a camera that was turned off is released, so that its light goes out. Turning it on again
 * before that needs no wait. A microphone that is turned off is kept: while a headset starts, the first word would be
 * lost. Some headsets also change all other sound when they are released.
 */
export const LET_GO = 1000;

/** The event `track`: a device was turned on; its track replaces `old`. */
export class TrackEvent extends Event {
  constructor(
    readonly track: MediaStreamTrack,
    readonly old: MediaStreamTrack | undefined,
  ) {
    super("track");
  }
}

/** The event `muted`: a device of this kind was muted or unmuted. */
export class MutedEvent extends Event {
  constructor(readonly kind: Kind) {
    super("muted");
  }
}

/** See the module. */
export class Devices extends Model {
  readonly #media: MediaDevices | undefined;
  readonly #states = new Map<Kind, DeviceState>();
  /** The last track of each kind, also if it has ended, so that the next one can replace it. */
  readonly #tracks = new Map<Kind, MediaStreamTrack>();
  /** Kinds whose trouble this person has read. */
  readonly #read = new Set<Kind>();
  #lettingGo: ReturnType<typeof setTimeout> | undefined;
  /** Counts changes, to notice an answer that comes too late. */
  #generation = 0;

  constructor(media: MediaDevices | undefined = globalThis.navigator?.mediaDevices) {
    super();
    this.#media = media;
  }

  state(kind: Kind): DeviceState {
    return this.#states.get(kind) ?? "off";
  }

  track(kind: Kind): MediaStreamTrack | undefined {
    return this.#tracks.get(kind);
  }

  /** Return the live tracks. */
  get tracks(): MediaStreamTrack[] {
    return KINDS.flatMap((kind) => this.#tracks.get(kind) ?? []).filter(({ readyState }) => readyState === "live");
  }

  /** Return the texts about trouble with devices. */
  get troubles(): ReadonlyMap<Kind, DeviceState> {
    return new Map(KINDS.filter((kind) => !this.#read.has(kind)).map((kind) => [kind, this.state(kind)]));
  }

  /** Dismiss the trouble that was read. New trouble is shown again. */
  dismiss(): void {
    for (const kind of KINDS) this.#read.add(kind);
    this.changed();
  }

  /** Whether the others hear or see this device. */
  sends(kind: Kind): boolean {
    return this.state(kind) === "on";
  }

  /** Request devices. Failures are in their state; nothing is thrown. */
  async turnOn(kinds: readonly Kind[]): Promise<void> {
    const wanted = kinds.filter((kind) => this.state(kind) !== "asking");
    if (!wanted.length) return;
    if (!this.#media?.getUserMedia) return this.#set(wanted, "blocked");
    this.#set(wanted, "asking");
    await this.#ask(wanted, this.#generation);
  }

  async #ask(kinds: readonly Kind[], generation: number): Promise<void> {
    const constraints = Object.fromEntries(kinds.map((kind) => [kind, CONSTRAINTS[kind]]));
    let stream: MediaStream;
    try {
      stream = await this.#media!.getUserMedia(constraints);
    } catch (error) {
      if (generation !== this.#generation) return;
      const { name } = error as DOMException;
      // // One of two may exist; after a refusal, do not ask again.
      if (kinds.length > 1 && name !== "NotAllowedError") {
        for (const kind of kinds) await this.#ask([kind], generation);
      } else {
        this.#set(kinds, refusal(name));
      }
      return;
    }
    for (const track of stream.getTracks()) {
      if (generation === this.#generation) this.#have(track);
      else track.stop();
    }
  }

  #have(track: MediaStreamTrack): void {
    const kind = track.kind as Kind;
    const old = this.#tracks.get(kind);
    old?.stop();
    this.#tracks.set(kind, track);
    // // The browser fires this when a device was unplugged or its permission revoked, not when a track is stopped.
    track.addEventListener("ended", () => {
      if (this.#tracks.get(kind) !== track) return;
      this.#set([kind], "unplugged");
      this.dispatchEvent(new MutedEvent(kind));
    });
    this.#set([kind], "on");
    this.dispatchEvent(new TrackEvent(track, old));
    this.dispatchEvent(new MutedEvent(kind));
  }

  /** Turn a device on, mute it, or request it again. */
  async toggle(kind: Kind): Promise<void> {
    const track = this.#tracks.get(kind);
    const state = this.state(kind);
    if (track?.readyState === "live" && (state === "on" || state === "muted")) {
      track.enabled = state === "muted";
      this.#set([kind], track.enabled ? "on" : "muted");
      if (kind === "video") this.#letGoSoon(track);
      this.dispatchEvent(new MutedEvent(kind));
    } else {
      await this.turnOn([kind]);
    }
  }

  #letGoSoon(camera: MediaStreamTrack): void {
    clearTimeout(this.#lettingGo);
    this.#lettingGo = setTimeout(() => {
      if (this.#tracks.get("video") === camera && this.state("video") === "muted") camera.stop();
    }, LET_GO);
  }

  /** Release the devices and request them again. A muted microphone is muted again; a camera stays off. */
  async renew(): Promise<void> {
    const muted = (["audio"] as const).filter((kind) => this.state(kind) === "muted");
    const wanted = [...KINDS.filter((kind) => ["on", "unplugged"].includes(this.state(kind))), ...muted];
    for (const track of this.tracks) track.stop();
    const generation = ++this.#generation;
    await this.turnOn(wanted);
    if (generation !== this.#generation) return;
    for (const kind of muted) if (this.state(kind) === "on") await this.toggle(kind);
  }

  /** Release everything, also devices that are still requested. */
  stop(): void {
    this.#generation++;
    clearTimeout(this.#lettingGo);
    for (const track of this.tracks) track.stop();
    this.#tracks.clear();
    this.#set(KINDS, "off");
  }

  #set(kinds: readonly Kind[], state: DeviceState): void {
    for (const kind of kinds) {
      this.#states.set(kind, state);
      this.#read.delete(kind);
    }
    this.changed();
  }
}

function refusal(name: string): DeviceState {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    default:
      return "busy"; // NotReadableError, AbortError: it exists, but does not work
  }
}
