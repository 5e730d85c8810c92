/** In the room. */

import { html } from "lit";
import type { Meeting } from "../model/meeting.js";
import "./chat.js";
import "./controls.js";
import "./invite.js";
import "./tile.js";
import { View } from "./view.js";

export class CallPage extends View<Meeting> {
  override firstUpdated(): void {
    void this.focusOn("h1");
  }

  protected override render() {
    const { model } = this;
    const { text, tone } = model.line;
    const alone = !model.friends.length;
    return html`
      <div class="call">
        <header>
          <h1 tabindex="-1">Room <span class="room">${model.room}</span></h1>
          <p class="state ${tone}" role="status">${text}</p>
          ${alone ? "" : html`<invite-link .room=${model.room} short></invite-link>`}
        </header>
        <main class="stage ${alone ? "alone" : ""}" aria-label="People">
          ${alone ? html`<invite-link .room=${model.room}></invite-link>` : ""}
          <div class="tiles" data-count=${Math.min(model.friends.length, 4)}>
            ${model.friends.map((friend) => html`<friend-tile .model=${friend}></friend-tile>`)}
          </div>
          <own-tile .model=${model.devices} .name=${model.name}></own-tile>
        </main>
        <call-controls .model=${model}></call-controls>
        <chat-panel .model=${model}></chat-panel>
      </div>
    `;
  }
}

customElements.define("call-page", CallPage);
