/** The texts of the page about people, devices, files and the end of a call. */

import type { Account, ChannelReceipt, CloseReceipt, StateName } from "adieu-rtc";
import type { DeviceState, Kind } from "./devices.js";

export type Tone = "good" | "wait" | "bad";

/** A sentence, and how urgent it is. */
export interface Line {
  text: string;
  tone: Tone;
}

/** The status of a peer. */
export interface Standing {
  /** The name for people; empty if it is not known. */
  label: string;
  state: StateName;
  cause: string;
  /** Seconds of silence, if the peer does not answer. */
  silent?: number;
}

/** A peer in the room without a connection to this page. */
export interface Apart {
  /** The peer id. */
  peer: string;
  label: string;
  /** Whether a connection is being tried. */
  trying: boolean;
  /** Whether a connection may be requested; otherwise one of the two did not want it. */
  wanted: boolean;
}

const CANNOT_BE_REACHED = "{who} can’t be reached, trying again …";
const TROUBLE = new Map([
  ["network-lost", "{who}’s network dropped, trying again …"],
  ["frozen", "{who}’s program does not respond, waiting for it …"],
  ["frozen, network-lost", CANNOT_BE_REACHED],
  ["crashed", "{who}’s program ended without a word. Waiting in case it returns …"],
  ["busy", "{who}’s program is busy, waiting for it …"],
  ["reloaded", "{who} loaded the page again, waiting for it …"],
]);

/** Return the status of a peer in words. */
export function standing({ label, state, cause, silent = 0 }: Standing): Line {
  const who = short(label) || "The other side";
  const whom = short(label) || "the other side";
  switch (state) {
    case "connecting":
      return { text: `${who} is here, connecting …`, tone: "wait" };
    case "open":
      return { text: `Connected with ${stop(whom)}`, tone: "good" };
    case "suspect":
    case "recovering":
      return { text: trouble(who, state, cause, silent), tone: "wait" };
    case "resetting":
      return { text: `Renewing the connection with ${whom} …`, tone: "wait" };
    case "closing":
      return { text: `Saying goodbye to ${whom} …`, tone: "wait" };
    case "closed":
      return { text: `${who} is gone.`, tone: "bad" };
  }
}

/** Return the trouble in words: the cause if it is known, otherwise only the silence. */
function trouble(who: string, state: "suspect" | "recovering", cause: string, silent: number): string {
  const lasts = spell(silent);
  const known = state === "suspect" && cause.includes(",") ? undefined : TROUBLE.get(cause);
  if (!known && state === "suspect") return `${who} has not answered for ${lasts || "a moment"} …`;
  const text = (known ?? CANNOT_BE_REACHED).replace("{who}", () => who);
  return lasts ? `${text} (${lasts} so far)` : text;
}

/** Return one line about the state of the room, with the most urgent first. */
export function summary(
  others: readonly Standing[],
  { online, server, apart = [] }: { online: boolean; server: boolean; apart?: readonly Apart[] },
): Line {
  const troubled = others.filter(({ state }) => state === "recovering" || state === "suspect");
  if (!online) return { text: "You are offline. Trying again as soon as your network is back …", tone: "bad" };
  if (troubled.length && !server) return { text: "Your network dropped, trying again …", tone: "bad" };
  const urgent = troubled[0] ?? others.find(({ state }) => state !== "open" && state !== "connecting");
  if (urgent) return standing(urgent);
  const called = (all: readonly { label: string }[]) => list(all.map(({ label }) => short(label) || "somebody"));
  const open = others.filter(({ state }) => state === "open");
  const coming = others.filter(({ state }) => state === "connecting");
  const lines: Line[] = [];
  if (open.length) lines.push({ text: `Connected with ${stop(called(open))}`, tone: "good" });
  if (coming.length) lines.push({ text: `${called(coming)} ${isAre(coming)} here, connecting …`, tone: "wait" });
  if (apart.length) lines.push({ text: `${called(apart)} ${isAre(apart)} here, not connected to you.`, tone: "bad" });
  if (!server) lines.push({ text: AWAY, tone: open.length ? "wait" : "bad" });
  if (!lines.length) return { text: "Nobody else is here yet.", tone: "wait" };
  const tones = lines.map(({ tone }) => tone);
  return {
    text: lines.map(({ text }) => text).join(" "),
    tone: (["bad", "wait"] as const).find((tone) => tones.includes(tone)) ?? "good",
  };
}

const AWAY = "The server does not answer, so nobody new can join. Trying again …";

function isAre(all: readonly unknown[]): string {
  return all.length === 1 ? "is" : "are";
}

/** Add the full stop of a sentence. */
function stop(text: string): string {
  return text.endsWith("…") ? text : `${text}.`;
}

/** The most letters of a name in a line. */
const NAME = 24;

/** Return a name that fits into a line; the number of "Ben (2)" stays. */
export function short(name: string): string {
  const [number = ""] = / \(\d+\)$/.exec(name) ?? [];
  const letters = [...name.slice(0, name.length - number.length)];
  return letters.length > NAME ? `${letters.slice(0, NAME - 1).join("")}…${number}` : name;
}

/** Return a duration for people, rounded so that it does not change all the time; empty for a moment. */
export function spell(duration: number): string {
  if (duration < 10) return "";
  if (duration < 60) return duration < 30 ? "10 seconds" : "30 seconds";
  const minutes = Math.floor(duration / 60);
  return minutes < 60 ? counted(minutes, "minute") : counted(Math.floor(minutes / 60), "hour");
}

/** Return names as a list: "Ada, Ben and Cy". */
export function list(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const DEVICES: Record<Kind, string> = { audio: "microphone", video: "camera" };

/** Return the troubles of devices with their remedies: one sentence for devices with the same trouble. */
export function deviceTroubles(states: ReadonlyMap<Kind, DeviceState>): string[] {
  const kinds = new Map<DeviceState, Kind[]>();
  for (const [kind, state] of states) kinds.set(state, [...(kinds.get(state) ?? []), kind]);
  return [...kinds].map(([state, those]) => deviceTrouble(those, state)).filter(Boolean);
}

function deviceTrouble(kinds: readonly Kind[], state: DeviceState): string {
  const devices = list(kinds.map((kind) => DEVICES[kind]));
  const one = kinds.length === 1;
  const [are, it, one_] = one ? ["is", "it", "one"] : ["are", "them", "them"];
  switch (state) {
    case "denied":
      return `Your browser blocks your ${devices} on this page. Allow ${it} in the address bar, then turn ${it} on again.`;
    case "missing":
      return `No ${one ? devices : devices.replace(" and ", " and no ")} was found. Connect ${one_}, then turn ${it} on. Everything else works without ${it}.`;
    case "busy":
      return `Another program uses your ${devices}. Close it, then turn ${it} on again.`;
    case "unplugged":
      return `Your ${devices} ${are} gone. ${one ? "Was it" : "Were they"} unplugged? Connect ${it}, then turn ${it} on again.`;
    case "blocked":
      return `Your browser allows no ${devices} on a page without TLS (https). Chat and files work.`;
    default:
      return "";
  }
}

/** Return why dropped folders are not sent, and the remedy. */
export function foldersNotSent(names: readonly string[]): string {
  const quoted = list(names.map((name) => `“${short(name)}”`));
  return names.length === 1
    ? `${quoted} is a folder, and was not sent. Send the files in it, or pack it into one file (zip) first.`
    : `${quoted} are folders, and were not sent. Send the files in them, or pack them into one file (zip) first.`;
}

const COULD_NOT_JOIN: Record<string, string> = {
  unauthorized: "This server asks for a key. Ask the person who invited you for it.",
  denied: "Your key does not open this room. Ask the person who invited you for another key.",
  full: "The room or the server is full at the moment. Try again later.",
  away: "The server does not answer. Check that it is running and that you are online, then try again.",
};

export type JoinTrouble = keyof typeof COULD_NOT_JOIN | "other";

/** Return the kind of trouble of an error of `join()`. */
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

/** Return why joining failed, and the remedy. */
export function couldNotJoin(trouble: JoinTrouble, error: unknown): string {
  return COULD_NOT_JOIN[trouble] ?? `The server refused: ${(error as Error).message}.`;
}

/** Return a count: "3 unsent messages", "1 unsent message". */
export function counted(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** Return a size: "3.1 MB". */
export function fileSize(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = bytes;
  for (; size >= 999.5 && unit < units.length - 1; unit++) size /= 1000;
  return `${unit && size < 9.95 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** Return a time: "12 ms", "0.3 seconds". */
export function seconds(duration: number): string {
  if (duration < 0.0995) return `${Math.round(duration * 1000)} ms`;
  return `${duration < 9.95 ? duration.toFixed(1) : Math.round(duration)} seconds`;
}

const STEPS: Record<string, string> = {
  announce: "Said goodbye",
  drain: "Waited until everything had arrived",
  channels: "Closed the channels",
  connection: "Closed the connection",
  "clean-up": "Released everything",
};

/** Return the words for one of the five steps of a close. */
export function stepWords(name: string): string {
  return STEPS[name] ?? name;
}

/** Return one text for all receipts after leaving. It says nothing that is not true of each of them. */
export function parting(receipts: readonly Pick<CloseReceipt, "clean" | "channels">[]): string {
  const channels = receipts.flatMap((receipt) => Object.values(receipt.channels));
  return [fate(receipts, channels), notRead(channels)].filter(Boolean).join(" ");
}

function fate(receipts: readonly Pick<CloseReceipt, "clean">[], channels: readonly ChannelReceipt[]): string {
  const strict = channels.filter(({ reliable }) => reliable);
  if (receipts.every(({ clean }) => clean)) {
    // An unreliable channel may lose messages, and unknown messages may be lost.
    const loose = channels.some(({ sent, received }) => lost(sent) !== 0 || lost(received) !== 0);
    return `Everything ${loose ? "that must not be lost " : ""}was delivered, and both sides know it.`;
  }
  if (strict.some(({ sent }) => lost(sent) !== 0)) {
    return "Some of your messages may not have arrived. They are kept in this tab.";
  }
  return strict.some(({ received }) => lost(received))
    ? "All your messages were delivered, but some of their messages did not arrive."
    : "All your messages were delivered. Some of their messages may not have arrived.";
}

/** Return the number of unknown and unsent messages; undefined: this side cannot know. */
function lost({ unknown, unsent }: Account): number | undefined {
  return unknown && unsent ? unknown.messages + unsent.messages : undefined;
}

/** Return the texts about unread messages. Delivered does not mean read: a program may end before it reads. */
function notRead(channels: readonly ChannelReceipt[]): string {
  const sum = (of: (channel: ChannelReceipt) => Account) =>
    channels.reduce((all, channel) => all + (of(channel).unread?.messages ?? 0), 0);
  const [theirs, yours] = [sum(({ sent }) => sent), sum(({ received }) => received)];
  const lines = [];
  if (theirs) lines.push(`${theirs} of your messages ${theirs === 1 ? "was" : "were"} not read yet.`);
  if (yours) lines.push(`You have not read ${yours} of their messages yet.`);
  return lines.join(" ");
}
