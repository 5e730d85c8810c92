/** The screen in the room. */

import { html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { arrange, CORNERS, type Corner, cornerBeside, placeBeside } from "../model/layout.js";
import type { Meeting } from "../model/meeting.js";
import { known, remember } from "../model/memory.js";
import { type Shortcut, shortcutOf } from "../model/shortcuts.js";
import { nameOf, short } from "../model/words.js";
import { words } from "../words/language.js";
import type { ChatPanel } from "./chat.js";
import "./chat.js";
import type { CallControls } from "./controls.js";
import "./controls.js";
import { DropTarget } from "./drop.js";
import { icon } from "./icons.js";
import "./invite.js";
import type { Move } from "./tile.js";
import "./tile.js";
import { View } from "./view.js";

/** Milliseconds between two looks at the connections. */
const LOOK = 2500;

export class CallPage extends View<Meeting> {
  static override properties = {
    ...View.properties,
    talking: { state: true },
    corner: { state: true },
    place: { state: true },
    moved: { state: true },
  };
  /** Whether a low window shows the conversation, not the people. */
  declare talking: boolean;
  /** The corner of one's own picture, while there is one other person. */
  declare corner: Corner;
  /** The place of one's own picture among several. */
  declare place: number;
  /** Where the person has moved their own picture to, to be read out. */
  declare moved: string;
  readonly #drop = new DropTarget(this, async (dropping) => {
    this.talking = true;
    const chat = this.querySelector<ChatPanel>("chat-panel")!;
    const files = await dropping.catch(() => chat.lacks());
    if (files) chat.take(files);
  });
  #columns = 1;
  #inside = new AbortController();
  #looking: ReturnType<typeof setInterval> | undefined;
  readonly #sizes = new ResizeObserver(() => this.#arrange());

  constructor() {
    super();
    this.talking = false;
    this.corner = CORNERS.find((corner) => corner === known("corner")) ?? CORNERS[0];
    this.place = Number.POSITIVE_INFINITY;
    this.moved = "";
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#looking = setInterval(() => this.model.measure(), LOOK);
    this.#inside = new AbortController();
    const { signal } = this.#inside;
    addEventListener("keydown", (event) => this.#key(event), { signal });
    if (known("notifications") === "on") {
      void import("../model/notifications.js").then(({ notifications }) => notifications.follow(this.model, signal));
    }
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearInterval(this.#looking);
    this.#inside.abort();
    this.#sizes.disconnect();
  }

  override firstUpdated(): void {
    void this.focusOn("h1");
    this.#sizes.observe(this.querySelector(".stage")!);
  }

  protected override updated(): void {
    this.#arrange();
  }

  // --- the keyboard ---------------------------------------------------------------------------------------------

  #key(event: KeyboardEvent): void {
    const shortcut = event.defaultPrevented ? undefined : shortcutOf(event);
    if (!shortcut || this.model.phase !== "inside") return;
    event.preventDefault();
    this.#do(shortcut);
  }

  #do(shortcut: Shortcut): void {
    switch (shortcut) {
      case "chat":
        this.talking = true;
        void this.focusOn("#words");
        break;
      case "floating":
        void this.float();
        break;
      case "list":
        void this.querySelector<CallControls>("call-controls")!.more("#more-keys");
        break;
      default:
        this.querySelector<HTMLButtonElement>(`#${shortcut}`)?.click();
    }
  }

  /** Show a picture above all windows: a screen first, otherwise a person. A second time ends it. */
  async float(): Promise<void> {
    if (document.pictureInPictureElement) return document.exitPictureInPicture();
    const all = [...this.querySelectorAll<HTMLVideoElement>(":is(shown-tile, friend-tile) video:not([hidden])")];
    const video = all.find(({ readyState }) => readyState > 0);
    await video?.requestPictureInPicture?.().catch(() => undefined); // the browser does not allow it now
  }

  #switch(): void {
    this.talking = !this.talking;
    this.model.changed(); // the person may see new entries now
  }

  // --- places ---------------------------------------------------------------------------------------------------

  /** Whether one's own picture is in a corner, above the only other one. */
  get #inCorner(): boolean {
    const { shown } = this.model;
    return shown.length === 1 && !this.#pictures.length;
  }

  get #pictures() {
    return this.model.shown.flatMap((friend) => friend.pictures.shown.map((stream) => ({ friend, stream })));
  }

  /** Give the pictures their places. The page’s policy allows styles of elements only by the script. */
  #arrange(): void {
    const stage = this.querySelector<HTMLElement>(".stage")!;
    const tiles = this.querySelector<HTMLElement>(".tiles")!;
    const { clientWidth, clientHeight } = stage;
    stage.dataset.shape = clientWidth > clientHeight * 1.2 ? "wide" : "tall";
    const friends = [...tiles.querySelectorAll<HTMLElement>("friend-tile")];
    const count = friends.length + Number(!this.#inCorner);
    const own = Math.min(this.place, count - 1);
    const { columns, rows } = arrange(count, tiles.clientWidth, tiles.clientHeight);
    this.#columns = columns;
    tiles.style.setProperty("--columns", `${columns}`);
    tiles.style.setProperty("--rows", `${rows}`);
    for (const [at, tile] of friends.entries()) tile.style.order = `${at < own ? at : at + 1}`;
    this.querySelector<HTMLElement>("own-tile")!.style.order = `${own}`;
  }

  #move({ detail: to }: CustomEvent<Move>): void {
    const { people } = words();
    if (this.#inCorner) {
      if (typeof to === "object") this.corner = this.#cornerAt(to);
      else if (to === "next") this.corner = CORNERS[(CORNERS.indexOf(this.corner) + 1) % CORNERS.length]!;
      else this.corner = cornerBeside(this.corner, to);
      remember("corner", this.corner);
      this.moved = people.places[this.corner];
      return;
    }
    const count = this.querySelectorAll("friend-tile").length + 1;
    const place = Math.min(this.place, count - 1);
    if (typeof to === "object") this.place = this.#placeAt(to) ?? place;
    else if (to === "next") this.place = (place + 1) % count;
    else this.place = placeBeside(place, to, count, this.#columns);
    this.moved = people.place(this.place + 1, count);
  }

  #cornerAt({ x, y }: { x: number; y: number }): Corner {
    const { left, top, width, height } = this.querySelector(".stage")!.getBoundingClientRect();
    return `${y < top + height / 2 ? "top" : "bottom"} ${x < left + width / 2 ? "left" : "right"}`;
  }

  #placeAt({ x, y }: { x: number; y: number }): number | undefined {
    const all = [...this.querySelectorAll<HTMLElement>(".tiles > *")];
    const there = all.find((tile) => {
      const { left, right, top, bottom } = tile.getBoundingClientRect();
      return left <= x && x <= right && top <= y && y <= bottom;
    });
    return there && Number(there.style.order);
  }

  // --- what is shown --------------------------------------------------------------------------------------------

  protected override render() {
    const { model, talking } = this;
    const { call } = words();
    const { text, tone, more } = model.line;
    const alone = !model.shown.length;
    return html`
      <div class="call ${talking ? "talking" : ""}">
        <header>
          <h1 tabindex="-1">${call.room} <span class="room">${model.room}</span></h1>
          <p class="state ${tone}" role="status">
            <span>${text}${more ? html` <span aria-hidden="true">${more}</span>` : nothing}</span>
          </p>
          ${alone ? nothing : html`<invite-link .room=${model.room} short></invite-link>`}
          <button class="switch small" @click=${this.#switch}>
            ${icon(talking ? "people" : "chat")} ${talking ? call.people : this.#chatWords}
          </button>
        </header>
        <main
          class="stage ${alone ? "alone" : ""} ${this.#pictures.length ? "showing" : ""} ${this.#inCorner ? "pair" : ""}"
          data-corner=${this.corner}
          aria-label=${call.people}
        >
          ${alone ? html`<invite-link .room=${model.room}></invite-link>` : nothing}
          ${this.#shown()}
          <div class="tiles">
            ${repeat(
              model.shown,
              (friend) => friend,
              (friend) => html`<friend-tile .model=${friend}></friend-tile>`,
            )}
            <own-tile .model=${model.devices} .name=${model.name} @move=${this.#move}></own-tile>
          </div>
          <p class="hidden" role="status">${this.moved}</p>
          ${model.screen.track ? html`<p class="sharing">${icon("screen")} ${call.shared}</p>` : nothing}
        </main>
        <div class="foot">${this.#apart()}<call-controls .model=${model} @float=${() => this.float()}></call-controls></div>
        <chat-panel .model=${model}></chat-panel>
        ${this.#drop.over ? html`<div class="drop"><p>${icon("file")} ${call.drop}</p></div>` : nothing}
      </div>
    `;
  }

  /** The pictures that are shown large. */
  #shown() {
    const pictures = this.#pictures;
    if (!pictures.length) return nothing;
    return html`
      <div class="shown">
        ${repeat(
          pictures,
          ({ stream }) => stream,
          ({ friend, stream }) => html`<shown-tile .model=${friend} .stream=${stream}></shown-tile>`,
        )}
      </div>
    `;
  }

  /** Show what can be done about peers that are here and not connected. */
  #apart() {
    const apart = this.model.apart.filter(({ wanted }) => wanted);
    const { call } = words();
    if (!apart.length) return nothing;
    return html`
      <section class="apart" aria-label=${call.apart}>
        ${apart.map(
          (one) => html`
            <p class="trouble">
              <span>${call.again(short(nameOf(one)))}</span>
              <button class="small" aria-disabled=${one.trying} @click=${() => one.trying || this.model.tryAgain(one)}>
                ${one.trying ? call.trying : html`${call.tryAgain}<span class="hidden"> ${call.with(nameOf(one))}</span>`}
              </button>
            </p>
          `,
        )}
      </section>
    `;
  }

  get #chatWords(): string {
    const { unread } = this.model;
    return unread ? words().call.news(unread) : words().call.chat;
  }
}

customElements.define("call-page", CallPage);
