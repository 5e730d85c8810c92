/** The first screen: make a room, or name one. */

import { html } from "lit";
import { MAX_ROOM, newRoom, roomOf } from "../model/link.js";
import { words } from "../words/language.js";
import { languageChoice } from "./language.js";
import { View } from "./view.js";

export class StartPage extends View {
  #choose(room: string): void {
    if (room) this.dispatchEvent(new CustomEvent("room", { detail: room }));
  }

  #submit(event: SubmitEvent): void {
    event.preventDefault();
    const text = String(new FormData(event.target as HTMLFormElement).get("room")).trim();
    // Accept a whole link as a name.
    this.#choose(URL.canParse(text) ? roomOf(new URL(text)) : text);
  }

  protected override render() {
    const { start } = words();
    return html`
      <main class="card hero">
        <p class="mark" aria-hidden="true"></p>
        <h1>${start.title}</h1>
        <p class="lead">${start.lead}</p>
        <button class="primary large" @click=${() => this.#choose(newRoom())}>${start.start}</button>
        <form class="inline" @submit=${this.#submit}>
          <label for="room">${start.given}</label>
          <div class="row">
            <input id="room" name="room" required maxlength=${MAX_ROOM * 4} autocomplete="off" autocapitalize="none" spellcheck="false" />
            <button>${start.go}</button>
          </div>
        </form>
        ${languageChoice()}
      </main>
    `;
  }
}

customElements.define("start-page", StartPage);
