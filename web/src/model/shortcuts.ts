/** Keys that do something in the call. They are single letters, so that they can be turned off (WCAG 2.1.4). */

import { known, remember } from "./memory.js";

export const SHORTCUTS = {
  m: "microphone",
  v: "camera",
  s: "screen",
  p: "floating",
  c: "chat",
  r: "reset",
  o: "more",
  l: "leave",
  "?": "list",
} as const;
export type Shortcut = (typeof SHORTCUTS)[keyof typeof SHORTCUTS];

const KEY = "keys";

/** Whether single letters do something. */
export function areOn(): boolean {
  return known(KEY) !== "off";
}

/** Turn the single letters on or off, and remember it. */
export function turn(on: boolean): void {
  remember(KEY, on ? "on" : "off");
}

type Pressed = Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey" | "repeat" | "isComposing" | "target">;

/** Return what a key does; undefined: it is for a field or the browser, or does nothing. */
export function shortcutOf(event: Pressed): Shortcut | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.isComposing || !areOn()) return undefined;
  const at = event.target as Partial<HTMLElement> | null;
  if (at?.isContentEditable || at?.closest?.("input:not([type=checkbox]), textarea, select, dialog")) return undefined;
  const key = event.key.toLowerCase();
  return Object.hasOwn(SHORTCUTS, key) ? SHORTCUTS[key as keyof typeof SHORTCUTS] : undefined;
}
