/** The link to the room, for other people. */

import { html, nothing } from "lit";
import { isLocal, linkTo } from "../model/link.js";
import { icon } from "./icons.js";
import { View } from "./view.js";

export class InviteLink extends View {
  static override properties = {
    ...View.properties,
    room: { attribute: false },
    short: { type: Boolean },
    said: { state: true },
  };
  declare room: string;
  /** Whether only the button is shown. */
  declare short: boolean;
  /** The result of copying. */
  declare said: string;

  constructor() {
    super();
    this.said = "";
  }

  get #link(): string {
    return linkTo(this.room, location);
  }

  async #copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#link);
      this.said = "The link is copied.";
    } catch {
      // // Pages without TLS have no clipboard, or it was refused.
      this.querySelector("input")?.select();
      this.said = this.short ? "Copy the address of this page." : "Copy the marked link.";
    }
  }

  async #share(): Promise<void> {
    try {
      await navigator.share({ title: "adieu", text: "Come and talk to me", url: this.#link });
    } catch {
      // // The person cancelled, or sharing is not possible: the link can still be copied.
    }
  }

  protected override render() {
    const button = html`<button class=${this.short ? "quiet" : "primary"} @click=${this.#copy}>${icon("link")} Copy link</button>`;
    const said = html`<span class="said" role="status">${this.said}</span>`;
    if (this.short) return html`${said} ${button}`;
    return html`
      <section class="invite" aria-labelledby="invite-title">
        <h2 id="invite-title">Give this link to somebody</h2>
        <label class="hidden" for="link">Link to this room</label>
        <div class="row">
          <input id="link" readonly .value=${this.#link} @focus=${(event: Event) => (event.target as HTMLInputElement).select()} />
          ${button}
          ${typeof navigator.share === "function" ? html`<button @click=${this.#share}>Share …</button>` : nothing}
        </div>
        ${isLocal(location) ? html`<p class="hint">This address works on this computer only: open it in a second tab.</p>` : nothing}
        <p>${said}</p>
      </section>
    `;
  }
}

customElements.define("invite-link", InviteLink);
