/** A tile: the picture of a person, or the first letters of their name. */

import { html, nothing, type PropertyValues } from "lit";
import type { Devices, Kind } from "../model/devices.js";
import type { Friend } from "../model/friend.js";
import { nameOf } from "../model/meeting.js";
import type { Model } from "../model/model.js";
import { short, standing } from "../model/words.js";
import { icon } from "./icons.js";
import { View } from "./view.js";

interface Picture {
  name: string;
  stream: MediaStream;
  sends: (kind: Kind) => boolean;
  /** The status in words, if there is trouble. */
  state: string;
  /** Whether the picture is old. */
  still: boolean;
  own: boolean;
}

/** Milliseconds without a new frame, after which a picture counts as still. */
const STILL = 1000;

abstract class Tile<M extends Model> extends View<M> {
  static override properties = { ...View.properties, silent: { state: true } };
  /** Whether the browser plays no sound before a click on this page. */
  declare silent: boolean;

  protected abstract picture(): Picture;

  protected override render() {
    const { name, sends, state, still, own } = this.picture();
    const label = own ? `${name} (you)` : name;
    return html`
      <figure class="tile ${own ? "own" : ""} ${still ? "still" : ""}" aria-label=${label}>
        <video autoplay playsinline .muted=${own} ?hidden=${!sends("video")} aria-label="Picture of ${label}"></video>
        ${sends("video") ? nothing : html`<span class="initials" aria-hidden="true">${initials(name)}</span>`}
        ${state ? html`<p class="over">${state}</p>` : nothing}
        ${this.silent ? html`<button class="over" @click=${() => this.#play()}>Let me hear ${name}</button>` : nothing}
        <figcaption>
          <span class="name">${own ? "You" : short(name)}</span>
          ${sends("audio") ? nothing : html`<span class="off">${icon("mic-off")}<span class="hidden">, silent</span></span>`}
          ${sends("video") ? nothing : html`<span class="hidden">, without a picture</span>`}
        </figcaption>
      </figure>
    `;
  }

  protected override updated(_: PropertyValues): void {
    const { stream } = this.picture();
    const video = this.querySelector("video")!;
    if (video.srcObject !== stream) video.srcObject = stream;
    if (stream.active && video.paused) void this.#play();
  }

  async #play(): Promise<void> {
    try {
      await this.querySelector("video")?.play();
      this.silent = false;
    } catch (error) {
      this.silent = (error as Error).name === "NotAllowedError";
    }
  }
}

export class FriendTile extends Tile<Friend> {
  static override properties = { ...Tile.properties, still: { state: true } };
  /** Whether no new frame has come for a while. A program may hang while its camera goes on. */
  declare still: boolean;
  #watching: (() => void) | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#watching?.();
  }

  protected override updated(changed: PropertyValues): void {
    super.updated(changed);
    if (this.model.state === "open") this.#watching?.();
    else this.#watching ??= this.#watch();
  }

  #watch(): () => void {
    const video = this.querySelector("video")!;
    let shown = performance.now();
    const next = () => {
      shown = performance.now();
      handle = video.requestVideoFrameCallback(next);
    };
    let handle = video.requestVideoFrameCallback(next);
    const timer = setInterval(() => {
      this.still = performance.now() - shown >= STILL;
    }, STILL / 2);
    return () => {
      clearInterval(timer);
      video.cancelVideoFrameCallback(handle);
      this.#watching = undefined;
      this.still = false;
    };
  }

  protected picture(): Picture {
    const { model } = this;
    const name = nameOf(model);
    const { text } = standing(model);
    return {
      name,
      stream: model.stream,
      sends: (kind) => model.sends(kind),
      state: model.state === "open" ? "" : text,
      still: this.still ?? false,
      own: false,
    };
  }
}

export class OwnTile extends Tile<Devices> {
  static override properties = { ...Tile.properties, name: { attribute: false } };
  declare name: string;
  #stream = new MediaStream();

  protected picture(): Picture {
    const tracks = this.model.tracks.filter(({ kind }) => kind === "video");
    const shown = this.#stream.getTracks();
    if (shown.length !== tracks.length || shown[0] !== tracks[0]) this.#stream = new MediaStream(tracks);
    const sends = (kind: Kind) => this.model.sends(kind);
    return { name: this.name, stream: this.#stream, sends, state: "", still: false, own: true };
  }
}

/** Return the initials: "AL" for "Ada Lovelace". */
function initials(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  return words
    .slice(0, 2)
    .map((word) => [...word][0]!.toUpperCase())
    .join("");
}

customElements.define("friend-tile", FriendTile);
customElements.define("own-tile", OwnTile);
