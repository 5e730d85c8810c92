/** The page: shows one of four screens. The room is in the address, after the `#`. */

import { html, nothing } from "lit";
import { Devices } from "../model/devices.js";
import { newRoom, roomOf, serverOf } from "../model/link.js";
import { Meeting } from "../model/meeting.js";
import { Place } from "../model/tabs.js";
import { linkOf } from "../receive/link.js";
import { keepPage } from "./drop.js";
import "./enter.js";
import "./start.js";
import { language } from "../words/language.js";
import { View } from "./view.js";

export class App extends View<Meeting | undefined> {
  #place: Place | undefined;

  constructor() {
    super();
    void language.begin();
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

  /** The room in the address. */
  #open(): void {
    if (linkOf(location)) return void import("./receive.js"); // most visitors do not need it
    const room = roomOf(location);
    if (room) {
      this.model = new Meeting({ server: serverOf(location), room, devices: new Devices() });
      this.#place = new Place(room);
    }
  }

  /** Whether the person sees the conversation. */
  get #watched(): boolean {
    const log = this.querySelector(".log");
    return document.visibilityState === "visible" && document.hasFocus() && !!log?.getClientRects().length;
  }

  /** Show the number of unseen entries in the title. */
  protected override updated(): void {
    const { model } = this;
    if (this.#watched) model?.look();
    const unread = model?.unread ? `(${model.unread}) ` : "";
    document.title = model ? `${unread}${model.room} – adieu` : "adieu";
  }

  /** Leave the old room when the address names another one. */
  async #moved(): Promise<void> {
    if (this.model?.room === roomOf(location)) return;
    await this.model?.leave();
    this.model?.devices.end();
    this.#place?.free();
    this.model = undefined;
    this.#open();
  }

  #go(room: string): void {
    location.hash = encodeURIComponent(room);
  }

  protected override render() {
    const { model } = this;
    if (linkOf(location)) return html`<receive-page></receive-page>`;
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
