/** The choice of camera, microphone and speaker. */

import { html, nothing } from "lit";
import { CHOICES, type Choice, type Devices } from "../model/devices.js";
import { play } from "../model/level.js";
import { short } from "../model/words.js";
import { words } from "../words/language.js";

/** A list for each kind of device of which there is a choice. `test`: a button plays a sound. */
export function deviceChoices(devices: Devices, { test = false } = {}) {
  const texts = words();
  return html`
    ${CHOICES.map((kind) => choice(devices, kind))}
    ${
      test
        ? html`<button type="button" class="small" @click=${() => play(devices.chosen("speaker"))}>${texts.enter.test}</button>`
        : nothing
    }
  `;
}

function choice(devices: Devices, kind: Choice) {
  const texts = words().devices;
  const listed = devices.list(kind);
  if (!listed.length) return nothing;
  const chosen = devices.chosen(kind);
  const choose = ({ target }: Event) => devices.choose(kind, (target as HTMLSelectElement).value);
  const known = listed.some(({ id }) => id === chosen);
  return html`
    <label class="choose">
      <span>${texts[kind]}</span>
      <select @change=${choose}>
        ${known ? nothing : html`<option value="" selected>${texts.browsers}</option>`}
        ${listed.map(({ id, label }) => html`<option value=${id} .selected=${id === chosen}>${short(label)}</option>`)}
      </select>
    </label>
  `;
}
