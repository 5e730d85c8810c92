/** The conversation, and the box to write in. */

import { html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import { ending } from "../model/ending.js";
import type { Entry, Mark, Said } from "../model/entries.js";
import type { Folder } from "../model/file.js";
import type { Friend } from "../model/friend.js";
import { type Part, parts } from "../model/links.js";
import type { Meeting } from "../model/meeting.js";
import { nameOf } from "../model/words.js";
import { words } from "../words/language.js";
import { fileEntry } from "./file.js";
import { icon } from "./icons.js";
import { receiptDetails } from "./receipt.js";
import { time, View } from "./view.js";

export class ChatPanel extends View<Meeting> {
  static override properties = { ...View.properties, hint: { state: true } };
  /** The reason why something was not sent. */
  declare hint: string;
  #atEnd = true;

  #submit(event: SubmitEvent): void {
    event.preventDefault();
    const input = this.querySelector<HTMLTextAreaElement>("#words")!;
    const text = input.value.trim();
    if (!text) return;
    if (this.model.say(text)) {
      input.value = "";
      this.hint = "";
    } else {
      this.hint = words().chat.nobody;
    }
    input.focus();
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    (event.target as HTMLTextAreaElement).form!.requestSubmit();
  }

  /** Send files. The reasons for files that are not sent appear above the box. */
  take(files: readonly (File | Folder)[]): void {
    this.hint = files.length && !this.model.sendFiles(files) ? words().chat.nobodyTakes : "";
  }

  /** Say that a folder could not be read. */
  lacks(): void {
    this.hint = words().chat.unreadable;
  }

  #scrolled({ currentTarget }: Event): void {
    const { scrollHeight, scrollTop, clientHeight } = currentTarget as HTMLElement;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < 40;
  }

  /** Keep the end in sight when a phone is turned or shows its keyboard. */
  protected override firstUpdated(): void {
    new ResizeObserver(() => this.updated()).observe(this.querySelector(".log")!);
  }

  /** Follow new entries, unless the reader has scrolled back. */
  protected override updated(): void {
    const log = this.querySelector(".log")!;
    if (this.#atEnd) log.scrollTop = log.scrollHeight;
  }

  protected override render() {
    const { model } = this;
    const ended = model.phase === "left";
    const { chat } = words();
    return html`
      <section class="chat" aria-label=${chat.conversation}>
        <div class="log" role="log" aria-label=${chat.log} tabindex="0" @scroll=${this.#scrolled}>
          ${model.entries.length ? nothing : html`<p class="hint">${chat.empty}</p>`}
          ${repeat(
            model.entries,
            (entry) => entry,
            (entry) => this.#entry(entry),
          )}
        </div>
        ${model.present.map((friend) => this.#owed(friend))}
        ${ended ? nothing : this.#form()}
      </section>
    `;
  }

  #form() {
    const { chat } = words();
    return html`
      <form class="write" @submit=${this.#submit}>
        <p class="hint" role="status">${this.hint}</p>
        <div class="row">
          <button type="button" class="quiet square" @click=${() => this.querySelector<HTMLInputElement>("#files")!.click()}>
            ${icon("clip")}<span class="hidden">${chat.sendFile}</span>
          </button>
          <input
            id="files"
            type="file"
            multiple
            hidden
            aria-label=${chat.files}
            @change=${({ target }: Event & { target: HTMLInputElement }) => {
              this.take([...(target.files ?? [])]);
              target.value = "";
            }}
          />
          <label class="hidden" for="words">${chat.message}</label>
          <textarea id="words" rows="1" placeholder=${chat.placeholder} @keydown=${this.#key}></textarea>
          <button class="primary square">${icon("send")}<span class="hidden">${chat.send}</span></button>
        </div>
      </form>
    `;
  }

  /** Return the messages that a returning peer missed last time. */
  #owed(friend: Friend) {
    const owed = this.model.owedTo(friend).length;
    const { chat } = words();
    if (!owed) return nothing;
    return html`
      <div class="notice owed">
        <p>${chat.owed(owed, nameOf(friend))}</p>
        <button class="primary" @click=${() => this.model.sendOwed(friend)}>
          ${chat.sendOwed(owed)}
        </button>
      </div>
    `;
  }

  #entry(entry: Entry) {
    switch (entry.kind) {
      case "said":
        return said(entry);
      case "note":
        return html`<p class="note ${entry.tone}">${entry.text}</p>`;
      case "file":
        return fileEntry(entry, this.model);
      case "farewell":
        return html`<div class="note farewell"><p>${ending(entry.receipt, entry.who)}</p>${receiptDetails(entry.receipt)}</div>`;
    }
  }
}

function said({ from, text, at, marks }: Said) {
  return html`
    <article class="said ${from === undefined ? "mine" : ""}">
      <p class="who">
        <span>${from ?? words().people.you}</span> ${time(at)}
      </p>
      <p class="text">${parts(text).map(part)}</p>
      ${from === undefined ? fate(marks) : nothing}
    </article>
  `;
}

function part({ text, href }: Part) {
  return href ? html`<a href=${href} target="_blank" rel="noopener noreferrer nofollow">${text}</a>` : text;
}

/** Return the fate of a message. */
function fate(marks: readonly Mark[]) {
  const { chat } = words();
  const of = (state: Mark["state"]) => marks.filter((mark) => mark.state === state).map(nameOfMark);
  const owed = of("owed");
  if (owed.length) return html`<p class="fate owed">${chat.notDelivered(owed)}</p>`;
  if (of("sending").length) return html`<p class="fate">${chat.sending}</p>`;
  return html`<p class="fate">${icon("check")} ${chat.delivered}</p>`;
}

function nameOfMark({ who }: Mark): string {
  return nameOf(who);
}

customElements.define("chat-panel", ChatPanel);
