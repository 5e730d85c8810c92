/** Shows a receipt. */

import type { CloseReceipt, Total } from "adieu-rtc";
import { html, nothing } from "lit";
import { accounts, type Counts } from "../model/account.js";
import { fileSize, seconds, stepWords } from "../model/words.js";
import { words } from "../words/language.js";
import { icon } from "./icons.js";

export function receiptDetails(receipt: CloseReceipt) {
  const channels = accounts(receipt);
  const texts = words().receipt;
  return html`
    <details class="receipt">
      <summary>${icon("receipt")} ${texts.title}</summary>
      <p>${receipt.confirmed ? texts.confirmed : texts.unconfirmed}</p>
      ${channels.length ? table(channels) : nothing} ${files(receipt)}
      <ol class="steps">
        ${receipt.steps.map(
          ({ name, duration, outcome }) =>
            html`<li>${texts.step(stepWords(name), outcome === "ok" ? seconds(duration) : outcomeOf(outcome))}</li>`,
        )}
      </ol>
      <p class="number">${texts.number} <code>${receipt.id}</code></p>
      <button class="small" @click=${() => save("receipt", receipt, receipt)}>${texts.save}</button>
      ${receipt.recording ? html`<button class="small" @click=${() => saveRecording(receipt)}>${texts.saveRecording}</button>` : nothing}
    </details>
  `;
}

/** The files by name: whole, or how much of each is there. */
function files({ files, partial }: CloseReceipt) {
  if (!files.length && !partial.length) return nothing;
  const texts = words().receipt;
  const percent = (file: { done: number; size: number }) => words().percent(file.done / (file.size || 1));
  return html`
    <ul class="steps">
      ${files.map(({ name, size, sent }) => html`<li>${texts[sent ? "delivered" : "received"](name, fileSize(size))}</li>`)}
      ${partial.map((file) => html`<li>${texts[file.sent ? "partSent" : "partReceived"](file.name, fileSize(file.size), percent(file))}</li>`)}
    </ul>
  `;
}

function outcomeOf(outcome: string): string {
  return (words().receipt.outcomes as Record<string, string>)[outcome] ?? outcome;
}

function table(channels: Counts[]) {
  const texts = words().receipt;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${texts.table}>
      <table>
        <thead>
          <tr><th scope="col">${texts.messages}</th>${channels.map(([name]) => html`<th scope="col">${name}</th>`)}</tr>
        </thead>
        <tbody>
          ${texts.lines.map(
            (line, number) => html`
              <tr>
                <th scope="row">${line}</th>
                ${channels.map(([, totals]) => html`<td>${amount(totals[number]!)}</td>`)}
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

function amount(total: Total | null) {
  if (!total) return "?";
  return total.messages ? html`<span title=${fileSize(total.bytes)}>${total.messages}</span>` : "0";
}

/** `adieu explain` reads it. */
async function saveRecording(receipt: CloseReceipt): Promise<void> {
  save("recording", receipt, await receipt.recording?.());
}

function save(what: string, { id }: CloseReceipt, content: unknown): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(content, undefined, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `${what}-${id.slice(0, 8)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it later
}
