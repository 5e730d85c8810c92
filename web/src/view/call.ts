/** The screen in the room. */

import { html, nothing } from "lit";
import { type Meeting, nameOf } from "../model/meeting.js";
import { short } from "../model/words.js";
import type { ChatPanel } from "./chat.js";
import "./chat.js";
import "./controls.js";
import { DropTarget } from "./drop.js";
import { icon } from "./icons.js";
import "./invite.js";
import "./tile.js";
import { View } from "./view.js";

export class CallPage extends View<Meeting> {
  static override properties = { ...View.properties, talking: { state: true } };
  /** Whether a low window shows the conversation, not the people. */
  declare talking: boolean;
  readonly #drop = new DropTarget(this, (dropped) => {
    this.talking = true;
    this.querySelector<ChatPanel>("chat-panel")!.take(dropped);
  });

  constructor() {
    super();
    this.talking = false;
  }

  override firstUpdated(): void {
    void this.focusOn("h1");
  }

  #switch(): void {
    this.talking = !this.talking;
    this.model.changed(); // the person may see new entries now
  }

  protected override render() {
    const { model, talking } = this;
    const { text, tone } = model.line;
    const { shown } = model;
    const alone = !shown.length;
    return html`
      <div class="call ${talking ? "talking" : ""}">
        <header>
          <h1 tabindex="-1">Room <span class="room">${model.room}</span></h1>
          <p class="state ${tone}" role="status"><span>${text}</span></p>
          ${alone ? nothing : html`<invite-link .room=${model.room} short></invite-link>`}
          <button class="switch small" @click=${this.#switch}>
            ${icon(talking ? "people" : "chat")} ${talking ? "People" : this.#chatWords}
          </button>
        </header>
        <main class="stage ${alone ? "alone" : ""}" aria-label="People">
          ${alone ? html`<invite-link .room=${model.room}></invite-link>` : nothing}
          <div class="tiles" data-count=${Math.min(shown.length, 4)}>
            ${shown.map((friend) => html`<friend-tile .model=${friend}></friend-tile>`)}
          </div>
          <own-tile .model=${model.devices} .name=${model.name}></own-tile>
        </main>
        <div class="foot">${this.#apart()}<call-controls .model=${model}></call-controls></div>
        <chat-panel .model=${model}></chat-panel>
        ${this.#drop.over ? html`<div class="drop"><p>${icon("file")} Let go to send</p></div>` : nothing}
      </div>
    `;
  }

  /** Show what can be done about peers that are here and not connected. */
  #apart() {
    const apart = this.model.apart.filter(({ wanted }) => wanted);
    if (!apart.length) return nothing;
    return html`
      <section class="apart" aria-label="Here, not connected to you">
        ${apart.map(
          (one) => html`
            <p class="trouble">
              <span>Connecting with ${short(nameOf(one))} is tried again by itself.</span>
              <button class="small" aria-disabled=${one.trying} @click=${() => one.trying || this.model.tryAgain(one)}>
                ${one.trying ? "Trying …" : html`Try again<span class="hidden"> with ${nameOf(one)}</span>`}
              </button>
            </p>
          `,
        )}
      </section>
    `;
  }

  get #chatWords(): string {
    const { unread } = this.model;
    return unread ? `Chat (${unread} new)` : "Chat";
  }
}

customElements.define("call-page", CallPage);
