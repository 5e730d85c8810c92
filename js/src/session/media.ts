/**
 * The tracks of a session. The session owns the tracks of devices that it requested itself. A close stops them; a
 * `full` reset stops them and requests the devices again. Clones, and devices that arrive too late, are stopped too.
 * Tracks that the page brings are sent, and still belong to the page.
 */

import type { MediaState } from "../protocol/messages.js";
import { type Held, held, whereMade } from "./ledger.js";

export interface MediaHost {
  getUserMedia(constraints: MediaStreamConstraints): Promise<MediaStream>;
  /** The connections that take tracks, the one of the moment last. */
  connections(): RTCPeerConnection[];
  /** The one that carries the session at the moment. */
  active(): RTCPeerConnection | undefined;
  /** Tell the other side what happens to tracks. */
  sayMedia(media: Map<string, MediaState>): void;
}

/** One `addStream`. */
interface Sending {
  stream: MediaStream;
  /** The constraints of the request; undefined for a stream of the page. */
  constraints: MediaStreamConstraints | undefined;
  where: string;
}

/** A `full` reset asked for devices of the session's again, and did not get these. The next one asks for them, too. */
export interface DevicesEvent {
  /** The ended tracks; they are still in their streams. */
  missing: MediaStreamTrack[];
  /** The error name of `getUserMedia`: `NotAllowedError`, `NotFoundError`, … */
  error: unknown;
}

export type Kind = "audio" | "video";

export class Media {
  readonly #host: MediaHost;
  #sendings = new Set<Sending>();
  /** Made by the session's own devices, clones among them. */
  #owned = new Map<MediaStreamTrack, string>();
  /** Those of the page's that were put in the place of one: a reset leaves them alone. */
  #brought = new WeakSet<MediaStreamTrack>();
  /** Stopped by a reset, and not given again yet: the next reset asks for them too. */
  #asked = new WeakSet<MediaStreamTrack>();
  /** The state of a track for the other side. */
  #states = new WeakMap<MediaStreamTrack, MediaState>();
  /** The states that were sent over this connection, by mid. */
  #told = new Map<string, MediaState>();
  #toldOver: RTCPeerConnection | undefined;
  #closed = false;
  /** Counts what makes an answer of the devices too late. */
  #generation = 0;

  constructor(host: MediaHost) {
    this.#host = host;
  }

  /** See `Session.addStream`. */
  async add(what: MediaStream | MediaStreamConstraints): Promise<MediaStream> {
    const where = whereMade();
    const given = what instanceof MediaStream;
    const stream = given ? what : await this.#capture(what, where);
    // A stream that is sent already may have new tracks.
    if (![...this.#sendings].some((sending) => sending.stream === stream)) {
      this.#sendings.add({ stream, constraints: given ? undefined : what, where });
    }
    for (const pc of this.#host.connections()) this.#send(pc, stream);
    return stream;
  }

  /** Request devices. A device that arrives after the end or a reset of the session is stopped. */
  async #capture(constraints: MediaStreamConstraints, where: string): Promise<MediaStream> {
    const generation = this.#generation;
    const stream = await this.#host.getUserMedia(constraints);
    if (this.#closed || generation !== this.#generation) {
      for (const track of stream.getTracks()) track.stop();
      throw new DOMException("closed or reset while the devices were asked", "AbortError");
    }
    for (const track of stream.getTracks()) this.#own(track, where);
    const clone = stream.clone.bind(stream);
    stream.clone = () => {
      const copy = clone();
      for (const track of copy.getTracks()) this.#own(track, where);
      return copy;
    };
    return stream;
  }

  #own(track: MediaStreamTrack, where: string): void {
    this.#owned.set(track, where);
    const clone = track.clone.bind(track);
    track.clone = () => {
      const copy = clone();
      this.#own(copy, where);
      return copy;
    };
    track.addEventListener("ended", () => this.#ended(track));
  }

  /** A device was unplugged, or its permission taken away: the browser says so; a track that is stopped does not. */
  #ended(track: MediaStreamTrack): void {
    if (this.#owned.delete(track)) this.#say(track, { ended: true, reason: "the device is gone" });
  }

  /** A connection is there: what is sent, is sent over it too. */
  attach(pc: RTCPeerConnection): void {
    for (const { stream } of this.#sendings) this.#send(pc, stream);
  }

  /** Send what is not sent yet, in the place of an old track if there is one: the other side gets no dead ones. */
  #send(pc: RTCPeerConnection, stream: MediaStream, old: MediaStreamTrack[] = []): void {
    if (pc.signalingState === "closed") return;
    const senders = pc.getSenders();
    for (const track of stream.getTracks()) {
      if (track.readyState !== "live" || senders.some((sender) => sender.track === track)) continue;
      const place = senders.find((sender) => sender.track?.kind === track.kind && old.includes(sender.track));
      if (!place) pc.addTrack(track, stream);
      // What refuses it has been closed meanwhile.
      else
        place.replaceTrack(track).then(
          () => this.sayAgain(),
          () => undefined,
        );
    }
  }

  /** See `Session.replace`. */
  async replace(old: MediaStreamTrack, now: MediaStreamTrack): Promise<void> {
    if (old.kind !== now.kind) throw new TypeError(`a track of ${now.kind} cannot replace one of ${old.kind}`);
    const streamsOf = (track: MediaStreamTrack) =>
      [...this.#sendings].map(({ stream }) => stream).filter((stream) => stream.getTracks().includes(track));
    if (!streamsOf(old).length && !streamsOf(now).length) {
      throw new TypeError(`track ${old.label || old.id} is not sent by this session`);
    }
    if (old === now) return;
    if (!this.#owned.has(now)) this.#brought.add(now);
    for (const stream of streamsOf(old)) {
      stream.removeTrack(old);
      stream.addTrack(now);
    }
    if (this.#states.get(old)?.enabled === false) this.mute(now, true);
    const senders = this.#host.connections().flatMap((pc) => pc.getSenders());
    await Promise.all(senders.filter(({ track }) => track === old).map((sender) => sender.replaceTrack(now)));
    if (this.#owned.has(old)) this.#stop(old);
  }

  /** See `Session.mute`. */
  mute(what: Kind | MediaStreamTrack, muted: boolean): void {
    for (const { stream } of this.#sendings) {
      for (const track of stream.getTracks()) {
        if (track !== what && track.kind !== what) continue;
        track.enabled = !muted;
        this.#say(track, { enabled: !muted });
      }
    }
  }

  #say(track: MediaStreamTrack, state: MediaState): void {
    this.#states.set(track, state);
    this.sayAgain();
  }

  /** Say what has not been said: a track has no mid before it is negotiated, and another one after a reset. */
  sayAgain(): void {
    const pc = this.#host.active();
    if (!pc) return;
    if (pc !== this.#toldOver) this.#told.clear();
    this.#toldOver = pc;
    const news = new Map<string, MediaState>();
    for (const { mid, sender } of pc.getTransceivers()) {
      const state = sender.track && this.#states.get(sender.track);
      if (mid === null || !state || this.#told.get(mid) === state) continue;
      this.#told.set(mid, state);
      news.set(mid, state);
    }
    if (news.size) this.#host.sayMedia(news);
  }

  /**
   * A `full` reset: the devices are let go, and asked again. One that is off stays off when the other side asked for the
   * reset. The tracks that replace the old ones are in the same streams.
   *
   * @param mine this side asked for it.
   * @returns the old tracks of devices that were not given again, and why.
   */
  async renew(mine: boolean): Promise<DevicesEvent> {
    const generation = ++this.#generation;
    const isLive = (track: MediaStreamTrack) => track.readyState === "live" || this.#asked.has(track);
    const renewed = [...this.#sendings].flatMap((sending) => {
      const old = sending.stream
        .getTracks()
        .filter((track) => !this.#brought.has(track) && (mine || (isLive(track) && track.enabled)));
      return sending.constraints && old.length ? [{ ...sending, constraints: sending.constraints, old }] : [];
    });
    for (const track of renewed.flatMap(({ old }) => old)) {
      if (isLive(track)) this.#asked.add(track);
      this.#stop(track);
    }
    const missing: MediaStreamTrack[] = [];
    const refused: unknown[] = [];
    for (const { stream, constraints: asked, where, old } of renewed) {
      const only = (kind: Kind) => old.some((track) => track.kind === kind) && (asked[kind] ?? false);
      const constraints = { audio: only("audio"), video: only("video") };
      const [fresh, errors] = await this.#again(constraints, where, generation);
      if (generation !== this.#generation) return { missing: [], error: undefined };
      refused.push(...errors);
      for (const track of old) {
        this.#asked.delete(track);
        const now = fresh.find(({ kind }) => kind === track.kind);
        if (!now) {
          missing.push(track);
          continue;
        }
        stream.removeTrack(track);
        if (!track.enabled) this.#say(now, { enabled: (now.enabled = false) });
      }
      for (const track of fresh) stream.addTrack(track);
      for (const pc of this.#host.connections()) this.#send(pc, stream, old);
    }
    return { missing, error: refused[0] };
  }

  /** Ask again: for each alone when not all are given, as one may be gone and the other there. */
  async #again(
    { audio, video }: { audio: boolean | MediaTrackConstraints; video: boolean | MediaTrackConstraints },
    where: string,
    generation: number,
  ): Promise<[fresh: MediaStreamTrack[], errors: unknown[]]> {
    try {
      return [(await this.#capture({ audio, video }, where)).getTracks(), []];
    } catch (error) {
      const over = generation !== this.#generation || (error as Error).name === "NotAllowedError";
      if (over || !audio || !video) return [[], [error]];
      const sound = await this.#again({ audio, video: false }, where, generation);
      const sight = await this.#again({ audio: false, video }, where, generation);
      return [sound[0].concat(sight[0]), sound[1].concat(sight[1])];
    }
  }

  /** Whether a device of the session's was lost: only asking again brings it back. */
  get broken(): boolean {
    return [...this.#sendings].some(
      ({ stream, constraints }) => constraints && stream.getTracks().some((track) => track.readyState === "ended"),
    );
  }

  /** The session has ended: every device is released, also one whose answer is still to come. */
  close(): void {
    this.#closed = true;
    this.#generation++;
    for (const track of [...this.#owned.keys()]) this.#stop(track);
    this.#sendings.clear();
  }

  #stop(track: MediaStreamTrack): void {
    this.#owned.delete(track);
    track.stop();
  }

  /** Return the devices that are still on. */
  held(): Held[] {
    return [...this.#owned].map(([{ kind, label }, where]) => held("track", `${kind} ${label}`.trim(), where));
  }
}
