/** A tile: the picture of a person, or the first letters of their name. */

import { html, nothing, type PropertyValues } from "lit";
import type { Devices, Kind } from "../model/devices.js";
import type { Friend } from "../model/friend.js";
import type { Model } from "../model/model.js";
import { connectionTrouble, nameOf, short, standing } from "../model/words.js";
import { words } from "../words/language.js";
import { icon } from "./icons.js";
import { View } from "./view.js";

interface Picture {
  name: string;
  stream: MediaStream;
  sends: (kind: Kind) => boolean;
  /** The status in words, if there is trouble. */
  state: string;
  /** The trouble of the connection, if a person can notice it. */
  quality?: string;
  /** Whether the picture is old. */
  still: boolean;
  own: boolean;
  /** Whether all of the picture is shown: it may be no camera. */
  whole?: boolean;
  /** The id of the speaker; empty: the browser's choice. */
  speaker?: string;
}

/** Milliseconds without a new frame, after which a picture counts as still. */
const STILL = 1000;

abstract class Tile<M extends Model> extends View<M> {
  static override properties = { ...View.properties, silent: { state: true } };
  /** Whether the browser plays no sound before a click on this page. */
  declare silent: boolean;
  #speaker = "";

  protected abstract picture(): Picture;

  protected override render() {
    const { name, sends, state, still, own, whole, quality } = this.picture();
    const { people } = words();
    const label = own ? people.own(name) : name;
    return html`
      <figure class="tile ${own ? "own" : ""} ${still ? "still" : ""} ${whole ? "whole" : ""}" aria-label=${label}>
        <video autoplay playsinline .muted=${own} ?hidden=${!sends("video")} aria-label=${people.picture(label)}></video>
        ${sends("video") ? nothing : html`<span class="initials" aria-hidden="true">${initials(name)}</span>`}
        ${state ? html`<p class="over">${state}</p>` : nothing}
        ${this.silent ? html`<button class="over" @click=${() => this.#play()}>${people.hear(name)}</button>` : nothing}
        ${quality && !state ? html`<p class="quality">${quality}</p>` : nothing}
        ${this.more()}
        <figcaption>
          <span class="name">${own ? people.you : short(name)}</span>
          ${sends("audio") ? nothing : html`<span class="off">${icon("mic-off")}<span class="hidden">${people.silent}</span></span>`}
          ${sends("video") ? nothing : html`<span class="hidden">${people.noPicture}</span>`}
        </figcaption>
      </figure>
    `;
  }

  /** Return more parts of the tile. */
  protected more(): unknown {
    return nothing;
  }

  protected override updated(_: PropertyValues): void {
    const { stream, speaker = "" } = this.picture();
    const video = this.querySelector("video")!;
    if (video.srcObject !== stream) video.srcObject = stream;
    if (stream.active && video.paused) void this.#play();
    if (speaker !== this.#speaker) {
      this.#speaker = speaker;
      void video.setSinkId?.(speaker).catch(() => undefined); // it is gone: the browser's choice stays
    }
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
      quality: connectionTrouble(model.quality),
      whole: !model.pictures.isCamera,
      speaker: model.devices.chosen("speaker"),
      still: this.still ?? false,
      own: false,
    };
  }
}

export class OwnTile extends Tile<Devices> {
  static override properties = { ...Tile.properties, name: { attribute: false } };
  declare name: string;
  #stream = new MediaStream();

  constructor() {
    super();
    this.addEventListener("pointerdown", (event) => this.#drag(event));
  }

  /** The button that moves it: by the arrow keys, or by a press to the next place. */
  protected override more() {
    const { people } = words();
    return html`
      <button class="move small square" title=${people.moveHint} @click=${() => this.#move("next")} @keydown=${this.#key}>
        ${icon("move")}<span class="hidden">${people.move}</span>
      </button>
    `;
  }

  #move(to: Move): void {
    this.dispatchEvent(new CustomEvent<Move>("move", { detail: to }));
  }

  #key(event: KeyboardEvent): void {
    const [, direction] = /^Arrow(Left|Right|Up|Down)$/.exec(event.key) ?? [];
    if (!direction) return;
    event.preventDefault();
    this.#move(direction.toLowerCase() as Move);
  }

  /** Follow a finger or a mouse, and stay near where it is let go. */
  #drag(down: PointerEvent): void {
    if ((down.target as Element).closest("button") || down.button) return;
    const over = new AbortController();
    const { signal } = over;
    const end = () => {
      over.abort();
      this.classList.remove("dragged");
      this.style.translate = "";
    };
    this.setPointerCapture(down.pointerId);
    this.addEventListener(
      "pointermove",
      ({ clientX, clientY }) => {
        this.classList.add("dragged");
        this.style.translate = `${clientX - down.clientX}px ${clientY - down.clientY}px`;
      },
      { signal },
    );
    this.addEventListener("pointercancel", end, { signal });
    this.addEventListener(
      "pointerup",
      ({ clientX, clientY }) => {
        const far = Math.hypot(clientX - down.clientX, clientY - down.clientY) > 20;
        end();
        if (far) this.#move({ x: clientX, y: clientY });
      },
      { signal },
    );
  }

  protected picture(): Picture {
    const tracks = this.model.tracks.filter(({ kind }) => kind === "video");
    const shown = this.#stream.getTracks();
    if (shown.length !== tracks.length || shown[0] !== tracks[0]) this.#stream = new MediaStream(tracks);
    const sends = (kind: Kind) => this.model.sends(kind);
    return { name: this.name, stream: this.#stream, sends, state: "", still: false, own: true };
  }
}

/** Where the person's own picture goes: to the side, to the next place, or to a point of the window. */
export type Move = "left" | "right" | "up" | "down" | "next" | { x: number; y: number };

/** A picture that a peer shows beside their own: the screen, or a second camera. */
export class ShownTile extends Tile<Friend> {
  static override properties = { ...Tile.properties, stream: { attribute: false } };
  declare stream: MediaStream;

  protected picture(): Picture {
    const name = words().people.shows(short(nameOf(this.model)));
    const sends = () => true;
    return { name, stream: this.stream, sends, state: "", still: false, own: false, whole: true };
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
customElements.define("shown-tile", ShownTile);
