/** The numbers of a session, and the replaceable policy of its recovery. */

import { CAPABILITIES, DEFAULT_MAX_MESSAGE, DEFAULT_WINDOW } from "../../protocol/control.js";

export const STEPS = ["wait", "ice", "transport", "give-up"] as const;
export type Step = (typeof STEPS)[number];

/** When to try what while the other side does not answer (closing rule S10). */
export interface RecoveryPolicy {
  /**
   * Return the action after `silence` seconds without an answer, and when (in the same seconds) to ask again.
   *
   * @param silence seconds since the first question that got no answer.
   * @param attempts new connections since then.
   */
  step(silence: number, attempts: number): [step: Step, again: number];
}

/** The default: ICE restart at 5 s, a new connection beside the old one at 8 s and every 10 s, an end at 60 s. */
export class Ladder implements RecoveryPolicy {
  constructor(
    readonly iceRestart = 5,
    readonly newConnection = 8,
    readonly again = 10,
    readonly giveUp = 60,
  ) {}

  step(silence: number, attempts: number): [Step, number] {
    if (silence >= this.giveUp) return ["give-up", this.giveUp];
    const due = this.newConnection + attempts * this.again;
    if (silence >= due) return ["transport", Math.min(silence + this.again, this.giveUp)];
    if (silence >= this.iceRestart && attempts === 0) return ["ice", due];
    return ["wait", Math.min(silence < this.iceRestart ? this.iceRestart : due, this.giveUp)];
  }
}

/** Settings of a session. Times in seconds, sizes in bytes. */
export const DEFAULTS = {
  /** For the first connection; then the session ends with `gave-up`. */
  connectTimeout: 60,
  helloTimeout: 5,
  /** Silence after which a `ping` is sent. */
  heartbeat: 1,
  /** An unanswered ping of this age makes the session `suspect`. */
  suspectAfter: 3,
  /** The same, after its signaling socket ended: pings in a burst. */
  burst: 0.6,
  /** A word without effect in-band is then said by signaling too. */
  wordRepeat: 0.25,
  resetTimeout: 20,
  closeTimeout: 5,
  /** Credit given to the sender of each reliable channel; what an unreliable one queues. */
  window: DEFAULT_WINDOW,
  /** Accepted and not yet started, per channel; then `send()` waits. No more than this is under way and not taken. */
  sendBuffer: 16 * 1024 * 1024,
  /** Accepted as one message, and taken as one. */
  maxMessage: DEFAULT_MAX_MESSAGE,
  /** The most bytes that a session holds for its application, of all channels: payload, and 256 for each message. */
  budget: 64 * 1024 * 1024,
  /** The most bytes of the session that count as taken while closing although they are unread; within the budget. */
  closingBound: 64 * 1024 * 1024,
  /** While the other side closes: so long nothing new may come of it before this side ends the session. */
  closingPatience: 60,
  /** Between this and `streamLow` the bufferedAmount of a session's data channel is held. */
  streamHigh: 1024 * 1024,
  streamLow: 256 * 1024,
  /** The same for all data channels of a connection together. */
  linkHigh: 8 * 1024 * 1024,
  ackMessages: 64,
  ackBytes: 256 * 1024,
  ackDelay: 0.02,
  maxChannels: 256,
  /** An offer of a file that nobody has answered, and nobody is at, is refused after this time. */
  filePatience: 10,
  peerResetsBurst: 20,
  peerResetsEvery: 2,
  recovery: new Ladder() as RecoveryPolicy,
  /** The capabilities that this side announces. The session does without those that are left out. */
  capabilities: CAPABILITIES,
};

/** The numbers of a session; times are seconds. `DEFAULTS` has their values. */
export type Options = typeof DEFAULTS;
