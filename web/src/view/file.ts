/** A file in the conversation. */

import { html, nothing } from "lit";
import type { FileEntry } from "../model/entries.js";
import { type Receiving, Sending, type SharedFile } from "../model/file.js";
import type { Meeting } from "../model/meeting.js";
import { fileSize, fileTrouble, nameOf } from "../model/words.js";
import { words } from "../words/language.js";
import { icon } from "./icons.js";
import { time } from "./view.js";

export function fileEntry({ shared, at }: FileEntry, meeting: Meeting) {
  const mine = shared instanceof Sending;
  const { file } = words();
  return html`
    <article class="said file ${mine ? "mine" : ""}">
      <p class="who"><span>${mine ? file.to(nameOf(shared.who)) : nameOf(shared.who)}</span> ${time(at)}</p>
      <p class="text">${icon(shared.isFolder ? "folder" : "file")} <span class="filename">${shared.name}</span> <span class="size">${fileSize(shared.size)}</span></p>
      ${shared.under ? html`<progress max="1" .value=${shared.part} aria-label=${file.progress(shared.name)}></progress>` : nothing}
      <p class="fate ${shared.state === "failed" ? "owed" : ""}">${fate(shared)}</p>
      ${mine ? sending(shared, meeting) : receiving(shared as Receiving)}
    </article>
  `;
}

function fate(shared: SharedFile) {
  const { file } = words();
  switch (shared.state) {
    case "asked":
      return file.asked(fileSize(shared.size));
    case "declined":
      return file.declined;
    case "moving":
      if (shared instanceof Sending && !shared.done) return file.waiting(nameOf(shared.who));
      return html`<span aria-hidden="true">${file.of(fileSize(shared.done), fileSize(shared.size))}</span>`;
    case "here":
      return shared.direction === "out"
        ? html`${icon("check")} ${file.delivered}`
        : html`${icon("check")} ${(shared as Receiving).isSaved ? file.onDisk : file.here}`;
    case "failed":
      return file.failed(fileTrouble(shared.why));
  }
}

function sending(shared: Sending, meeting: Meeting) {
  const { file } = words();
  if (shared.under) return html`<button class="small" @click=${then(() => shared.cancel())}>${file.cancel}</button>`;
  if (shared.state !== "failed") return nothing;
  const friend = meeting.receiverOf(shared);
  if (!friend) return html`<p class="hint">${file.later(nameOf(shared.who))}</p>`;
  return html`<button class="small" @click=${then(() => shared.send(friend))}>${file.again}</button>`;
}

function receiving(shared: Receiving) {
  const { file } = words();
  if (shared.state === "asked") {
    const what = html`<span class="hidden"> ${shared.name}</span>`;
    return html`
      <p class="answers">
        ${shared.fits ? html`<button class="small primary" @click=${then(() => shared.take())}>${file.take}${what}</button>` : nothing}
        ${shared.canSave ? html`<button class="small" @click=${then(() => shared.save())}>${file.toDisk}${what}</button>` : nothing}
        <button class="small" @click=${then(() => shared.decline())}>${file.refuse}${what}</button>
      </p>
    `;
  }
  if (!shared.url) return nothing;
  return html`<a class="button small" href=${shared.url} download=${shared.isFolder ? `${shared.name}.zip` : shared.name}>${file.save}<span class="hidden"> ${shared.name}</span></a>`;
}

/** Keep the focus in the conversation when the button disappears. */
function then(act: () => unknown) {
  return ({ currentTarget }: Event) => {
    (currentTarget as HTMLElement).closest<HTMLElement>(".log")?.focus({ preventScroll: true });
    act();
  };
}
