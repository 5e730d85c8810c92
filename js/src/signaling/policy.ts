/** How patient a signaling client is. Times in seconds. */
export const POLICY = {
  /** The time for opening a socket, from the first packet to `welcome`. */
  openTimeout: 5,
  /** How long the first connection is tried again while the server is busy. */
  enterTimeout: 60,
  /** The longest wait before the first attempt to reconnect; it doubles with each failure. */
  firstRetry: 0.1,
  /** The longest wait. Each wait is drawn between half of it and the whole. */
  maxRetry: 2,
  /** After a connection of this length the waits start from `firstRetry` again. */
  steadyAfter: 5,
  /** How long `join`, `leave` and the like wait for an answer, also while the server is away. */
  requestTimeout: 15,
  /** How long leaving may take, with the queued messages. */
  quitTimeout: 1,
  /** Silence after which the client asks the server for a sign of life: a page cannot send a WebSocket's own pings. */
  ping: 5,
  /** How long its answer may take before the socket counts as lost. */
  pong: 5,
  /** How many relayed messages may wait for the server's acknowledgement. */
  outboxMessages: 1024,
  /** How many bytes of them; what is more is dropped with `undelivered`. */
  outboxBytes: 1024 * 1024,
};

export type Policy = typeof POLICY;

/** How long to wait before attempt number `attempt` (from 1); `draw` is random in [0, 1). */
export function delay({ firstRetry, maxRetry }: Policy, attempt: number, draw: number): number {
  return Math.min(maxRetry, firstRetry * 2 ** Math.min(attempt - 1, 16)) * (0.5 + draw / 2);
}
