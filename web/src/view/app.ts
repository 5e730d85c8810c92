/** The page: which of its four screens is shown. The room stands in the address, behind the `#`. */

import { html, nothing } from "lit";
import { Devices } from "../model/devices.js";
import { newRoom, roomOf, serverOf } from "../model/link.js";
import { Meeting } from "../model/meeting.js";
import { Place } from "../model/tabs.js";
import "./call.js";
import { keepPage } from "./drop.js";
import "./end.js";
import "./enter.js";
import "./start.js";
import { View } from "./view.js";

export class App extends View<Meeting | undefined> {
  #place: Place | undefined;

  constructor() {
    super();
    this.#open();
    addEventListener("hashchange", () => void this.#moved());
    for (const type of ["online", "offline"]) addEventListener(type, () => this.model?.changed());
    for (const type of ["focus", "blur"]) addEventListener(type, () => this.requestUpdate());
    document.addEventListener("visibilitychange", () => this.requestUpdate());
    keepPage();
    addEventListener("beforeunload", (event) => {
      if (this.model?.unfinished) event.preventDefault();
    });
  }

  /** What the address names. */
  #open(): void {
    const room = roomOf(location);
    if (room) {
      this.model = new Meeting({ server: serverOf(location), room, devices: new Devices() });
      this.#place = new Place(room);
    }
  }

  /** Whether its owner has the conversation before their eyes. */
  get #watched(): boolean {
    const log = this.querySelector(".log");
    return document.visibilityState === "visible" && document.hasFocus() && !!log?.getClientRects().length;
  }

  /** What is new and was not seen stands in the title. */
  protected override updated(): void {
    const { model } = this;
    if (this.#watched) model?.look();
    const unread = model?.unread ? `(${model.unread}) ` : "";
    document.title = model ? `${unread}${model.room} – adieu` : "adieu";
  }

  /** The address names another room now: leave the one before. */
  async #moved(): Promise<void> {
    if (this.model?.room === roomOf(location)) return;
    await this.model?.leave();
    this.#place?.free();
    this.model = undefined;
    this.#open();
  }

  #go(room: string): void {
    location.hash = encodeURIComponent(room);
  }

  protected override render() {
    const { model } = this;
    if (!model) return html`<start-page @room=${({ detail }: CustomEvent<string>) => this.#go(detail)}></start-page>`;
    switch (model.phase) {
      case "outside":
      case "entering":
        return html`<enter-page .model=${model} .place=${this.#place}></enter-page>`;
      case "inside":
      case "leaving":
        return html`<call-page .model=${model}></call-page>`;
      case "left":
        return html`<end-page .model=${model} .place=${this.#place} @room=${() => this.#go(newRoom())}></end-page>`;
      default:
        return nothing;
    }
  }
}

customElements.define("adieu-app", App);
