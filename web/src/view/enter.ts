/** The screen before joining: name, camera, microphone, and errors. */

import { html, nothing } from "lit";
import type { Kind } from "../model/devices.js";
import type { Meeting } from "../model/meeting.js";
import { knownName, MAX_NAME, rememberName } from "../model/memory.js";
import type { Place } from "../model/tabs.js";
import { couldNotJoin, joinTrouble } from "../model/words.js";
import { View } from "./view.js";

export class EnterPage extends View<Meeting> {
  static override properties = {
    ...View.properties,
    place: { attribute: false },
    trouble: { state: true },
    elsewhere: { state: true },
    needsKey: { state: true },
  };
  declare place: Place;
  /** The reason of the last failure. */
  declare trouble: string;
  /** Whether another tab of this browser is in the room. */
  declare elsewhere: boolean;
  declare needsKey: boolean;
  readonly #name = knownName();

  constructor() {
    super();
    this.trouble = "";
    this.elsewhere = this.needsKey = false;
  }

  override firstUpdated(): void {
    void this.focusOn("#name");
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    if (this.model.phase !== "outside") return;
    const how = (event.submitter as HTMLButtonElement | null)?.value;
    const leave = () => this.model.leave("went on in another tab");
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
    try {
      await model.enter(name, token ? { token } : {});
    } catch (error) {
      this.place.free();
      const trouble = joinTrouble(error);
      this.needsKey ||= trouble === "unauthorized" || trouble === "denied";
      this.trouble = couldNotJoin(trouble, error);
      await this.focusOn(this.needsKey ? "#key" : "#name");
      return;
    }
    await model.devices.turnOn((["audio", "video"] as Kind[]).filter((kind) => data.has(kind)));
  }

  protected override render() {
    const busy = this.model.phase === "entering";
    return html`
      <main class="card">
        <p class="mark" aria-hidden="true"></p>
        <h1>Come in</h1>
        <p class="lead">Room <strong class="room">${this.model.room}</strong></p>
        <form @submit=${this.#submit}>
          <label for="name">Your name, as the others see it</label>
          <input id="name" name="name" required maxlength=${MAX_NAME} autocomplete="nickname" .value=${this.#name} />
          ${this.needsKey ? this.#key() : nothing}
          <fieldset>
            <legend>Bring along</legend>
            <label class="choice"><input type="checkbox" name="audio" checked /> Microphone</label>
            <label class="choice"><input type="checkbox" name="video" checked /> Camera</label>
            <p class="hint">Chat and files work without them.</p>
          </fieldset>
          <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
          ${this.elsewhere ? this.#choices(busy) : html`<button class="primary large" ?disabled=${busy}>${busy ? "Coming in …" : "Come in"}</button>`}
        </form>
        <p class="hint">Computers in a room connect directly, so they learn each other’s network address.</p>
      </main>
    `;
  }

  /** Show the field for the key. It is not kept, neither in the address nor in storage. */
  #key() {
    return html`
      <label for="key">Your key for this server</label>
      <input id="key" name="key" type="password" required autocomplete="off" />
    `;
  }

  #choices(busy: boolean) {
    return html`
      <div class="notice" id="elsewhere" tabindex="-1" role="group" aria-labelledby="elsewhere-what">
        <p id="elsewhere-what">You are in this room already, in another tab.</p>
        <div class="row">
          <button class="primary" value="here" ?disabled=${busy}>Go on here, leave there</button>
          <button value="too" ?disabled=${busy}>Be here twice</button>
        </div>
      </div>
    `;
  }
}

customElements.define("enter-page", EnterPage);
