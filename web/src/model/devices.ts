/** This person's camera and microphone. One capture serves everybody in the room. */

import { Model } from "./model.js";

export type Kind = "audio" | "video";
export const KINDS: readonly Kind[] = ["audio", "video"];

/**
 * `off`: not asked for; `asking`; `on`; `muted`: turned off by this person, and sends nothing; the rest is why there is
 * none: `denied`, `missing`, `busy` (another program has it), `unplugged`, `blocked` (the browser gives none to this
 * page).
 */
export type DeviceState = "off" | "asking" | "on" | "muted" | "denied" | "missing" | "busy" | "unplugged" | "blocked";

const CONSTRAINTS = {
  audio: { echoCancellation: true, noiseSuppression: true },
  video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" },
};

/**
 * Milliseconds after which a camera that was turned off is let go, so that its light goes out: who turns it on again at
 * once does not wait for it. A microphone that is turned off is kept: the first word after it is turned on again would be
 * lost while a headset starts, and some change how all else sounds when they are let go.
 */
export const LET_GO = 1000;

/** Told by the event `track`: a device was turned on; `old` is what its track replaces. */
export class TrackEvent extends Event {
  constructor(
    readonly track: MediaStreamTrack,
    readonly old: MediaStreamTrack | undefined,
  ) {
    super("track");
  }
}

/** Told by the event `muted`: what is sent of this kind has changed. */
export class MutedEvent extends Event {
  constructor(readonly kind: Kind) {
    super("muted");
  }
}

/** See the module. */
export class Devices extends Model {
  readonly #media: MediaDevices | undefined;
  readonly #states = new Map<Kind, DeviceState>();
  /** The last of each kind; also one that has ended, so that the next one takes its place. */
  readonly #tracks = new Map<Kind, MediaStreamTrack>();
  /** Kinds whose trouble this person has read. */
  readonly #read = new Set<Kind>();
  #lettingGo: ReturnType<typeof setTimeout> | undefined;
  /** Counts what makes an answer too late. */
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

  /** Those that are there. */
  get tracks(): MediaStreamTrack[] {
    return KINDS.flatMap((kind) => this.#tracks.get(kind) ?? []).filter(({ readyState }) => readyState === "live");
  }

  /** What is to be read about them. */
  get troubles(): ReadonlyMap<Kind, DeviceState> {
    return new Map(KINDS.filter((kind) => !this.#read.has(kind)).map((kind) => [kind, this.state(kind)]));
  }

  /** It was read. What happens next is told again. */
  dismiss(): void {
    for (const kind of KINDS) this.#read.add(kind);
    this.changed();
  }

  /** Whether the others hear, or see, something. */
  sends(kind: Kind): boolean {
    return this.state(kind) === "on";
  }

  /** Ask for devices. What can not be had is in its state; nothing is thrown. */
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
      // One of two may be there; a person who said no is not asked again.
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
    // The browser says it when a device was unplugged or its permission taken away, not when a track is stopped.
    track.addEventListener("ended", () => {
      if (this.#tracks.get(kind) !== track) return;
      this.#set([kind], "unplugged");
      this.dispatchEvent(new MutedEvent(kind));
    });
    this.#set([kind], "on");
    this.dispatchEvent(new TrackEvent(track, old));
    this.dispatchEvent(new MutedEvent(kind));
  }

  /** On, muted, or asked for again. */
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

  /** Let go of what is there, and ask for it anew; a microphone that was muted is muted again, a camera stays off. */
  async renew(): Promise<void> {
    const muted = (["audio"] as const).filter((kind) => this.state(kind) === "muted");
    const wanted = [...KINDS.filter((kind) => ["on", "unplugged"].includes(this.state(kind))), ...muted];
    for (const track of this.tracks) track.stop();
    const generation = ++this.#generation;
    await this.turnOn(wanted);
    if (generation !== this.#generation) return;
    for (const kind of muted) if (this.state(kind) === "on") await this.toggle(kind);
  }

  /** Let go of everything, also of what is still being asked for. */
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
      return "busy"; // NotReadableError, AbortError: it is there, and does not work
  }
}
