/** Microphone, camera, reset, leave, and trouble with devices. */

import { html, nothing } from "lit";
import type { Kind } from "../model/devices.js";
import type { Meeting } from "../model/meeting.js";
import { deviceTroubles } from "../model/words.js";
import { icon } from "./icons.js";
import { View } from "./view.js";

export class CallControls extends View<Meeting> {
  override connectedCallback(): void {
    super.connectedCallback();
    this.model.devices.addEventListener("change", this.#look);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.model.devices.removeEventListener("change", this.#look);
  }

  readonly #look = () => this.requestUpdate();

  protected override render() {
    const { model } = this;
    const { devices } = model;
    const leaving = model.phase === "leaving";
    const troubles = deviceTroubles(devices.troubles);
    return html`
      <section class="controls" aria-label="Controls">
        <div class="troubles" role="alert">
          ${troubles.length ? html`<div class="trouble">${troubles.map((text) => html`<p>${text}</p>`)} ${this.#close()}</div>` : nothing}
        </div>
        <div class="buttons" role="group" aria-label="Call">
          ${this.#device("audio", "Microphone")} ${this.#device("video", "Camera")}
          <button
            id="reset"
            title="Make a new connection, and request camera and microphone again. No message and no file is lost."
            ?disabled=${leaving}
            aria-disabled=${model.resetting}
            @click=${() => model.reset()}
          >
            ${icon("reset")} <span>${model.resetting ? "Renewing …" : "Reset"}</span>
          </button>
          <button id="leave" class="leave" aria-disabled=${leaving} @click=${() => model.leave()}>
            ${icon("leave")} <span>${leaving ? "Leaving …" : "Leave"}</span>
          </button>
        </div>
      </section>
    `;
  }

  #close() {
    const close = () => {
      this.querySelector<HTMLElement>("#microphone")!.focus(); // the button disappears with the text
      this.model.devices.dismiss();
    };
    return html`<button class="quiet square small" @click=${close}>${icon("close")}<span class="hidden">Close</span></button>`;
  }

  #device(kind: Kind, name: string) {
    const { devices } = this.model;
    const state = devices.state(kind);
    const on = state === "on";
    const picture = { audio: ["mic", "mic-off"], video: ["camera", "camera-off"] } as const;
    return html`
      <button
        id=${kind === "audio" ? "microphone" : "camera"}
        class=${on ? "on" : "off"}
        aria-pressed=${on}
        aria-label=${state === "asking" ? `${name}: Asking …` : name}
        ?disabled=${this.model.phase === "leaving"}
        @click=${() => devices.toggle(kind)}
      >
        ${icon(picture[kind][on ? 0 : 1])} <span>${state === "asking" ? "Asking …" : name}</span>
      </button>
    `;
  }
}

customElements.define("call-controls", CallControls);
