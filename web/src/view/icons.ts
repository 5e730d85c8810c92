/** Icons. Words next to them always say what they mean. */

import { html, type TemplateResult } from "lit";

const PATHS = {
  mic: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM6 11a6 6 0 0 0 12 0M12 17v4M9 21h6",
  "mic-off":
    "M9 9V6a3 3 0 0 1 6 0v5M15 15a3 3 0 0 1-6-1M6 11a6 6 0 0 0 9 5.200M18 11a6 6 0 0 1-.7 2.800M12 17v4M9 21h6M4 3l16 17",
  camera: "M4 6h10a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2ZM16 10.500l6-3.500v10l-6-3.500",
  "camera-off":
    "M9 6h5a2 2 0 0 1 2 2v5M16 17a2 2 0 0 1-2 1H4a2 2 0 0 1-2-2V8a2 2 0 0 1 1.500-1.900M16 10.500l6-3.500v10l-3-1.800M3 3l18 18",
  reset: "M4 12a8 8 0 0 1 14-5.300L20 9M20 4v5h-5M20 12a8 8 0 0 1-14 5.300L4 15M4 20v-5h5",
  leave: "M10 4H6a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h4M15 16l4-4-4-4M19 12H9",
  file: "M14 3H7a2 2 0 0 0-2 2v14a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V8l-5-5ZM14 3v5h5",
  clip: "M20 11.500 12 19.500a5 5 0 0 1-7-7L13.500 4a3.300 3.300 0 0 1 4.700 4.700L10 17a1.700 1.700 0 0 1-2.400-2.400L15 7.200",
  send: "M4 12 20 4l-5 16-3.500-6.500L4 12ZM11.500 13.500 20 4",
  link: "M10 14a4 4 0 0 0 5.700 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.700 0l-3 3A4 4 0 0 0 11 18.700l1-1",
  check: "M5 12.500 10 17.500 19 7",
  close: "M6 6l12 12M18 6 6 18",
  chat: "M4 5h16v11H9l-5 4V5Z",
  people:
    "M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7ZM3 20c0-4 2.500-6 6-6s6 2 6 6M16 4.500a3 3 0 0 1 0 6M17.500 14c2.500.5 3.500 2.500 3.500 6",
  receipt: "M6 3v18l3-2 3 2 3-2 3 2V3l-3 2-3-2-3 2-3-2ZM9 9h6M9 13h6",
  globe:
    "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3 12h18M12 3c2.500 2.500 3.500 5.500 3.500 9s-1 6.500-3.500 9c-2.500-2.500-3.500-5.500-3.500-9s1-6.500 3.500-9",
  move: "M12 3v18M3 12h18M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3",
  folder: "M3 6h6l2 2h10v11H3Z",
  float: "M3 5h18v14H3ZM12 12h7v5h-7Z",
  qr: "M4 4h6v6H4ZM14 4h6v6h-6ZM4 14h6v6H4ZM14 14h2v2h-2ZM18 14h2v6h-2M14 19h2",
  screen: "M3 5h18v11H3ZM9 20h6M12 16v4M9 10.500l3-3 3 3M12 7.500v6",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  wave: "M4 15c3-9 7-9 8 0 1-9 5-9 8 0",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]}></path></svg>`;
}
