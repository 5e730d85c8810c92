/** The screen of a link of `adieu send`: takes the files, and saves them. */

import { html, nothing } from "lit";
import { serverOf } from "../model/link.js";
import { couldNotJoin, fileSize, joinTrouble, left } from "../model/words.js";
import { linkOf } from "../receive/link.js";
import { type Item, Receiving } from "../receive/receiving.js";
import { zipped } from "../receive/zip.js";
import { words } from "../words/language.js";
import { icon } from "./icons.js";
import { languageChoice } from "./language.js";
import { View } from "./view.js";

type Pick = (options: { mode: "readwrite" }) => Promise<FileSystemDirectoryHandle>;
/** Return the browser's question for a folder on the disk. It has one only over HTTPS, or from this computer. */
const picker = () => (globalThis as { showDirectoryPicker?: Pick }).showDirectoryPicker;
/** Files that are listed one by one. */
const SHOWN = 100;

export class ReceivePage extends View<Receiving> {
  static override properties = { ...View.properties, trouble: { state: true }, needsKey: { state: true } };
  /** The reason why the server was not entered. */
  declare trouble: string;
  declare needsKey: boolean;
  readonly #urls = new Map<Blob, string>();

  constructor() {
    super();
    this.trouble = "";
    this.needsKey = false;
    this.model = new Receiving({ server: serverOf(location), link: linkOf(location)! });
    addEventListener("hashchange", () => location.reload());
    addEventListener("beforeunload", (event) => {
      if (this.model.underWay) event.preventDefault();
    });
  }

  async #begin(event?: SubmitEvent): Promise<void> {
    event?.preventDefault();
    const token = this.querySelector<HTMLInputElement>("#key")?.value.trim();
    this.trouble = "";
    try {
      const to = (event?.submitter as HTMLButtonElement | null)?.name === "disk" ? await chosen() : undefined;
      if (to === null) return; // the person has chosen no place
      await this.model.begin({ ...(token && { token }), ...(to && { to }) });
    } catch (error) {
      const trouble = joinTrouble(error);
      this.needsKey ||= trouble === "unauthorized" || trouble === "denied";
      this.trouble = couldNotJoin(trouble, error);
    }
    const [only, ...more] = this.model.items;
    if (this.model.phase === "done" && only?.file && !more.length) save(this.#url(only.file), only.name);
    await this.focusOn("h1");
  }

  #url(file: Blob): string {
    const url = this.#urls.get(file) ?? URL.createObjectURL(file);
    this.#urls.set(file, url);
    return url;
  }

  async #saveAll(): Promise<void> {
    this.trouble = "";
    try {
      save(this.#url(await zipped(this.model.items)), "files.zip");
    } catch (error) {
      this.trouble = sentence((error as Error).message);
    }
  }

  protected override render() {
    const { phase, size, items } = this.model;
    const { receive } = words();
    return html`
      <main class="card end">
        <p class="mark" aria-hidden="true"></p>
        <h1 tabindex="-1">${phase === "done" ? receive.here : receive.title}</h1>
        ${items.length ? html`<p class="lead">${receive.files(items.length, fileSize(size))}</p>` : nothing}
        ${this.#state()}
        ${items.length ? html`<ul class="files">${items.slice(0, SHOWN).map((item) => this.#item(item))}</ul>` : nothing}
        ${items.length > SHOWN ? html`<p class="hint">${receive.more(items.length - SHOWN)}</p>` : nothing}
        ${languageChoice()}
      </main>
    `;
  }

  #state() {
    const { phase, why, receipt, isSaved } = this.model;
    const { receive } = words();
    switch (phase) {
      case "ready":
        return this.#start(receive.receive);
      case "meeting":
        return html`<p class="lead" role="status">${receive.looking}</p>`;
      case "receiving":
        return this.#progress();
      case "lost":
        return html`<p class="alert" role="status">${receive.lost(why)}</p>`;
      case "failed":
        return html`<p class="alert" role="alert">${sentence(why)}</p>${this.#start(receive.again)}`;
      case "done":
        return html`
          <p class="fate" role="status">${icon("check")} ${receive.same}</p>
          ${isSaved ? html`<p class="lead">${words().file.onDisk}</p>` : nothing}
          ${this.model.items.length > 1 && !isSaved ? html`<button class="primary" @click=${this.#saveAll}>${receive.saveAll}</button>` : nothing}
          <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
          <p class="number">${words().receipt.number} <code>${receipt}</code></p>
          ${isSaved ? nothing : html`<p class="hint">${receive.keep}</p>`}
        `;
    }
  }

  #start(what: string) {
    return html`
      <form @submit=${this.#begin}>
        ${
          this.needsKey
            ? html`
                <label for="key">${words().enter.key}</label>
                <input id="key" name="key" type="password" required autocomplete="off" />
              `
            : nothing
        }
        <p class="alert" role="alert" ?hidden=${!this.trouble}>${this.trouble}</p>
        <button class="primary large">${what}</button>
        ${picker() ? html`<button name="disk">${words().file.toDisk}</button>` : nothing}
      </form>
      <p class="hint">${words().receive.direct}</p>
    `;
  }

  #progress() {
    const { size, done, rate } = this.model;
    const { receive, file } = words();
    const speed = rate ? receive.speed(fileSize(rate), left((size - done) / rate)) : "";
    return html`
      <progress max=${Math.max(size, 1)} .value=${done} aria-label=${receive.progress}></progress>
      <p class="size" aria-hidden="true">${file.of(fileSize(done), fileSize(size))}${speed}</p>
    `;
  }

  #item({ path, name, size, done, file }: Item) {
    const saved = this.model.phase === "done" && file;
    return html`
      <li>
        ${icon("file")} <span class="filename">${path}</span> <span class="size">${fileSize(size)}</span>
        ${
          saved
            ? html`<a class="button small" href=${this.#url(file)} download=${name}>${words().receive.save}<span class="hidden"> ${name}</span></a>`
            : html`<span class="size">${words().percent(size ? done / size : Number(!!file || this.model.isSaved))}</span>`
        }
      </li>
    `;
  }
}

/** Return the folder that the person chooses; null: the question was put off. */
async function chosen(): Promise<FileSystemDirectoryHandle | null | undefined> {
  try {
    return await picker()?.({ mode: "readwrite" });
  } catch {
    return null;
  }
}

/** Have the browser save a file. */
function save(url: string, name: string): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? "" : "."}`;
}

customElements.define("receive-page", ReceivePage);
