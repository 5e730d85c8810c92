/** Microphone, camera, reset, leave, and trouble with devices. */

import { html, nothing } from "lit";
import type { Kind } from "../model/devices.js";
import type { Friend } from "../model/friend.js";
import type { Meeting, ResetChoice } from "../model/meeting.js";
import { deviceTroubles, nameOf, short, underWayWords } from "../model/words.js";
import { words } from "../words/language.js";
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

  /** The question that was on the screen. */
  #asked = "";
  /** The peer whose connection is renewed; undefined for everybody. */
  #only: Friend | undefined;
  readonly #look = () => this.requestUpdate();

  protected override render() {
    const { model } = this;
    const { devices } = model;
    const leaving = model.phase === "leaving";
    const troubles = deviceTroubles(devices.troubles);
    const { call } = words();
    return html`
      <section class="controls" aria-label=${call.controls}>
        <div class="troubles" role="alert">
          ${troubles.length ? html`<div class="trouble">${troubles.map((text) => html`<p>${text}</p>`)} ${this.#close()}</div>` : nothing}
        </div>
        ${model.leavingAsked ? this.#question() : nothing} ${model.resetAsked ? this.#choice() : nothing}
        ${model.closingAsked ? this.#closing() : nothing}
        <div class="buttons" role="group" aria-label=${call.buttons}>
          ${this.#device("audio")} ${this.#device("video")} ${this.#share()}
          <button
            id="reset"
            title=${call.resetHint}
            ?disabled=${leaving}
            aria-disabled=${model.resetting}
            @click=${() => this.#askToReset()}
          >
            ${icon("reset")} <span>${model.resetting ? call.renewing : call.reset}</span>
          </button>
          <button id="more" aria-haspopup="dialog" ?disabled=${leaving} @click=${() => this.more()}>
            ${icon("more")} <span>${call.more}</span>
          </button>
          <button id="leave" class="leave" aria-disabled=${leaving} @click=${() => model.askToLeave()}>
            ${icon("leave")} <span>${leaving ? call.leaving : call.leave}</span>
          </button>
        </div>
        <more-panel .model=${model} @close-for-all=${() => model.askToClose()}></more-panel>
      </section>
    `;
  }

  /** Open the panel with everything that is used less, at one of its parts. It is loaded when it is opened first. */
  async more(at = ""): Promise<void> {
    const { open } = await import("./more.js");
    open(this.querySelector("more-panel")!, at);
  }

  #share() {
    const { screen } = this.model;
    if (!screen.isPossible) return nothing;
    const { call } = words();
    return html`
      <button id="screen" class=${screen.track ? "on" : ""} @click=${() => this.model.share()}>
        ${icon("screen")} <span>${screen.track ? call.sharing : call.share}</span>
      </button>
    `;
  }

  #close() {
    const close = () => {
      this.querySelector<HTMLElement>("#microphone")!.focus(); // the button disappears with the text
      this.model.devices.dismiss();
    };
    return html`<button class="quiet square small" @click=${close}>${icon("close")}<span class="hidden">${words().call.close}</span></button>`;
  }

  protected override updated(): void {
    const { leavingAsked, leavesLater, underWay, resetAsked, closingAsked } = this.model;
    const asked = closingAsked
      ? "#closing .quiet"
      : leavingAsked
        ? leavesLater || !underWay.length
          ? "#leaving .now" // the answer before it has disappeared
          : "#leaving button"
        : resetAsked
          ? "#resetting button"
          : "";
    if (asked && asked !== this.#asked) this.querySelector<HTMLElement>(asked)!.focus();
    this.#asked = asked;
  }

  #question() {
    const { model } = this;
    const { call } = words();
    const stay = () => {
      model.stay();
      this.querySelector<HTMLElement>("#leave")!.focus(); // the button disappears with the question
    };
    const under = underWayWords(model.underWay);
    const mayWait = under.length && !model.leavesLater;
    return html`
      <div
        id="leaving"
        class="trouble leaving"
        role="alertdialog"
        aria-labelledby="leaving-words"
        @keydown=${(event: KeyboardEvent) => event.key === "Escape" && stay()}
      >
        <div id="leaving-words">
          ${(under.length ? under : [call.nothingUnder]).map((text) => html`<p>${text}</p>`)}
          ${model.leavesLater ? html`<p>${call.later}</p>` : nothing}
        </div>
        <div class="answers">
          ${mayWait ? html`<button class="small" @click=${() => model.leaveLater()}>${call.leaveLater}</button>` : nothing}
          <button class="small now" @click=${() => model.leave()}>${under.length ? call.leaveNow : call.leave}</button>
          <button class="small quiet" @click=${stay}>${call.stay}</button>
        </div>
      </div>
    `;
  }

  /** The second question before the room is closed for everybody; the focus is on the answer that does nothing. */
  #closing() {
    const { model } = this;
    const { call } = words();
    const stay = () => {
      model.stay();
      this.querySelector<HTMLElement>("#more")!.focus(); // the button disappears with the question
    };
    return html`
      <div
        id="closing"
        class="trouble leaving"
        role="alertdialog"
        aria-labelledby="closing-words"
        @keydown=${(event: KeyboardEvent) => event.key === "Escape" && stay()}
      >
        <p id="closing-words">${call.closeForAllAsked}</p>
        <div class="answers">
          <button class="small" @click=${() => model.closeForAll()}>${call.closeForAllNow}</button>
          <button class="small quiet" @click=${stay}>${call.cancel}</button>
        </div>
      </div>
    `;
  }

  #askToReset(): void {
    const { model } = this;
    if (model.resetAsked) {
      model.keep();
      return;
    }
    this.#only = undefined;
    model.askToReset();
    void model.devices.look(); // the choice of a camera appears when the browser has listed them
  }

  /** The question of the reset: the things to renew, for whom, and with which camera. */
  #choice() {
    const { model } = this;
    const { devices, shown } = model;
    const { call } = words();
    const cameras = devices.list("video");
    const keep = () => {
      model.keep();
      this.querySelector<HTMLElement>("#reset")!.focus(); // the button disappears with the question
    };
    const renew = (what: ResetChoice) => {
      this.querySelector<HTMLElement>("#reset")!.focus();
      void model.reset(what, this.#only);
    };
    return html`
      <div
        id="resetting"
        class="trouble leaving"
        role="alertdialog"
        aria-labelledby="resetting-words"
        @keydown=${(event: KeyboardEvent) => event.key === "Escape" && keep()}
      >
        <p id="resetting-words">${call.what}</p>
        ${
          shown.length > 1
            ? html`<label>
                ${call.whose}
                <select @change=${(event: Event) => this.#choose(event)}>
                  <option value="">${call.everybody}</option>
                  ${shown.map((friend, at) => html`<option value=${at}>${short(nameOf(friend))}</option>`)}
                </select>
              </label>`
            : nothing
        }
        ${
          cameras.length > 1
            ? html`<label>
                ${words().devices.video}
                <select @change=${(event: Event) => devices.choose("video", (event.target as HTMLSelectElement).value)}>
                  ${cameras.map(({ id, label }) => html`<option value=${id} ?selected=${id === devices.chosen("video")}>${short(label)}</option>`)}
                </select>
              </label>`
            : nothing
        }
        <div class="answers">
          <button class="small" @click=${() => renew("connection")}>${call.connection}</button>
          <button class="small" @click=${() => renew("devices")}>${call.devices}</button>
          <button class="small" @click=${() => renew("everything")}>${call.everything}</button>
          <button class="small quiet" @click=${keep}>${call.cancel}</button>
        </div>
      </div>
    `;
  }

  #choose(event: Event): void {
    const { value } = event.target as HTMLSelectElement;
    this.#only = value ? this.model.shown[Number(value)] : undefined;
  }

  #device(kind: Kind) {
    const { devices } = this.model;
    const { [kind]: name, asking } = words().devices;
    const state = devices.state(kind);
    const on = state === "on";
    const picture = { audio: ["mic", "mic-off"], video: ["camera", "camera-off"] } as const;
    return html`
      <button
        id=${kind === "audio" ? "microphone" : "camera"}
        class=${on ? "on" : "off"}
        aria-pressed=${on}
        aria-label=${state === "asking" ? `${name}: ${asking}` : name}
        ?disabled=${this.model.phase === "leaving"}
        @click=${() => devices.toggle(kind)}
      >
        ${icon(picture[kind][on ? 0 : 1])} <span>${state === "asking" ? asking : name}</span>
      </button>
    `;
  }
}

customElements.define("call-controls", CallControls);
