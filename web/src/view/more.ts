/** The panel with everything that is used less: connections, devices, the screen, the link, the language. */

import { html, nothing } from "lit";
import type { Meeting } from "../model/meeting.js";
import { notifications } from "../model/notifications.js";
import { connectionWords, nameOf } from "../model/words.js";
import { words } from "../words/language.js";
import { deviceChoices } from "./devices.js";
import { icon } from "./icons.js";
import "./invite.js";
import { keysList } from "./keys.js";
import { languageChoice } from "./language.js";
import { View } from "./view.js";

/** Milliseconds between two looks at the connections. */
const LOOK = 1000;

export class MorePanel extends View<Meeting> {
  #looking: ReturnType<typeof setInterval> | undefined;
  readonly #shown = new AbortController();

  override connectedCallback(): void {
    super.connectedCallback();
    this.model.devices.addEventListener("change", this.#again);
    notifications.addEventListener("change", this.#again);
    notifications.follow(this.model, this.#shown.signal);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.model.devices.removeEventListener("change", this.#again);
    notifications.removeEventListener("change", this.#again);
    this.#shown.abort();
    clearInterval(this.#looking);
  }

  readonly #again = () => this.requestUpdate();

  /** Show it above the page; the keyboard stays in it until it is closed. */
  async open(at = ""): Promise<void> {
    await this.updateComplete;
    void this.model.devices.look();
    this.querySelector("dialog")!.showModal();
    this.#looking = setInterval(this.#again, LOOK);
    this.requestUpdate();
    if (at) this.querySelector<HTMLElement>(at)?.focus();
  }

  #closed(): void {
    clearInterval(this.#looking);
  }

  /** Turn notifications on or off. The box shows what the browser allowed. */
  async #toggle({ target }: Event): Promise<void> {
    await notifications.toggle();
    (target as HTMLInputElement).checked = notifications.isOn;
  }

  /** Ask, on the page, whether the room shall be closed for everybody. */
  #closeForAll(): void {
    this.querySelector("dialog")!.close();
    this.dispatchEvent(new Event("close-for-all"));
  }

  #notifications() {
    const { settings } = words();
    if (!notifications.isPossible) return nothing;
    return html`
      <label class="choice">
        <input type="checkbox" .checked=${notifications.isOn} @change=${this.#toggle} /> ${settings.notifications}
      </label>
      <p class="alert" role="alert" ?hidden=${!notifications.refused}>${settings.notificationsRefused}</p>
    `;
  }

  protected override render() {
    const { call, connection, devices, settings, keys } = words();
    const { model } = this;
    return html`
      <dialog class="panel" aria-labelledby="more-title" @close=${() => this.#closed()}>
        <form method="dialog" class="bar">
          <h2 id="more-title">${call.more}</h2>
          <button class="quiet square">${icon("close")}<span class="hidden">${call.close}</span></button>
        </form>
        ${
          model.screen.isPossible
            ? html`<button @click=${() => model.share()}>${icon("screen")} ${model.screen.track ? call.sharing : call.share}</button>`
            : nothing
        }
        ${
          document.pictureInPictureEnabled
            ? html`<button @click=${() => this.dispatchEvent(new Event("float", { bubbles: true }))}>${icon("float")} ${call.floating}</button>`
            : nothing
        }
        <section aria-labelledby="more-connections">
          <h3 id="more-connections">${connection.title}</h3>
          ${model.shown.length ? html`<dl>${model.shown.map((friend) => html`<dt>${nameOf(friend)}</dt><dd>${connectionWords(friend.quality)}</dd>`)}</dl>` : html`<p class="hint">${connection.alone}</p>`}
        </section>
        <section aria-labelledby="more-devices">
          <h3 id="more-devices">${devices.title}</h3>
          ${deviceChoices(model.devices, { test: true })}
        </section>
        ${model.shown.length ? html`<invite-link .room=${model.room}></invite-link>` : nothing}
        <section aria-labelledby="more-settings">
          <h3 id="more-settings">${settings.title}</h3>
          ${languageChoice()} ${this.#notifications()}
        </section>
        <section aria-labelledby="more-keys">
          <h3 id="more-keys" tabindex="-1">${keys.title}</h3>
          ${keysList()}
        </section>
        ${
          model.mayCloseForAll
            ? html`<button @click=${() => this.#closeForAll()}>${icon("leave")} ${call.closeForAll}</button>`
            : nothing
        }
      </dialog>
    `;
  }
}

customElements.define("more-panel", MorePanel);

/** Open the panel, at one of its parts. */
export function open(panel: Element, at: string): void {
  void (panel as MorePanel).open(at);
}
