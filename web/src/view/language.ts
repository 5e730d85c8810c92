/** The choice of the language. */

import { html } from "lit";
import { type Code, LANGUAGES, language, words } from "../words/language.js";
import { icon } from "./icons.js";

export function languageChoice() {
  const choose = ({ target }: Event) => language.choose((target as HTMLSelectElement).value as Code);
  return html`
    <label class="choose language">
      ${icon("globe")} <span class="hidden">${words().language.choose}</span>
      <select @change=${choose}>
        ${Object.entries(LANGUAGES).map(
          ([code, name]) =>
            html`<option value=${code} lang=${code} ?selected=${code === language.code}>${name}</option>`,
        )}
      </select>
    </label>
  `;
}
