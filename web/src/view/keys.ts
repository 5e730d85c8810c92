/** The list of the keyboard shortcuts. */

import { html } from "lit";
import { areOn, SHORTCUTS, turn } from "../model/shortcuts.js";
import { words } from "../words/language.js";

export function keysList() {
  const { keys } = words();
  return html`
    <dl class="keys">
      ${Object.entries(SHORTCUTS).map(([key, what]) => html`<dt><kbd>${key.toUpperCase()}</kbd></dt><dd>${keys[what]}</dd>`)}
      <dt><kbd>← ↑ → ↓</kbd></dt>
      <dd>${keys.move}</dd>
    </dl>
    <label class="choice">
      <input
        type="checkbox"
        ?checked=${areOn()}
        @change=${({ target }: Event) => turn((target as HTMLInputElement).checked)}
      />
      ${keys.on}
    </label>
  `;
}
