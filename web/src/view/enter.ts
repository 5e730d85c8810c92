/** The screen before joining: name, camera, microphone, and errors. */

import { html, nothing } from "lit";
import { KINDS, type Kind } from "../model/devices.js";
import { loadSdk, type Meeting } from "../model/meeting.js";
import { known, knownName, MAX_NAME, remember, rememberName } from "../model/memory.js";
import type { Place } from "../model/tabs.js";
import { couldNotJoin, joinTrouble } from "../model/words.js";
import { en } from "../words/en.js";
import { words } from "../words/language.js";
import { icon } from "./icons.js";
import { languageChoice } from "./language.js";
import { View } from "./view.js";

export class EnterPage extends View<Meeting> {
  static override properties = {
    ...View.properties,
    place: { attribute: false },
    trouble: { state: true },
    elsewhere: { state: true },
    needsKey: { state: true },
    previews: { state: true },
  };
  declare place: Place;
  /** The reason of the last failure. */
  declare trouble: string;
  /** Whether another tab of this browser is in the room. */
  declare elsewhere: boolean;
  declare needsKey: boolean;
  /** Whether the person sees and hears themselves. */
  declare previews: boolean;
  readonly #name = knownName();
  /** The kinds that the person brought last time; at first both. */
  readonly #brings = new Set(known("bring") ? known("bring").split(" ") : KINDS);

  constructor() {
    super();
    this.trouble = "";
    this.elsewhere = this.needsKey = this.previews = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.model.devices.addEventListener("change", this.#look);
    void this.model.devices.look();
    void loadRoom().catch(() => undefined); // while the person reads; it is tried again on entering
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.model.devices.removeEventListener("change", this.#look);
  }

  readonly #look = () => this.requestUpdate();

  /** Show the picture and the loudness; nothing is requested before this. */
  async #preview(): Promise<void> {
    await import("./preview.js");
    this.previews = true;
    await this.updateComplete;
    this.querySelector<HTMLElement>("[name=video]")?.focus(); // the button is gone
    await this.model.devices.turnOn(this.#checked());
  }

  #checked(): Kind[] {
    return KINDS.filter((kind) => this.querySelector<HTMLInputElement>(`[name=${kind}]`)?.checked);
  }

  /** Follow a box: with the preview, the device goes on and off. */
  async #bring(kind: Kind, { target }: Event): Promise<void> {
    const { devices } = this.model;
    const { checked } = target as HTMLInputElement;
    if (checked) this.#brings.add(kind);
    else this.#brings.delete(kind);
    if (!this.previews) return;
    if (checked) await devices.turnOn([kind]);
    else devices.turnOff(kind);
  }

  override firstUpdated(): void {
    void this.focusOn("#name");
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (this.model.phase !== "outside") return;
    const how = (event.submitter as HTMLButtonElement | null)?.value;
    const leave = () => this.model.leave(en.ending.reasons.elsewhere);
    if (how === "here" ? !(await this.place.takeOver(leave)) : how !== "too" && !(await this.place.take(leave))) {
      this.elsewhere = true;
      await this.focusOn("#elsewhere");
      return;
    }
    await this.#enter(new FormData(this.querySelector("form")!));
  }

  async #enter(data: FormData): Promise<void> {
    const text = (field: string) => String(data.get(field) ?? "").trim();
    const name = text("name");
    const token = text("key");
    rememberName(name);
    this.trouble = "";
    const { model } = this;
    const { devices } = model;
    const brings = KINDS.filter((kind) => data.has(kind));
    remember("bring", brings.join(" ") || "nothing");
    try {
      await loadRoom();
      await model.enter(name, token ? { token } : {});
    } catch (error) {
      this.place.free();
      const trouble = joinTrouble(error);
      this.needsKey ||= trouble === "unauthorized" || trouble === "denied";
      this.trouble = couldNotJoin(trouble, error);
      await this.focusOn(this.needsKey ? "#key" : "#name");
      return;
    }
    for (const kind of KINDS) if (!brings.includes(kind) && devices.track(kind)) devices.turnOff(kind);
    await devices.turnOn(brings.filter((kind) => devices.state(kind) !== "on"));
  }

  protected override render() {
    const busy = this.model.phase === "entering";
    const { enter } = words();
    return html`
      <main class="card ${this.previews ? "wide" : ""}">
        <p class="mark" aria-hidden="true"></p>
        <h1>${enter.title}</h1>
        <p class="lead">${enter.room} <strong class="room">${this.model.room}</strong></p>
        <form @submit=${this.#submit}>
          <label for="name">${enter.name}</label>
          <input id="name" name="name" required maxlength=${MAX_NAME} autocomplete="nickname" .value=${this.#name} />
          ${this.needsKey ? this.#key() : nothing}
          <fieldset>
            <legend>${enter.bring}</legend>
            ${KINDS.map((kind) => this.#box(kind))}
            <p class="hint">${this.#withoutDevices}</p>
            ${this.#offer()}
          </fieldset>
          ${this.previews ? html`<device-preview .model=${this.model.devices}></device-preview>` : nothing}
          <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
          ${this.elsewhere ? this.#choices(busy) : html`<button class="primary large" ?disabled=${busy}>${busy ? enter.entering : enter.enter}</button>`}
        </form>
        <p class="hint">${enter.addresses}</p>
        ${languageChoice()}
      </main>
    `;
  }

  #box(kind: Kind) {
    // Later the box belongs to the person: a render does not change it.
    return html`
      <label class="choice">
        <input type="checkbox" name=${kind} ?checked=${this.#brings.has(kind)} @change=${(event: Event) => this.#bring(kind, event)} />
        ${words().devices[kind]}
      </label>
    `;
  }

  /** Say which devices there are not, as far as it is known without a request. */
  get #withoutDevices(): string {
    const { devices } = this.model;
    const texts = words();
    if (devices.isBlocked) return texts.devices.blocked(KINDS);
    const lacks = KINDS.filter((kind) => devices.lacks(kind)).map((kind) => texts.devices.notFound[kind]);
    return [...lacks, texts.enter.without].join(" ");
  }

  #offer() {
    if (this.previews || this.model.devices.isBlocked) return nothing;
    return html`
      <button type="button" class="small" @click=${() => this.#preview()}>${icon("camera")} ${words().enter.look}</button>
    `;
  }

  /** Show the field for the key. It is not kept, neither in the address nor in storage. */
  #key() {
    return html`
      <label for="key">${words().enter.key}</label>
      <input id="key" name="key" type="password" required autocomplete="off" />
    `;
  }

  #choices(busy: boolean) {
    const { enter } = words();
    return html`
      <div class="notice" id="elsewhere" tabindex="-1" role="group" aria-labelledby="elsewhere-what">
        <p id="elsewhere-what">${enter.elsewhere}</p>
        <div class="row">
          <button class="primary" value="here" ?disabled=${busy}>${enter.here}</button>
          <button value="too" ?disabled=${busy}>${enter.twice}</button>
        </div>
      </div>
    `;
  }
}

/** Load what is needed in the room and after it. */
function loadRoom(): Promise<unknown> {
  return Promise.all([loadSdk(), import("./call.js"), import("./end.js")]);
}

customElements.define("enter-page", EnterPage);
