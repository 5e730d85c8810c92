/** The link to the room, for other people. */

import { html, nothing } from "lit";
import { isLocal, linkTo, networkAddress } from "../model/link.js";
import { words } from "../words/language.js";
import { icon } from "./icons.js";
import { View } from "./view.js";

export class InviteLink extends View {
  static override properties = {
    ...View.properties,
    room: { attribute: false },
    short: { type: Boolean },
    said: { state: true },
    network: { state: true },
    code: { state: true },
  };
  declare room: string;
  /** Whether only the button is shown. */
  declare short: boolean;
  /** The result of copying. */
  declare said: "" | "copied" | "mark" | "address";

  /** The address of the page in the network, if this one works on this computer only. */
  declare network: string;
  /** The picture of the link; undefined: it is not shown. */
  declare code: unknown;

  constructor() {
    super();
    this.said = this.network = "";
  }

  override connectedCallback(): void {
    super.connectedCallback();
    if (!this.short && isLocal(location)) void networkAddress(location).then((address) => (this.network = address));
  }

  get #link(): string {
    return linkTo(this.room, { href: this.network || location.href });
  }

  /** Show the link as a picture for a camera, or hide it. */
  async #showCode(): Promise<void> {
    if (this.code) this.code = undefined;
    else this.code = (await import("./qr.js")).qrCode(this.#link);
  }

  /** Say where the link works. */
  get #where(): string {
    const { invite } = words();
    if (!isLocal(location)) return "";
    if (!this.network) return invite.local;
    return this.network.startsWith("https:") ? invite.network : `${invite.network} ${invite.plain}`;
  }

  async #copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#link);
      this.said = "copied";
    } catch {
      // Pages without TLS have no clipboard, or it was refused.
      this.querySelector("input")?.select();
      this.said = this.short ? "address" : "mark";
    }
  }

  async #share(): Promise<void> {
    try {
      await navigator.share({ title: "adieu", text: words().invite.shareText, url: this.#link });
    } catch {
      // The person cancelled, or sharing is not possible: the link can still be copied.
    }
  }

  protected override render() {
    const { invite } = words();
    const button = html`<button class=${this.short ? "quiet" : "primary"} @click=${this.#copy}>${icon("link")} ${invite.copy}</button>`;
    const said = html`<span class="said" role="status">${this.said && invite[this.said]}</span>`;
    if (this.short) return html`${said} ${button}`;
    return html`
      <section class="invite" aria-labelledby="invite-title">
        <h2 id="invite-title">${invite.title}</h2>
        <label class="hidden" for="link">${invite.link}</label>
        <div class="row">
          <input id="link" readonly .value=${this.#link} @focus=${(event: Event) => (event.target as HTMLInputElement).select()} />
          ${button}
          <button aria-expanded=${!!this.code} @click=${this.#showCode}>${icon("qr")} ${invite.showCode}</button>
          ${typeof navigator.share === "function" ? html`<button @click=${this.#share}>${invite.share}</button>` : nothing}
        </div>
        ${this.code ?? nothing}
        ${this.#where ? html`<p class="hint">${this.#where}</p>` : nothing}
        <p>${said}</p>
      </section>
    `;
  }
}

customElements.define("invite-link", InviteLink);
