/** The account that a side holds when a connection has ended. */

/** A data channel, as `getStats()` tells of it. */
export interface Seen {
  label: string;
  sent: number;
  received: number;
  /** Undefined: goodbye was not given it, so only its counts are known. */
  given?: { reliable: boolean; buffered: number } | undefined;
}

export interface Begin {
  receipt: string;
  reason: string;
  /** Another connection is to follow. */
  reset: boolean;
}

/** The account of one channel, in messages. */
export interface ChannelAccount {
  label: string;
  id: number;
  sent: number;
  received: number;
  /** Sent, and received by the other application; undefined: not known. */
  delivered: number | undefined;
  /**
   * `peer`: the other side has counted what it received. `reset`: everything arrived at the other side; whether it
   * was read is not known. `none`: nothing is known.
   */
  proof: "peer" | "reset" | "none";
  /** Whether it was drained: goodbye was given it, or noticed it. */
  drained: boolean;
}

/** How a connection ended, and what became of the messages of each channel. */
export interface Receipt {
  /** Equal on both sides. */
  id: string;
  /** The side that closed. */
  by: "local" | "remote" | "both";
  reason: string;
  /** Another connection is to follow. */
  reset: boolean;
  /** Every step ended in its time. */
  clean: boolean;
  /** The other side holds a receipt of this close too. */
  confirmed: boolean;
  /** Why the connection ended before its close did; see the `gone` event. */
  cause: string | undefined;
  channels: ChannelAccount[];
  /** For people: one sentence each. */
  notice: string[];
}

/** Say what is not as it should be, or cannot be known. */
export function notice({ cause, clean, channels }: Omit<Receipt, "notice">, mutual: boolean): string[] {
  const missing = channels.reduce((sum, { sent, delivered = sent }) => sum + sent - delivered, 0);
  const apart = channels.filter(({ drained }) => !drained).map(({ label }) => label);
  const proved = channels.every(({ proof, drained }) => !drained || proof !== "none");
  return [
    cause && `It ended before its close: ${cause}.`,
    !clean && !cause && "It ran out of time.",
    missing && `${missing} of your messages did not arrive.`,
    !proved && "Your messages may be lost.",
    !mutual && proved && channels.length && "Your messages arrived, perhaps unread.",
    !mutual && "The other side does not know why; its messages may be lost.",
    apart.length && `Not given, so not drained: ${apart.join(", ")}.`,
  ].filter(Boolean) as string[];
}
