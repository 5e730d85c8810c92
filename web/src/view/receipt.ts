/** Shows a receipt. */

import type { CloseReceipt, Total } from "adieu-rtc";
import { html, nothing } from "lit";
import { accounts, type Counts } from "../model/account.js";
import { fileSize, seconds, stepWords } from "../model/words.js";
import { icon } from "./icons.js";

const LINES = ["Sent", "Arrived", "Not read by them", "Unknown", "Unsent", "Received", "Not read by you"];

export function receiptDetails(receipt: CloseReceipt) {
  const channels = accounts(receipt);
  return html`
    <details class="receipt">
      <summary>${icon("receipt")} Receipt</summary>
      <p>
        ${
          receipt.confirmed
            ? "The other side holds the same receipt, with the same numbers."
            : "The other side’s report is missing, so uncertain messages count as unknown."
        }
      </p>
      ${channels.length ? table(channels) : nothing}
      <ol class="steps">
        ${receipt.steps.map(
          ({ name, duration, outcome }) => html`
            <li>${stepWords(name)}: ${outcome === "ok" ? seconds(duration) : outcome}</li>
          `,
        )}
      </ol>
      <p class="number">Number <code>${receipt.id}</code></p>
      <button class="small" @click=${() => save(receipt)}>Save the receipt</button>
    </details>
  `;
}

function table(channels: Counts[]) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="Messages sent and received">
      <table>
        <thead>
          <tr><th scope="col">Messages</th>${channels.map(([name]) => html`<th scope="col">${name}</th>`)}</tr>
        </thead>
        <tbody>
          ${LINES.map(
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

function save(receipt: CloseReceipt): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(receipt, undefined, 2)], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `receipt-${receipt.id.slice(0, 8)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it later
}
