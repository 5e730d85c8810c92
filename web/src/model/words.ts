/** Everything the page says about how things stand, in a person's words. */

import type { StateName } from "adieu-rtc";
import type { DeviceState, Kind } from "./devices.js";

export type Tone = "good" | "wait" | "bad";

/** A sentence, and how urgent it is. */
export interface Line {
  text: string;
  tone: Tone;
}

/** What is known of somebody. */
export interface Standing {
  name: string;
  state: StateName;
  cause: string;
}

const TROUBLE = new Map([
  ["network-lost", "{who}’s network dropped, trying again …"],
  ["frozen", "{who}’s program is standing still, waiting for it …"],
  ["frozen, network-lost", "{who} can’t be reached, trying again …"],
  ["crashed", "{who}’s program ended without a word. Waiting in case it comes back …"],
  ["busy", "{who}’s program is busy, waiting for it …"],
]);

/** How one of the others is. */
export function standing({ name, state, cause }: Standing): Line {
  const who = name || "The other side";
  switch (state) {
    case "connecting":
      return { text: `${who} is here, connecting …`, tone: "wait" };
    case "open":
      return { text: `Connected with ${name || "the other side"}.`, tone: "good" };
    case "suspect":
      return { text: `${who} has not answered for a moment …`, tone: "wait" };
    case "recovering":
      return {
        text: (TROUBLE.get(cause) ?? "{who} can’t be reached, trying again …").replace("{who}", () => who),
        tone: "wait",
      };
    case "resetting":
      return { text: `Renewing the connection with ${name || "the other side"} …`, tone: "wait" };
    case "closing":
      return { text: `Saying goodbye to ${name || "the other side"} …`, tone: "wait" };
    case "closed":
      return { text: `${who} is gone.`, tone: "bad" };
  }
}

/** The one line that says how it stands, the most urgent first. */
export function summary(others: readonly Standing[], { online, server }: { online: boolean; server: boolean }): Line {
  const troubled = others.filter(({ state }) => state === "recovering" || state === "suspect");
  if (!online) return { text: "You are offline. Trying again as soon as your network is back …", tone: "bad" };
  if (troubled.length && !server) return { text: "Your network dropped, trying again …", tone: "bad" };
  const urgent = troubled[0] ?? others.find(({ state }) => state !== "open");
  if (urgent) return standing(urgent);
  const away = "The server is away, so nobody new can come in; it is tried again.";
  if (!others.length) return server ? { text: "Nobody else is here yet.", tone: "wait" } : { text: away, tone: "bad" };
  const with_ = `Connected with ${list(others.map(({ name }) => name || "somebody"))}.`;
  return server ? { text: with_, tone: "good" } : { text: `${with_} ${away}`, tone: "wait" };
}

/** "Ada, Ben and Cy". */
export function list(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const DEVICES: Record<Kind, string> = { audio: "microphone", video: "camera" };

/** What is wrong with a device, and what to do; empty if nothing is. */
export function deviceTrouble(kind: Kind, state: DeviceState): string {
  const device = DEVICES[kind];
  switch (state) {
    case "denied":
      return `The browser was told not to give your ${device} to this page. Allow it in the address bar, then turn it on again.`;
    case "missing":
      return `No ${device} was found. Connect one, then turn it on; everything else works without.`;
    case "busy":
      return `Your ${device} is used by another program. Close that, then turn it on again.`;
    case "unplugged":
      return `Your ${device} is gone. Was it unplugged? Connect it, then turn it on again.`;
    case "blocked":
      return `The browser gives no ${device} to a page without TLS (https). Chat and files work.`;
    default:
      return "";
  }
}

const COULD_NOT_JOIN: Record<string, string> = {
  unauthorized: "This server lets in only those who have a key. Ask whoever invited you for it.",
  denied: "Your key does not open this room. Ask whoever invited you for another.",
  full: "There is no room for one more at the moment. Try again later.",
  away: "The server does not answer. Is it running, and are you online? Your name stays here; try again.",
};

export type JoinTrouble = keyof typeof COULD_NOT_JOIN | "other";

/** Which trouble an error of `join()` is. */
export function joinTrouble(error: unknown): JoinTrouble {
  const { name, code } = error as { name?: string; code?: number | string };
  if (name === "SignalingLostError") return "away";
  switch (code) {
    case 3500:
    case 3005:
      return "unauthorized";
    case 3507:
    case "denied":
      return "denied";
    case "room-full":
    case "busy":
      return "full";
    default:
      return "other";
  }
}

/** Why it was not possible to come in, and what to do. */
export function couldNotJoin(trouble: JoinTrouble, error: unknown): string {
  return COULD_NOT_JOIN[trouble] ?? `The server did not let you in: ${(error as Error).message}.`;
}

/** "3 unsent messages", "1 unsent message". */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** "3.1 MB". */
export function fileSize(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = bytes;
  for (; size >= 999.5 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit && size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** "12 ms", "0.3 seconds". */
export function seconds(duration: number): string {
  if (duration < 0.0995) return `${Math.round(duration * 1000)} ms`;
  return `${duration < 9.95 ? duration.toFixed(1) : Math.round(duration)} seconds`;
}

const STEPS: Record<string, string> = {
  announce: "Said that it ends",
  drain: "Waited until everything had arrived",
  channels: "Closed the channels",
  connection: "Closed the connection",
  "clean-up": "Let go of everything",
};

/** What one of the five steps of a close is. */
export function stepWords(name: string): string {
  return STEPS[name] ?? name;
}
