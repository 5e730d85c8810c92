/** The base of all views: they render into the page itself, share its style, and follow their model and the language. */

import { html, LitElement, type PropertyValues } from "lit";
import type { Model } from "../model/model.js";
import { language } from "../words/language.js";

export class View<M extends Model | undefined = undefined> extends LitElement {
  static override properties: Record<string, object> = { model: { attribute: false } };
  declare model: M;
  #followed: M | undefined;
  readonly #look = () => this.requestUpdate();

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#follow(this.model);
    language.addEventListener("change", this.#look);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#follow(undefined);
    language.removeEventListener("change", this.#look);
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("model")) this.#follow(this.model);
  }

  #follow(model: M | undefined): void {
    if (this.#followed === model) return;
    this.#followed?.removeEventListener("change", this.#look);
    this.#followed = model;
    model?.addEventListener("change", this.#look);
  }

  /** Focus an element of this view, once it exists. */
  protected async focusOn(selector: string): Promise<void> {
    await this.updateComplete;
    this.querySelector<HTMLElement>(selector)?.focus();
  }
}

/** Return the time of an entry. */
export function time(at: Date) {
  const shown = at.toLocaleTimeString(language.tag, { hour: "2-digit", minute: "2-digit" });
  return html`<time datetime=${at.toISOString()}>${shown}</time>`;
}
