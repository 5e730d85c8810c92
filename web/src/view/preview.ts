/** The person's picture, the loudness of the microphone, and the choice of devices: before joining. */

import { html, nothing } from "lit";
import type { Devices } from "../model/devices.js";
import { Level } from "../model/level.js";
import { deviceTroubles } from "../model/words.js";
import { words } from "../words/language.js";
import { deviceChoices } from "./devices.js";
import { icon } from "./icons.js";
import { View } from "./view.js";

export class DevicePreview extends View<Devices> {
  readonly #level = new Level(
    (loudness) => {
      const meter = this.querySelector("meter");
      if (meter) meter.value = loudness; // too often for a whole render
    },
    () => this.requestUpdate(),
  );
  readonly #stream = new MediaStream();

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#level.stop();
  }

  protected override updated(): void {
    const camera = this.model.track("video");
    for (const old of this.#stream.getTracks()) if (old !== camera) this.#stream.removeTrack(old);
    if (camera) this.#stream.addTrack(camera);
    const video = this.querySelector("video")!;
    if (video.srcObject !== this.#stream) video.srcObject = this.#stream;
    if (camera && video.paused) void video.play().catch(() => undefined);
    this.#level.follow(this.model.sends("audio") ? this.model.track("audio") : undefined);
  }

  protected override render() {
    const { enter, people } = words();
    const { model } = this;
    const sees = model.sends("video");
    const hears = model.sends("audio") && this.#level.runs;
    const troubles = deviceTroubles(model.troubles);
    return html`
      <div class="preview">
        <figure class="tile own" aria-label=${enter.picture}>
          <video autoplay playsinline .muted=${true} ?hidden=${!sees} aria-label=${people.picture(people.you)}></video>
          ${sees ? nothing : html`<p>${icon("camera-off")} ${enter.noPicture}</p>`}
        </figure>
        <div class="troubles" role="alert">${troubles.map((text) => html`<p class="trouble">${text}</p>`)}</div>
        ${
          hears
            ? html`
                <label for="level">${enter.level}</label>
                <meter id="level" min="0" max="1" low="0.15"></meter>
                <p class="hint">${enter.levelHint}</p>
              `
            : nothing
        }
        ${deviceChoices(model, { test: true })}
      </div>
    `;
  }
}

customElements.define("device-preview", DevicePreview);
