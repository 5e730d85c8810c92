/** A file in the conversation. */

import { html, nothing } from "lit";
import type { FileEntry } from "../model/entries.js";
import type { Meeting } from "../model/meeting.js";
import { nameOf } from "../model/meeting.js";
import { type Parcel, type Receiving, Sending } from "../model/parcel.js";
import { fileSize } from "../model/words.js";
import { icon } from "./icons.js";
import { time } from "./view.js";

export function fileEntry({ parcel, at }: FileEntry, meeting: Meeting) {
  const mine = parcel instanceof Sending;
  return html`
    <article class="said file ${mine ? "mine" : ""}">
      <p class="who"><span>${mine ? `You, to ${nameOf(parcel.who)}` : nameOf(parcel.who)}</span> ${time(at)}</p>
      <p class="text">${icon("file")} <span class="filename">${parcel.name}</span> <span class="size">${fileSize(parcel.size)}</span></p>
      ${parcel.under ? html`<progress max="1" .value=${parcel.part} aria-label="${parcel.name}, how much is there"></progress>` : nothing}
      <p class="fate ${parcel.state === "failed" ? "owed" : ""}">${words(parcel)}</p>
      ${mine ? sending(parcel, meeting) : receiving(parcel as Receiving)}
    </article>
  `;
}

function words(parcel: Parcel) {
  switch (parcel.state) {
    case "asked":
      return `Larger than usual: ${fileSize(parcel.size)}. Do you want it?`;
    case "declined":
      return "You did not want it.";
    case "moving":
      if (parcel instanceof Sending && !parcel.done) return `Waiting for ${nameOf(parcel.who)} …`;
      return html`<span aria-hidden="true">${fileSize(parcel.done)} of ${fileSize(parcel.size)}</span>`;
    case "here":
      return parcel.direction === "out" ? html`${icon("check")} Delivered` : html`${icon("check")} It is here`;
    case "failed":
      return `Not delivered: ${parcel.why}`;
  }
}

function sending(parcel: Sending, meeting: Meeting) {
  if (parcel.under) return html`<button class="small" @click=${then(() => parcel.cancel())}>Cancel</button>`;
  if (parcel.state !== "failed") return nothing;
  const friend = meeting.receiverOf(parcel);
  if (!friend) return html`<p class="hint">It can be sent again when ${nameOf(parcel.who)} is back.</p>`;
  return html`<button class="small" @click=${then(() => parcel.send(friend))}>Send again</button>`;
}

function receiving(parcel: Receiving) {
  if (parcel.state === "asked") {
    const what = html`<span class="hidden"> ${parcel.name}</span>`;
    return html`
      <p class="answers">
        <button class="small primary" @click=${then(() => parcel.take())}>Take it${what}</button>
        <button class="small" @click=${then(() => parcel.decline())}>No, thanks${what}</button>
      </p>
    `;
  }
  if (!parcel.url) return nothing;
  return html`<a class="button small" href=${parcel.url} download=${parcel.name}>Save<span class="hidden"> ${parcel.name}</span></a>`;
}

/** The button goes with what it does: the focus stays in the conversation. */
function then(act: () => unknown) {
  return ({ currentTarget }: Event) => {
    (currentTarget as HTMLElement).closest<HTMLElement>(".log")?.focus({ preventScroll: true });
    act();
  };
}
