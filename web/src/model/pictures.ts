/**
 * The pictures and sounds of one peer. Its own picture is that of its camera; all others are shown beside it, large: its
 * screen, or a second camera.
 *
 * A page says of its camera and microphone whether they are on, and of its screen it says nothing. Programs may say
 * nothing of any: then the first picture is their own.
 */

import type { Kind } from "./devices.js";
import { Model } from "./model.js";

/** Milliseconds after which a picture is known to be one that nothing is said of. */
const SAID = 1500;

interface Seen {
  readonly stream: string;
  /** Whether it is on, if anything was said of it. */
  on: boolean | undefined;
  readonly since: number;
}

/** See the module. */
export class Pictures extends Model {
  /** The picture and the sound of the person. */
  readonly stream = new MediaStream();
  /** The other pictures. */
  shown: MediaStream[] = [];
  readonly #seen = new Map<MediaStreamTrack, Seen>();
  readonly #connected: () => ReadonlySet<MediaStreamTrack>;

  /** `connected` returns the tracks of the connection that is used. */
  constructor(connected: () => ReadonlySet<MediaStreamTrack>) {
    super();
    this.#connected = connected;
  }

  /** Take a new track. It replaces the one of its kind and stream from an earlier connection. */
  see(track: MediaStreamTrack, stream = ""): void {
    const here = this.#connected();
    let on: boolean | undefined;
    for (const [old, seen] of this.#seen) {
      if (old === track || old.kind !== track.kind || seen.stream !== stream) continue;
      if (here.has(old) && here.has(track)) continue;
      on = seen.on;
      this.#seen.delete(old);
    }
    this.#seen.set(track, { stream, on, since: performance.now() });
    track.addEventListener("ended", () => {
      this.#seen.delete(track);
      this.#sort();
    });
    this.#sort();
    if (track.kind === "video") setTimeout(() => this.#sort(), SAID);
  }

  /** Note what the peer says of a track. Return whether it is here. */
  say(track: MediaStreamTrack, on: boolean): boolean {
    const seen = this.#seen.get(track);
    if (!seen) return false;
    seen.on = on;
    this.#sort();
    return true;
  }

  /** Forget the tracks of earlier connections. */
  prune(): void {
    const here = this.#connected();
    for (const track of this.#seen.keys()) if (here.size && !here.has(track)) this.#seen.delete(track);
    this.#sort();
  }

  /**
   * Whether there is something to see or hear of the person. A track's own `muted` is no help: in Chromium it stays true
   * forever if the first packets come before their description is applied.
   */
  sends(kind: Kind): boolean {
    return this.stream.getTracks().some((track) => track.kind === kind && this.#seen.get(track)?.on !== false);
  }

  /** Whether the picture of the person may be cut at its edges: it is that of a camera. */
  get isCamera(): boolean {
    return this.stream.getTracks().some((track) => track.kind === "video" && this.#seen.get(track)?.on !== undefined);
  }

  #sort(): void {
    const all = [...this.#seen].filter(([track]) => track.readyState === "live");
    const videos = all.filter(([track]) => track.kind === "video");
    const says = all.some(([, { on }]) => on !== undefined);
    const now = performance.now();
    const [own] =
      videos.find(([, { on }]) => on !== undefined) ??
      videos.find(([, { since }]) => !says || now - since < SAID) ??
      [];
    const sounds = all.filter(([track]) => track.kind === "audio").map(([track]) => track);
    fill(this.stream, own ? [own, ...sounds] : sounds);
    const others = videos.filter(([track, { on }]) => track !== own && on !== false).map(([track]) => track);
    this.shown = others.map((track) => this.shown.find((one) => one.getTracks()[0] === track) ?? streamOf(track));
    this.changed();
  }
}

function streamOf(track: MediaStreamTrack): MediaStream {
  const stream = new MediaStream();
  stream.addTrack(track);
  return stream;
}

function fill(stream: MediaStream, tracks: readonly MediaStreamTrack[]): void {
  for (const old of stream.getTracks()) if (!tracks.includes(old)) stream.removeTrack(old);
  for (const track of tracks) if (!stream.getTracks().includes(track)) stream.addTrack(track);
}
