/** A file in the conversation. */

import { html, nothing } from "lit";
import type { FileEntry } from "../model/entries.js";
import { type Receiving, Sending, type SharedFile } from "../model/file.js";
import type { Meeting } from "../model/meeting.js";
import { nameOf } from "../model/meeting.js";
import { fileSize } from "../model/words.js";
import { icon } from "./icons.js";
import { time } from "./view.js";

export function fileEntry({ shared, at }: FileEntry, meeting: Meeting) {
  const mine = shared instanceof Sending;
  return html`
    <article class="said file ${mine ? "mine" : ""}">
      <p class="who"><span>${mine ? `You, to ${nameOf(shared.who)}` : nameOf(shared.who)}</span> ${time(at)}</p>
      <p class="text">${icon("file")} <span class="filename">${shared.name}</span> <span class="size">${fileSize(shared.size)}</span></p>
      ${shared.under ? html`<progress max="1" .value=${shared.part} aria-label="${shared.name}, how much is there"></progress>` : nothing}
      <p class="fate ${shared.state === "failed" ? "owed" : ""}">${words(shared)}</p>
      ${mine ? sending(shared, meeting) : receiving(shared as Receiving)}
    </article>
  `;
}

function words(shared: SharedFile) {
  switch (shared.state) {
    case "asked":
      return `Larger than usual: ${fileSize(shared.size)}. Do you want it?`;
    case "declined":
      return "You did not want it.";
    case "moving":
      if (shared instanceof Sending && !shared.done) return `Waiting for ${nameOf(shared.who)} …`;
      return html`<span aria-hidden="true">${fileSize(shared.done)} of ${fileSize(shared.size)}</span>`;
    case "here":
      return shared.direction === "out" ? html`${icon("check")} Delivered` : html`${icon("check")} It is here`;
    case "failed":
      return `Not delivered: ${shared.why}`;
  }
}

function sending(shared: Sending, meeting: Meeting) {
  if (shared.under) return html`<button class="small" @click=${then(() => shared.cancel())}>Cancel</button>`;
  if (shared.state !== "failed") return nothing;
  const friend = meeting.receiverOf(shared);
  if (!friend) return html`<p class="hint">It can be sent again when ${nameOf(shared.who)} is back.</p>`;
  return html`<button class="small" @click=${then(() => shared.send(friend))}>Send again</button>`;
}

function receiving(shared: Receiving) {
  if (shared.state === "asked") {
    const what = html`<span class="hidden"> ${shared.name}</span>`;
    return html`
      <p class="answers">
        <button class="small primary" @click=${then(() => shared.take())}>Take it${what}</button>
        <button class="small" @click=${then(() => shared.decline())}>No, thanks${what}</button>
      </p>
    `;
  }
  if (!shared.url) return nothing;
  return html`<a class="button small" href=${shared.url} download=${shared.name}>Save<span class="hidden"> ${shared.name}</span></a>`;
}

/** Keep the focus in the conversation when the button disappears. */
function then(act: () => unknown) {
  return ({ currentTarget }: Event) => {
    (currentTarget as HTMLElement).closest<HTMLElement>(".log")?.focus({ preventScroll: true });
    act();
  };
}
