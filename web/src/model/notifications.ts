/** Notifications of the system about news in the room, while the person looks elsewhere. */

import { words } from "../words/language.js";
import type { Entry } from "./entries.js";
import { Sending } from "./file.js";
import type { Meeting, NewsEvent } from "./meeting.js";
import { known, remember } from "./memory.js";
import { Model } from "./model.js";
import { nameOf, short } from "./words.js";

const KEY = "notifications";
/** The most letters of a message in a notification. */
const MOST = 200;

type Make = new (title: string, options: NotificationOptions) => Notification;
type Maker = Make & Pick<typeof Notification, "permission" | "requestPermission">;

/** See the module. */
export class Notifications extends Model {
  readonly #maker: Maker | undefined;
  readonly #looks: () => boolean;
  readonly #followed = new Set<Meeting>();
  #on: boolean;
  /** Whether the browser refused: the person has to allow it in the settings of the browser. */
  refused = false;

  /** `looks`: whether the person looks at the page. */
  constructor(
    looks: () => boolean = () => document.visibilityState === "visible" && document.hasFocus(),
    maker: Maker | undefined = globalThis.Notification,
  ) {
    super();
    this.#looks = looks;
    this.#maker = maker;
    this.#on = known(KEY) === "on";
  }

  /** Whether this browser can show notifications to this page. Without TLS it cannot. */
  get isPossible(): boolean {
    return !!this.#maker;
  }

  get isOn(): boolean {
    return this.#on && this.#maker?.permission === "granted";
  }

  /** Turn them on, which the browser may ask the person about, or off. */
  async toggle(): Promise<void> {
    const on = !this.isOn;
    if (on) this.refused = (await this.#maker?.requestPermission()) !== "granted";
    this.#on = on && !this.refused;
    remember(KEY, this.#on ? "on" : "off");
    this.changed();
  }

  /** Show the news of this meeting until the signal. A second time does nothing. */
  follow(meeting: Meeting, signal: AbortSignal): void {
    if (this.#followed.has(meeting)) return;
    this.#followed.add(meeting);
    signal.addEventListener("abort", () => this.#followed.delete(meeting));
    meeting.addEventListener("news", (event) => this.#show(meeting, (event as NewsEvent).entry), { signal });
  }

  #show({ room }: Meeting, entry: Entry): void {
    const body = this.isOn && !this.#looks() ? bodyOf(entry) : "";
    if (!body) return;
    try {
      const shown = new this.#maker!(words().call.notification(room), { body, tag: `adieu ${room}` });
      shown.addEventListener("click", () => {
        window.focus();
        shown.close();
      });
    } catch {
      this.#on = false; // some phones show them only for installed pages
      this.changed();
    }
  }
}

export const notifications = new Notifications();

/** Return the text about an entry; empty if it is no news. */
export function bodyOf(entry: Entry): string {
  const { call } = words();
  switch (entry.kind) {
    case "said":
      return entry.from === undefined ? "" : call.says(entry.from, cut(entry.text));
    case "file":
      return entry.shared instanceof Sending ? "" : call.sends(nameOf(entry.shared.who), short(entry.shared.name));
    case "note":
      return entry.text;
    case "farewell":
      return "";
  }
}

function cut(text: string): string {
  const letters = [...text];
  return letters.length > MOST ? `${letters.slice(0, MOST).join("")}…` : text;
}
