/** A QR code of a link. It is loaded when it is shown. */

import { svg } from "lit";
import { encode } from "uqr";
import { words } from "../words/language.js";

/** Modules of light around it, which cameras need. */
const BORDER = 4;

/** Return the path of the dark modules, and the width of the code with its border. */
export function pathOf(text: string): { path: string; width: number } {
  const { data, size } = encode(text, { ecc: "M", border: BORDER });
  const rows = data.map((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")).join(""));
  return { path: rows.join(""), width: size };
}

/** Draw the code, black on white in every scheme of colours. */
export function qrCode(text: string) {
  const { path, width } = pathOf(text);
  return svg`
    <svg class="qr" viewBox="0 0 ${width} ${width}" role="img" aria-label=${words().invite.code}>
      <rect width="100%" height="100%" fill="#fff"></rect>
      <path d=${path} fill="#000"></path>
    </svg>
  `;
}
