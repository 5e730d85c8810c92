/**
 * A session's tracks. What the session itself has asked of the devices it owns: a close stops it, a `full` reset stops it
 * and asks again; clones, and a permission that is granted too late, are stopped too. Tracks that the page brings are
 * sent, and stay the page's.
 */

import type { MediaState } from "../protocol/messages.js";
import { type Held, whereMade } from "./ledger.js";

export interface MediaHost {
  getUserMedia(constraints: MediaStreamConstraints): Promise<MediaStream>;
  /** The connections that take tracks, the one of the moment last. */
  connections(): RTCPeerConnection[];
  /** Tell the other side what happens to tracks. */
  sayMedia(media: Map<string, MediaState>): void;
}

/** One `addStream`. */
interface Sending {
  stream: MediaStream;
  /** What was asked of the devices; undefined for a stream of the page's. */
  constraints: MediaStreamConstraints | undefined;
  where: string;
}

export type Kind = "audio" | "video";

export class Media {
  readonly #host: MediaHost;
  #sendings = new Set<Sending>();
  /** Made by the session's own devices, clones among them. */
  #owned = new Map<MediaStreamTrack, string>();
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
    this.#sendings.add({ stream, constraints: given ? undefined : what, where });
    for (const pc of this.#host.connections()) this.#send(pc, stream);
    return stream;
  }

  /** Ask the devices. What comes after the session has ended, or was reset, is stopped. */
  async #capture(constraints: MediaStreamConstraints, where: string): Promise<MediaStream> {
    const generation = this.#generation;
    const stream = await this.#host.getUserMedia(constraints);
    if (this.#closed || generation !== this.#generation) {
      for (const track of stream.getTracks()) track.stop();
      throw new DOMException("the session was closed or reset while the devices were asked", "AbortError");
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

  #send(pc: RTCPeerConnection, stream: MediaStream): void {
    if (pc.signalingState === "closed") return;
    const sent = new Set(pc.getSenders().map((sender) => sender.track));
    for (const track of stream.getTracks()) {
      if (!sent.has(track) && track.readyState === "live") pc.addTrack(track, stream);
    }
  }

  /** See `Session.replace`. */
  async replace(old: MediaStreamTrack, now: MediaStreamTrack): Promise<void> {
    const sending = [...this.#sendings].find(({ stream }) => stream.getTracks().includes(old));
    if (!sending) throw new TypeError(`track ${old.label || old.id} is not sent by this session`);
    sending.stream.removeTrack(old);
    sending.stream.addTrack(now);
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
    const transceivers = this.#host.connections().at(-1)?.getTransceivers() ?? [];
    const mid = transceivers.find(({ sender }) => sender.track === track)?.mid;
    if (mid != null) this.#host.sayMedia(new Map([[mid, state]]));
  }

  /**
   * A `full` reset: the devices are let go, and asked again. One that is off stays off when the other side asked for the
   * reset. The tracks that replace the old ones are in the same streams.
   *
   * @param mine this side asked for it.
   */
  async renew(mine: boolean): Promise<void> {
    const generation = ++this.#generation;
    const renewed = [...this.#sendings].flatMap((sending) => {
      const { stream, constraints } = sending;
      if (!constraints) return [];
      const old = stream.getTracks().filter((track) => mine || (track.readyState === "live" && track.enabled));
      return old.length ? [{ sending, old, enabled: new Map(old.map(({ kind, enabled }) => [kind, enabled])) }] : [];
    });
    for (const { old } of renewed) for (const track of old) this.#stop(track);
    for (const { sending, old, enabled } of renewed) {
      const { stream, constraints, where } = sending;
      const only = (kind: Kind) => (enabled.has(kind) ? (constraints?.[kind] ?? false) : false);
      const fresh = await this.#capture({ audio: only("audio"), video: only("video") }, where);
      if (generation !== this.#generation) return;
      for (const track of old) stream.removeTrack(track);
      for (const track of fresh.getTracks()) {
        track.enabled = enabled.get(track.kind) ?? true;
        stream.addTrack(track);
      }
      for (const pc of this.#host.connections()) this.#send(pc, stream);
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

  /** What is still on. */
  held(): Held[] {
    return [...this.#owned].map(([{ kind, label }, where]) => ({
      kind: "track",
      what: `${kind} ${label}`.trim(),
      where,
      count: 1,
    }));
  }
}
