/** The conversation, and the box to write in. */

import { html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { Entry, Mark, Said } from "../model/entries.js";
import type { Friend } from "../model/friend.js";
import { type Part, parts } from "../model/links.js";
import { type Meeting, nameOf } from "../model/meeting.js";
import { counted, foldersNotSent, list } from "../model/words.js";
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
      this.hint = "Nobody is here to read it yet. Your text stays in the box.";
    }
    input.focus();
  }

  #key(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    (event.target as HTMLTextAreaElement).form!.requestSubmit();
  }

  /** Send files. The reasons for files that are not sent appear above the box. */
  take({ files, folders = [] }: { files: readonly File[]; folders?: readonly string[] }): void {
    const hints = folders.length ? [foldersNotSent(folders)] : [];
    if (files.length && !this.model.sendFiles(files)) hints.push("Nobody is here to take a file yet.");
    this.hint = hints.join(" ");
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
    return html`
      <section class="chat" aria-label="Conversation">
        <div class="log" role="log" aria-label="Chat and files" tabindex="0" @scroll=${this.#scrolled}>
          ${model.entries.length ? nothing : html`<p class="hint">What you write goes straight to the others; no server keeps it.</p>`}
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
    return html`
      <form class="write" @submit=${this.#submit}>
        <p class="hint" role="status">${this.hint}</p>
        <div class="row">
          <button type="button" class="quiet square" @click=${() => this.querySelector<HTMLInputElement>("#files")!.click()}>
            ${icon("clip")}<span class="hidden">Send a file</span>
          </button>
          <input
            id="files"
            type="file"
            multiple
            hidden
            aria-label="Files to send"
            @change=${({ target }: Event & { target: HTMLInputElement }) => {
              this.take({ files: [...(target.files ?? [])] });
              target.value = "";
            }}
          />
          <label class="hidden" for="words">Message</label>
          <textarea id="words" rows="1" placeholder="Write a message" @keydown=${this.#key}></textarea>
          <button class="primary square">${icon("send")}<span class="hidden">Send</span></button>
        </div>
      </form>
    `;
  }

  /** Return the messages that a returning peer missed last time. */
  #owed(friend: Friend) {
    const owed = this.model.owedTo(friend).length;
    if (!owed) return nothing;
    return html`
      <div class="notice owed">
        <p>${counted(owed, "message")} from before did not reach ${nameOf(friend)}.</p>
        <button class="primary" @click=${() => this.model.sendOwed(friend)}>
          Send the ${counted(owed, "unsent message")} again
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
        return html`<div class="note farewell"><p>${entry.receipt.notice}</p>${receiptDetails(entry.receipt)}</div>`;
    }
  }
}

function said({ from, text, at, marks }: Said) {
  return html`
    <article class="said ${from === undefined ? "mine" : ""}">
      <p class="who">
        <span>${from ?? "You"}</span> ${time(at)}
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
  const of = (state: Mark["state"]) => marks.filter((mark) => mark.state === state).map(nameOfMark);
  const owed = of("owed");
  if (owed.length) return html`<p class="fate owed">Not delivered to ${list(owed)}</p>`;
  if (of("sending").length) return html`<p class="fate">Sending …</p>`;
  return html`<p class="fate">${icon("check")} Delivered</p>`;
}

function nameOfMark({ who }: Mark): string {
  return nameOf(who);
}

customElements.define("chat-panel", ChatPanel);
