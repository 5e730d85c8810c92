/** The screen after the goodbye: how it ended, and what to do about missing messages. */

import { html, nothing } from "lit";
import { ending } from "../model/ending.js";
import type { Meeting } from "../model/meeting.js";
import type { Place } from "../model/tabs.js";
import { couldNotJoin, joinTrouble, parting } from "../model/words.js";
import { en } from "../words/en.js";
import { words } from "../words/language.js";
import "./chat.js";
import { receiptDetails } from "./receipt.js";
import { View } from "./view.js";

export class EndPage extends View<Meeting> {
  static override properties = { ...View.properties, place: { attribute: false }, trouble: { state: true } };
  declare place: Place;
  declare trouble: string;

  constructor() {
    super();
    this.trouble = "";
  }

  override firstUpdated(): void {
    this.place.free();
    void this.focusOn("h1");
  }

  async #again(resend: boolean): Promise<void> {
    const { model, place } = this;
    this.trouble = "";
    if (!(await place.take(() => model.leave(en.ending.reasons.elsewhere)))) {
      this.trouble = words().enter.elsewhere;
      return;
    }
    try {
      await model.enter(model.name, { resend });
    } catch (error) {
      place.free();
      this.trouble = couldNotJoin(joinTrouble(error), error);
      return;
    }
    await model.devices.turnOn(model.brought);
  }

  protected override render() {
    const { farewells, owed, entries, closed } = this.model;
    const { end, chat } = words();
    const receipts = farewells.map(({ receipt }) => receipt);
    return html`
      <main class="card end">
        <p class="mark" aria-hidden="true"></p>
        <h1 tabindex="-1">${end.title}</h1>
        <p class="lead" role="status">${farewells.length ? parting(receipts) : closed ? end.closed : end.alone}</p>
        ${farewells.map(
          ({ receipt, who }) => html`
            <section class="farewell">
              <p class="text">${ending(receipt, who)}</p>
              ${receiptDetails(receipt)}
            </section>
          `,
        )}
        <p class="hint">${end.off}</p>
        <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
        <div class="row">
          ${
            owed.length
              ? html`<button class="primary" @click=${() => this.#again(true)}>
                  ${end.sendOwed(owed.length)}
                </button>`
              : nothing
          }
          <button class=${owed.length ? "" : "primary"} @click=${() => this.#again(false)}>${end.again}</button>
          <button @click=${() => this.dispatchEvent(new CustomEvent("room"))}>${end.new}</button>
        </div>
        ${
          entries.length
            ? html`<details class="before"><summary>${chat.log}</summary><chat-panel .model=${this.model}></chat-panel></details>`
            : nothing
        }
      </main>
    `;
  }
}

customElements.define("end-page", EndPage);
