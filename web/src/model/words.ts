/** Chooses what the page says about people, devices, files and the end of a call. The texts are in `words/`. */

import type { Account, ChannelReceipt, CloseReceipt, ProgressEvent, StateName } from "adieu-rtc";
import { en } from "../words/en.js";
import { words } from "../words/language.js";
import type { DeviceTrouble, Kind } from "./devices.js";
import type { Quality } from "./quality.js";

export type Tone = "good" | "wait" | "bad";

/** A sentence, and how urgent it is. */
export interface Line {
  text: string;
  tone: Tone;
  /** The time that is left; it changes too often to be read out. */
  more?: string;
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

/** Return the name to show for a peer. */
export function nameOf({ label }: { label: string }): string {
  return label || words().people.nameless;
}

/** Return the status of a peer in words. */
export function standing({ label, state, cause, silent = 0 }: Standing): Line {
  const name = short(label);
  const texts = words().state;
  switch (state) {
    case "suspect":
    case "recovering":
      return { text: trouble(name, state, cause, silent), tone: "wait" };
    case "open":
      return { text: texts.open(name), tone: "good" };
    case "closed":
      return { text: texts.closed(name), tone: "bad" };
    default:
      return { text: texts[state](name), tone: "wait" };
  }
}

/** Return the trouble in words: the cause if it is known, otherwise only the silence. */
function trouble(name: string, state: "suspect" | "recovering", cause: string, silent: number): string {
  const texts = words().state;
  const lasts = spell(silent);
  const all: Record<string, (name: string) => string> = texts.trouble;
  const known = Object.hasOwn(all, cause) ? all[cause] : undefined;
  if (!known && state === "suspect") return texts.quiet(name, lasts);
  const text = (known ?? texts.unreachable)(name);
  return lasts ? texts.soFar(text, lasts) : text;
}

/** Return what is wrong with a connection, and why; empty while it is fine. */
export function connectionTrouble(quality: Quality | undefined): string {
  if (!quality?.trouble) return "";
  const { connection, percent } = words();
  const { trip = 0, loss = 0 } = quality;
  const text = quality.trouble === "lossy" ? connection.lossy(percent(loss)) : connection.slow(seconds(trip));
  return quality.relay ? connection.byRelay(text) : text;
}

/** Return all that is known of a connection: the way, the time there and back, the losses. */
export function connectionWords(quality: Quality | undefined): string {
  const { connection, percent } = words();
  if (!quality) return connection.unknown;
  const { relay, trip, loss } = quality;
  const parts = [relay ? connection.relay : connection.direct];
  if (trip !== undefined) parts.push(connection.trip(seconds(Math.max(trip, 0.001))));
  if (loss !== undefined) parts.push(loss < 0.005 ? connection.lossless : connection.lost(percent(loss)));
  return `${parts.join(", ")}.`;
}

/** Return one line about the state of the room, with the most urgent first. */
export function summary(
  others: readonly Standing[],
  { online, server, apart = [] }: { online: boolean; server: boolean; apart?: readonly Apart[] },
): Line {
  const texts = words().state;
  const troubled = others.filter(({ state }) => state === "recovering" || state === "suspect");
  if (!online) return { text: texts.offline, tone: "bad" };
  if (troubled.length && !server) return { text: texts.ownNetwork, tone: "bad" };
  const urgent = troubled[0] ?? others.find(({ state }) => state !== "open" && state !== "connecting");
  if (urgent) return standing(urgent);
  const called = (all: readonly { label: string }[]) => all.map(({ label }) => short(label) || words().people.somebody);
  const open = others.filter(({ state }) => state === "open");
  const coming = others.filter(({ state }) => state === "connecting");
  const lines: Line[] = [];
  if (open.length) lines.push({ text: texts.connected(called(open)), tone: "good" });
  if (coming.length) lines.push({ text: texts.coming(called(coming)), tone: "wait" });
  if (apart.length) lines.push({ text: texts.apart(called(apart)), tone: "bad" });
  if (!server) lines.push({ text: texts.server, tone: open.length ? "wait" : "bad" });
  if (!lines.length) return { text: texts.alone, tone: "wait" };
  const tones = lines.map(({ tone }) => tone);
  return {
    text: lines.map(({ text }) => text).join(" "),
    tone: (["bad", "wait"] as const).find((tone) => tones.includes(tone)) ?? "good",
  };
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
  const { second, minute, hour } = words().duration;
  if (duration < 10) return "";
  if (duration < 60) return second(duration < 30 ? 10 : 30);
  const minutes = Math.floor(duration / 60);
  return minutes < 60 ? minute(minutes) : hour(Math.floor(minutes / 60));
}

/** Return names as a list: "Ada, Ben and Cy". */
export function list(names: readonly string[]): string {
  return words().list(names);
}

/** Return the troubles of devices with their remedies: one sentence for devices with the same trouble. */
export function deviceTroubles(states: ReadonlyMap<Kind, DeviceTrouble>): string[] {
  const kinds = new Map<DeviceTrouble, Kind[]>();
  for (const [kind, state] of states) kinds.set(state, [...(kinds.get(state) ?? []), kind]);
  return [...kinds].flatMap(([state, those]) => {
    if (state === "off" || state === "asking" || state === "on" || state === "muted") return [];
    return words().devices[state](those);
  });
}

/** Return what is still under way in a close or a reset: "3 messages and film.mp4 (30 %)"; empty for nothing. */
export function stillUnderWay(steps: readonly Pick<ProgressEvent, "messages" | "incoming" | "files">[]): string {
  const texts = words().state.underWay;
  const sum = (of: "messages" | "incoming") => steps.reduce((all, step) => all + step[of], 0);
  const files = steps.flatMap((step) => step.files);
  const percent = (file: { done: number; size: number }) => words().percent(file.done / (file.size || 1));
  const parts = files.slice(0, 2).map((file) => `${short(file.name)} (${percent(file)})`);
  if (files.length > 2) parts.push(texts.files(files.length - 2));
  if (sum("messages")) parts.unshift(texts.messages(sum("messages")));
  const coming = sum("incoming");
  return list(coming ? [...parts, texts.incoming(coming)] : parts);
}

/** Return the time that a step may still take; empty if it is short. */
export function atMost(steps: readonly Pick<ProgressEvent, "timeout">[]): string {
  const longest = Math.max(0, ...steps.map(({ timeout }) => timeout / 1000));
  return longest < 1 ? "" : words().atMost(left(longest));
}

export type JoinTrouble = "unauthorized" | "denied" | "full" | "away" | "other";

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
  const { join } = words();
  return trouble === "other" ? join.other((error as Error).message) : join[trouble];
}

/** Return a sentence for each file that is under way. */
export function underWayWords(files: readonly { name: string; part: number; direction: "in" | "out" }[]): string[] {
  return files.map(({ name, part, direction }) => words().file[direction](short(name), words().percent(part)));
}

/** The end of an error of the SDK, and its text here. */
const FILE_TROUBLES: [RegExp, keyof typeof en.file.why][] = [
  [new RegExp(`${en.file.why.unwanted}$`), "unwanted"],
  [/too large for a browser$/, "tooLarge"],
  [/withdrawn$/, "withdrawn"],
  [/cancelled/, "cancelled"],
  [/the session (has )?ended|is closing/, "ended"],
];

/** Return why a file was not delivered. An error that is not known is in English. */
export function fileTrouble(message: string): string {
  const found = FILE_TROUBLES.find(([pattern]) => pattern.test(message));
  return found ? words().file.why[found[1]] : message;
}

/** Return a size: "3.1 MB". */
export function fileSize(bytes: number): string {
  const { units, number } = words();
  let unit = 0;
  let size = bytes;
  for (; size >= 999.5 && unit < units.length - 1; unit++) size /= 1000;
  return `${number(size, unit && size < 9.95 ? 1 : 0)} ${units[unit]}`;
}

/** Return a time: "12 ms", "0.3 seconds". */
export function seconds(duration: number): string {
  if (duration < 0.0995) return words().milliseconds(Math.round(duration * 1000));
  return words().seconds(duration, duration < 9.95 ? 1 : 0);
}

/** Return the time that is left: "20 seconds left", "3 minutes left". */
export function left(duration: number): string {
  const { second, minute, hour } = words().duration;
  if (duration < 100) return words().left(second(Math.round(duration)));
  return words().left(duration < 6000 ? minute(Math.round(duration / 60)) : hour(Math.round(duration / 3600)));
}

/** Return the words for one of the five steps of a close. */
export function stepWords(name: string): string {
  return (words().receipt.steps as Record<string, string>)[name] ?? name;
}

/** Return one text for all receipts after leaving. It says nothing that is not true of each of them. */
export function parting(receipts: readonly Parted[]): string {
  const channels = receipts.flatMap((receipt) => Object.values(receipt.channels));
  const partial = receipts.flatMap((receipt) => receipt.partial ?? []);
  const lacksFilesOnly = partial.length > 0 && receipts.every(({ confirmed = true }) => confirmed);
  const messages = lacksFilesOnly && channels.every(({ sent, received }) => !lost(sent) && !lost(received));
  return [messages ? "" : fate(receipts, channels), notWhole(partial), notRead(channels)].filter(Boolean).join(" ");
}

type Parted = Pick<CloseReceipt, "clean" | "channels"> & Partial<Pick<CloseReceipt, "partial" | "confirmed">>;

function notWhole(files: CloseReceipt["partial"]): string {
  const [file] = files;
  const { end } = words();
  if (!file) return "";
  return files.length === 1 ? end.fileNotWhole(short(file.name)) : end.filesNotWhole(files.length);
}

function fate(receipts: readonly Pick<CloseReceipt, "clean">[], channels: readonly ChannelReceipt[]): string {
  const { end } = words();
  const strict = channels.filter(({ reliable }) => reliable);
  if (receipts.every(({ clean }) => clean)) {
    // An unreliable channel may lose messages, and unknown messages may be lost.
    const loose = channels.some(({ sent, received }) => lost(sent) !== 0 || lost(received) !== 0);
    return loose ? end.everythingStrict : end.everything;
  }
  if (strict.some(({ sent }) => lost(sent) !== 0)) return end.kept;
  return strict.some(({ received }) => lost(received)) ? end.theirsLost : end.theirsUnknown;
}

/** Return the number of unknown and unsent messages; undefined: this side cannot know. */
function lost({ unknown, unsent }: Account): number | undefined {
  return unknown && unsent ? unknown.messages + unsent.messages : undefined;
}

/** Return the texts about unread messages. Delivered does not mean read: a program may end before it reads. */
function notRead(channels: readonly ChannelReceipt[]): string {
  const { end } = words();
  const sum = (of: (channel: ChannelReceipt) => Account) =>
    channels.reduce((all, channel) => all + (of(channel).unread?.messages ?? 0), 0);
  const [theirs, yours] = [sum(({ sent }) => sent), sum(({ received }) => received)];
  const lines = [];
  if (theirs) lines.push(end.unreadThere(theirs));
  if (yours) lines.push(end.unreadHere(yours));
  return lines.join(" ");
}
