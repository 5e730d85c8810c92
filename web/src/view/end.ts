/** The screen after the goodbye: how it ended, and what to do about missing messages. */

import { html, nothing } from "lit";
import type { Meeting } from "../model/meeting.js";
import type { Place } from "../model/tabs.js";
import { couldNotJoin, counted, joinTrouble, parting } from "../model/words.js";
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
    if (!(await place.take(() => model.leave("went on in another tab")))) {
      this.trouble = "You are in this room already, in another tab.";
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
    const { farewells, owed, entries } = this.model;
    return html`
      <main class="card end">
        <p class="mark" aria-hidden="true"></p>
        <h1 tabindex="-1">Adieu</h1>
        <p class="lead" role="status">${farewells.length ? parting(farewells) : "You have left the room; nobody else was there."}</p>
        ${farewells.map(
          (receipt) => html`
            <section class="farewell">
              <p class="text">${receipt.notice}</p>
              ${receiptDetails(receipt)}
            </section>
          `,
        )}
        <p class="hint">Your camera and microphone are off, and every connection is closed.</p>
        <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
        <div class="row">
          ${
            owed.length
              ? html`<button class="primary" @click=${() => this.#again(true)}>
                  Go back and send the ${counted(owed.length, "unsent message")} again
                </button>`
              : nothing
          }
          <button class=${owed.length ? "" : "primary"} @click=${() => this.#again(false)}>Come in again</button>
          <button @click=${() => this.dispatchEvent(new CustomEvent("room"))}>New conversation</button>
        </div>
        ${
          entries.length
            ? html`<details class="before"><summary>Chat and files</summary><chat-panel .model=${this.model}></chat-panel></details>`
            : nothing
        }
      </main>
    `;
  }
}

customElements.define("end-page", EndPage);
