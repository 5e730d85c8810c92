/** `adieu-rtc/goodbye`: nothing else of adieu is needed. */

export * from "./goodbye.js";
export type { GoodbyeEvent, GoodbyeEventName, GoodbyeOptions } from "./options.js";
export type { ChannelAccount, Receipt } from "./receipt.js";
