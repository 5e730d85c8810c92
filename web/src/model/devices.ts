/** The camera and microphone of this person. One capture serves everybody in the room. */

import { words } from "../words/language.js";
import { known, remember } from "./memory.js";
import { Model } from "./model.js";

export type Kind = "audio" | "video";
export const KINDS: readonly Kind[] = ["audio", "video"];

/**
 * `off`: not requested. `asking`: requested. `on`. `muted`: turned off by this person, sends nothing. The others say
 * why there is no device: `denied`, `missing`, `busy` (another program has it), `unplugged`, `blocked` (the browser
 * gives no device to this page).
 */
export type DeviceState = "off" | "asking" | "on" | "muted" | "denied" | "missing" | "busy" | "unplugged" | "blocked";

/** `kept`: another device was chosen and cannot be had; the one before goes on. The others are states. */
export type DeviceTrouble = DeviceState | "kept";

/** The devices that can be chosen. A speaker only where the browser can play on another than its own choice. */
export type Choice = Kind | "speaker";
export const CHOICES: readonly Choice[] = ["audio", "video", "speaker"];
const INFO = { audio: "audioinput", video: "videoinput", speaker: "audiooutput" } as const;

/** A device that can be chosen. */
export interface Listed {
  id: string;
  label: string;
}

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
  /** Kinds that the browser is asked for. A device that is live meanwhile goes on, and can be muted. */
  readonly #asked = new Set<Kind>();
  /** Kinds that are asked for and come muted. */
  readonly #quiet = new Set<Kind>();
  /** Kinds of which another device was chosen in vain. */
  readonly #kept = new Set<Kind>();
  /** Kinds whose trouble this person has read. */
  readonly #read = new Set<Kind>();
  /** The ids of the chosen devices; empty for the browser's choice. */
  readonly #chosen = new Map<Choice, string>(CHOICES.map((kind) => [kind, known(`device-${kind}`)]));
  /** The last list of the browser. */
  #listed: MediaDeviceInfo[] | undefined;
  #looks = 0;
  readonly #over = new AbortController();
  #lettingGo: ReturnType<typeof setTimeout> | undefined;
  /** Counts changes, to notice an answer that comes too late. */
  #generation = 0;

  constructor(media: MediaDevices | undefined = globalThis.navigator?.mediaDevices) {
    super();
    this.#media = media;
    // A headset comes or goes.
    media?.addEventListener?.("devicechange", () => void this.look(), { signal: this.#over.signal });
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
  get troubles(): ReadonlyMap<Kind, DeviceTrouble> {
    const unread = KINDS.filter((kind) => !this.#read.has(kind));
    return new Map(unread.map((kind) => [kind, this.#kept.has(kind) ? "kept" : this.state(kind)]));
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
    if (!this.#media?.getUserMedia) return this.#set(kinds, "blocked");
    this.#set(
      kinds.filter((kind) => !this.#isLive(kind)),
      "asking",
    );
    const wanted = kinds.filter((kind) => !this.#asked.has(kind));
    if (!wanted.length) return;
    for (const kind of wanted) this.#asked.add(kind);
    await this.#ask(wanted, this.#generation);
  }

  async #ask(kinds: readonly Kind[], generation: number): Promise<void> {
    const constraints = Object.fromEntries(kinds.map((kind) => [kind, this.#constraints(kind)]));
    let stream: MediaStream;
    try {
      stream = await this.#media!.getUserMedia(constraints);
    } catch (error) {
      if (generation !== this.#generation) return;
      const { name } = error as DOMException;
      // One of two may exist; after a refusal, do not ask again.
      if (kinds.length > 1 && name !== "NotAllowedError") {
        for (const kind of kinds) await this.#ask([kind], generation);
      } else {
        for (const kind of kinds) if (this.#asked.delete(kind)) this.#failed(kind, refusal(name));
      }
      return;
    }
    for (const track of stream.getTracks()) {
      // Meanwhile all may be over, or this kind turned off.
      const wanted = generation === this.#generation && this.#asked.delete(track.kind as Kind);
      if (wanted) this.#have(track);
      else track.stop();
    }
    void this.look(); // now the devices have names
  }

  #failed(kind: Kind, state: DeviceState): void {
    this.#quiet.delete(kind);
    const live = this.#isLive(kind);
    this.#set([kind], live ? this.state(kind) : state);
    if (live) this.#kept.add(kind);
  }

  #isLive(kind: Kind): boolean {
    return this.track(kind)?.readyState === "live";
  }

  #constraints(kind: Kind): MediaTrackConstraints {
    const id = this.#chosen.get(kind);
    if (!id) return CONSTRAINTS[kind];
    const deviceId = { ideal: id }; // it may be gone: any other is better than no device
    if (kind === "audio") return { ...CONSTRAINTS.audio, deviceId };
    const { facingMode: _, ...video } = CONSTRAINTS.video;
    return { ...video, deviceId };
  }

  /** Ask the browser which devices there are. */
  async look(): Promise<void> {
    const look = ++this.#looks;
    const listed = await this.#media?.enumerateDevices?.().catch(() => undefined);
    if (!listed || look !== this.#looks) return; // a later look knows more
    this.#listed = listed;
    this.changed();
  }

  /** Return the devices that can be chosen, as of the last look. They have names only while this page may use one. */
  list(kind: Choice): Listed[] {
    const all = (this.#listed ?? []).filter(({ kind: of, deviceId }) => of === INFO[kind] && deviceId);
    return all.map(({ deviceId, label }, at) => ({
      id: deviceId,
      label: label || words().devices.numbered(kind, at + 1),
    }));
  }

  /** Whether there is no such device, as of the last look. A browser that lists nothing yet is not believed. */
  lacks(kind: Kind): boolean {
    return !!this.#listed && !this.#listed.some(({ kind: of }) => of === INFO[kind]);
  }

  /** Whether the browser gives no devices to this page, as it has no TLS. */
  get isBlocked(): boolean {
    return !this.#media?.getUserMedia;
  }

  /** Return the id of the chosen device, or of the one that is used; empty: the browser's choice. */
  chosen(kind: Choice): string {
    const used = kind === "speaker" ? undefined : this.track(kind)?.getSettings?.().deviceId;
    return this.#chosen.get(kind) || used || "";
  }

  /** Use another device from now on, and remember it. If it cannot be had, the one before stays chosen. */
  async choose(kind: Choice, id: string): Promise<void> {
    const before = this.#chosen.get(kind) ?? "";
    this.#choose(kind, id);
    if (kind === "speaker" || !this.#isLive(kind)) return;
    const old = this.track(kind);
    await this.turnOn([kind]);
    if (this.track(kind) === old && this.#isLive(kind)) this.#choose(kind, before);
  }

  #choose(kind: Choice, id: string): void {
    this.#chosen.set(kind, id);
    remember(`device-${kind}`, id);
    this.changed();
  }

  #have(track: MediaStreamTrack): void {
    const kind = track.kind as Kind;
    const old = this.#tracks.get(kind);
    track.enabled = !this.#quiet.delete(kind) && this.state(kind) !== "muted";
    old?.stop();
    this.#tracks.set(kind, track);
    // The browser fires this when a device was unplugged or its permission revoked, not when a track is stopped.
    track.addEventListener("ended", () => {
      if (this.#tracks.get(kind) !== track) return;
      if (this.#asked.has(kind) && !track.enabled) this.#quiet.add(kind);
      this.#set([kind], "unplugged");
      this.dispatchEvent(new MutedEvent(kind));
    });
    this.#set([kind], track.enabled ? "on" : "muted");
    if (kind === "video") this.#letGoSoon(track);
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
    const wanted = KINDS.filter((kind) => ["asking", "on", "unplugged"].includes(this.state(kind)));
    if (this.state("audio") === "muted") {
      this.#quiet.add("audio");
      wanted.push("audio");
    }
    for (const track of this.tracks) track.stop();
    this.#generation++;
    this.#asked.clear();
    await this.turnOn(wanted);
  }

  /** Release one kind of device: it is not wanted. */
  turnOff(kind: Kind): void {
    this.#tracks.get(kind)?.stop();
    this.#tracks.delete(kind);
    this.#asked.delete(kind);
    this.#quiet.delete(kind);
    this.#set([kind], "off");
  }

  /** Release everything, and follow the browser's list no longer. */
  end(): void {
    this.#over.abort();
    this.stop();
  }

  /** Release everything, also devices that are still requested. */
  stop(): void {
    this.#generation++;
    clearTimeout(this.#lettingGo);
    for (const track of this.tracks) track.stop();
    this.#tracks.clear();
    this.#asked.clear();
    this.#quiet.clear();
    this.#set(KINDS, "off");
  }

  #set(kinds: readonly Kind[], state: DeviceState): void {
    for (const kind of kinds) {
      this.#states.set(kind, state);
      this.#kept.delete(kind);
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
