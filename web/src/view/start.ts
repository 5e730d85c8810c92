/** The first screen: make a room, or name one. */

import { html } from "lit";
import { MAX_ROOM, newRoom, roomOf } from "../model/link.js";
import { View } from "./view.js";

export class StartPage extends View {
  #choose(room: string): void {
    if (room) this.dispatchEvent(new CustomEvent("room", { detail: room }));
  }

  #submit(event: SubmitEvent): void {
    event.preventDefault();
    const text = String(new FormData(event.target as HTMLFormElement).get("room")).trim();
    // // Accept a whole link as a name.
    this.#choose(URL.canParse(text) ? roomOf(new URL(text)) : text);
  }

  protected override render() {
    return html`
      <main class="card hero">
        <p class="mark" aria-hidden="true"></p>
        <h1>Meet, talk, and part properly</h1>
        <p class="lead">
          Camera, chat and files go straight from browser to browser. When you say goodbye, everything that was on its
          way arrives first, and both of you hold the same receipt.
        </p>
        <button class="primary large" @click=${() => this.#choose(newRoom())}>Start a conversation</button>
        <form class="inline" @submit=${this.#submit}>
          <label for="room">Or enter a room or link you were given</label>
          <div class="row">
            <input id="room" name="room" required maxlength=${MAX_ROOM * 4} autocomplete="off" autocapitalize="none" spellcheck="false" />
            <button>Go there</button>
          </div>
        </form>
      </main>
    `;
  }
}

customElements.define("start-page", StartPage);
