/** The account of media at the end of a session (closing rule S16). Loaded when there is media. */

import type { MediaAccount } from "../protocol/messages.js";
import type { SessionMachine } from "./machine/machine.js";
import { agree } from "./machine/media.js";
import type { MediaReceipt } from "./receipt.js";

/** Seconds in which the other side hears what has been said before the close. */
const PLAYED = 0.25;
/** Seconds between two counts while the session closes: the last one counts what came just before the last word. */
const COUNTED = 0.1;

/** The shell of a session, for this. */
interface Shell {
  readonly machine: SessionMachine;
  readonly platform: { later(seconds: number, call: () => void): unknown };
  readonly connections: ReadonlyMap<number, { readonly pc: RTCPeerConnection }>;
  mediaReceipts: Record<string, MediaReceipt>;
  step(call: (now: number) => void): void;
}

type Report = Map<string, Record<string, unknown>>;
const counting = new WeakSet<Shell>();

/** Wait until what this side has said before the close was heard; then the account is fresh. */
export async function finish(shell: Shell, heard: boolean): Promise<void> {
  void count(shell);
  const sends = [...shell.connections.values()].some(({ pc }) =>
    pc.getSenders().some(({ track }) => track?.readyState === "live" && track.enabled),
  );
  if (heard && sends) await pause(shell, PLAYED);
  await take(shell);
}

/** Keep the account fresh until this side says its last word, which carries it. */
export async function count(shell: Shell): Promise<void> {
  const { machine } = shell;
  if (!machine.closing || counting.has(shell)) return;
  counting.add(shell);
  while (!machine.closing.saidClosed) {
    await take(shell);
    await pause(shell, COUNTED);
  }
}

function pause({ platform }: Shell, seconds: number): Promise<void> {
  return new Promise((done) => void platform.later(seconds, done));
}

async function take(shell: Shell): Promise<void> {
  const { machine, connections } = shell;
  const pc = (connections.get(machine.active ?? 0) ?? [...connections.values()].at(-1))?.pc;
  if (!pc || pc.signalingState === "closed" || machine.closing?.saidClosed) return;
  const report = await pc.getStats().catch(() => new Map()); // the connection is lost
  const receipts = receiptsOf(report as unknown as Report);
  if (machine.closing?.saidClosed || !Object.keys(receipts).length) return;
  shell.mediaReceipts = receipts;
  const accounts = new Map(Object.entries(receipts).map(([mid, receipt]) => [mid, accountOf(receipt)]));
  shell.step((now) => machine.mediaCounted(accounts, agree, now));
}

function accountOf({ sent, received }: MediaReceipt): MediaAccount {
  return { packets: sent?.packets ?? 0, bytes: sent?.payloadBytes ?? 0, arrived: received?.packets ?? 0 };
}

function receiptsOf(report: Report): Record<string, MediaReceipt> {
  const found: Record<string, MediaReceipt> = {};
  const numberOf = (stats: Record<string, unknown> | undefined, name: string) => (stats?.[name] as number) ?? 0;
  for (const stats of report.values()) {
    const { type, mid, kind } = stats as { type: string; mid?: string; kind: "audio" | "video" };
    if (mid === undefined || (type !== "outbound-rtp" && type !== "inbound-rtp")) continue;
    const section = (found[mid] ??= { kind, sent: null, received: null });
    if (type === "inbound-rtp") {
      const { received } = section;
      section.received = {
        packets: (received?.packets ?? 0) + numberOf(stats, "packetsReceived"),
        payloadBytes: (received?.payloadBytes ?? 0) + numberOf(stats, "bytesReceived"),
        lost: (received?.lost ?? 0) + numberOf(stats, "packetsLost"),
      };
      continue;
    }
    const { sent } = section; // simulcast has several streams in a section
    const remote = report.get(String(stats["remoteId"]));
    section.sent = {
      packets: (sent?.packets ?? 0) + numberOf(stats, "packetsSent"),
      payloadBytes: (sent?.payloadBytes ?? 0) + numberOf(stats, "bytesSent"),
      arrived: remote ? (sent?.arrived ?? 0) + numberOf(remote, "packetsReceived") : (sent?.arrived ?? null),
      lost: remote ? (sent?.lost ?? 0) + numberOf(remote, "packetsLost") : (sent?.lost ?? null),
    };
  }
  return found;
}
