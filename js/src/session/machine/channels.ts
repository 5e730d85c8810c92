/** The named channels: how they open, what goes out on them, what comes, and what is acknowledged. */

import { ChannelError } from "../../errors.js";
import * as control from "../../protocol/control.js";
import type * as messages from "../../protocol/messages.js";
import { isReliable, Violation } from "./flow.js";
import { Receiver } from "./receiver.js";
import { Sender } from "./sender.js";
import type { Channel, ConnectionState, Kind, MachineState } from "./state.js";

/** A peer that counts payload alone hears of its window again after so many messages that are not taken. */
export const SLOW_DOWN = 1024;
/** Channels in one `ack`: with long names and all their ranges it stays below what a connection carries. */
const ACKS = 64;

// --- opening ------------------------------------------------------------------------------------------------------

/**
 * Return the channel of this name; make it if it does not exist.
 *
 * @throws ChannelError it is open with other options, or there are too many channels.
 */
export function openChannel(m: MachineState, name: string, kind: Kind): Channel {
  const known = m.channels.get(name);
  if (known) {
    if (known.end) {
      throw new ChannelError(
        `channel ${quoted(name)} is ${known.end.over ? "closed, but" : "closing:"} its name is not free yet: ` +
          "the other side has not said that it knows",
      );
    }
    if (!isSame(known, kind)) {
      throw new ChannelError(
        `channel ${quoted(name)} is already open with ${inWords(known)}; asked for ${inWords(kind)}. ` +
          "Both sides must ask for the same.",
      );
    }
    claim(m, known);
    return known;
  }
  if (m.channels.size >= m.options.maxChannels) {
    throw new ChannelError(`${m.channels.size} channels are open; the limit is ${m.options.maxChannels}`);
  }
  const channel = make(m, name, kind, freeId(m, name), true);
  sayOpen(m, channel);
  return channel;
}

/** Return the next stream id that is free on all connections, in turn: one that is used again has rested longest. */
function freeId(m: MachineState, name: string): number {
  const first = m.smaller ? control.FIRST_ID_SMALLER : control.FIRST_ID_LARGER;
  for (let left = first >> 1; left >= 0; left--) {
    const id = m.nextId;
    m.nextId = id >= 2 ? id - 2 : first;
    if (!isUsed(m, id)) return id;
  }
  throw new ChannelError(`no stream id is left for channel ${quoted(name)}`);
}

function isUsed(m: MachineState, id: number): boolean {
  return m.byId.has(id) || [...m.connections.values()].some(({ channels }) => channels.has(id));
}

function make(m: MachineState, name: string, { ordered, reliability }: Kind, id: number, mine: boolean): Channel {
  const reliable = isReliable(reliability);
  const channel: Channel = {
    name,
    ordered,
    reliability,
    id,
    mine,
    open: false,
    reliable,
    sender: new Sender(reliable, m.options.sendBuffer),
    receiver: new Receiver(ordered, reliable, m.budget, mine),
    readerWaits: false,
  };
  m.channels.set(name, channel);
  m.byId.set(id, channel);
  countMessages(m, channel);
  return channel;
}

/** Count each message beside its payload, if both sides do. */
export function countMessages(m: MachineState, { sender, receiver }: Channel): void {
  sender.counted = receiver.counted = m.capabilities.has("credit2");
}

/** Note that the application takes the channel: it gets more credit than one that nobody asked for. */
export function claim(m: MachineState, channel: Channel): void {
  if (channel.receiver.claimed) return;
  channel.receiver.claimed = true;
  if (!channel.open || !channel.reliable) return;
  sendAcks(m, false, channel);
  feed(m);
}

/** Ask the other side to open the channel; later, if no connection carries the session now. */
export function sayOpen(m: MachineState, channel: Channel): void {
  if (m.active === undefined) return;
  const { name, id, ordered, reliability, receiver } = channel;
  // Before the word: what the other side sends after its `opened` must find the data channel here, also on the
  // connection of a reset that is under way.
  openEverywhere(m, channel);
  m.sendControl(m.active, { type: "open", name, id, ordered, reliability, window: receiver.grant() });
}

/** Make the data channel of a channel on every connection. */
function openEverywhere(m: MachineState, channel: Channel): void {
  for (const connection of m.connections.values()) openOn(m, connection, channel);
}

/** Make the data channel of a channel on a connection, if it does not exist. */
export function openOn(
  m: MachineState,
  { epoch, channels }: ConnectionState,
  channel: Kind & { name: string; id: number },
): void {
  const { name, id, ordered, reliability } = channel;
  if (channels.has(id)) return;
  channels.set(id, { open: false, buffered: 0, asked: false });
  m.act({ type: "OpenStream", epoch, id, name, ordered, reliability });
}

/**
 * Open the channel that the other side asks for, or say why not.
 *
 * @throws Violation its id is one that this side gives.
 */
export function handleOpen(m: MachineState, message: messages.Open): void {
  const epoch = m.active;
  if (epoch === undefined) return; // repeated once the new connection carries the session
  const { name, id, window } = message;
  const kind = { ordered: message.ordered ?? true, reliability: message.reliability ?? {} };
  const first = m.smaller ? control.FIRST_ID_LARGER : control.FIRST_ID_SMALLER;
  if (id > first || (first - id) % 2) {
    throw new Violation(`channel ${quoted(name)} opened with id ${id}, which is not its to give`);
  }
  const refuse = (error: string) => {
    m.sendControl(epoch, { type: "opened", name, id, error });
    if (!m.byId.get(id)) closeUnmatched(m, id); // the other side has made it, and closes it now
  };
  let channel = m.channels.get(name);
  if (mustWait(m, message, channel)) {
    // One said again of the channel that ends: what is said of its end answers it.
    if (!channel?.end || channel.id !== id || channel.end.heardGone) m.later.set(id, message);
    return;
  }
  if (!channel) {
    if (m.channels.size >= m.options.maxChannels || m.byId.has(id)) {
      return refuse(`no room for channel ${quoted(name)}`);
    }
    channel = make(m, name, kind, id, false);
  } else if (!isSame(channel, kind)) {
    const error = `channel ${quoted(name)} is wanted differently: ${inWords(kind)} there; ${inWords(channel)} here`;
    refuse(error);
    if (!channel.open) drop(m, channel, error);
    return;
  } else if (!channel.open && channel.mine) {
    if (m.smaller) {
      // Both open the same name at once: the smaller peer's `open` counts, and the other answers it. The data channel
      // that the other has made, and closes now, is closed from here too, or its procedure would not end.
      return closeUnmatched(m, id);
    }
    adopt(m, channel, id);
  }
  openEverywhere(m, channel);
  m.sendControl(epoch, { type: "opened", name, id: channel.id, window: channel.receiver.grant() });
  opened(m, channel, window, true);
}

/** Whether an earlier channel still holds the name or the id: the other side knows of its end already. */
function mustWait(m: MachineState, { id }: messages.Open, channel: Channel | undefined): boolean {
  if (channel?.end) return channel.open; // one that is not open yet was asked for by both at once
  const holder = m.byId.get(id);
  if (holder) return !!holder.end;
  return !channel && isUsed(m, id);
}

/** Look again at the channels for which there was no name or no id. */
export function openLater(m: MachineState): void {
  for (const [id, message] of [...m.later]) if (m.later.delete(id)) handleOpen(m, message);
}

/** Use the id of the other side, whose `open` of the same name counts. */
function adopt(m: MachineState, channel: Channel, id: number): void {
  closeEverywhere(m, channel);
  m.byId.delete(channel.id);
  channel.id = id;
  channel.mine = false;
  m.byId.set(id, channel);
}

function closeEverywhere(m: MachineState, { id }: Channel): void {
  for (const connection of m.connections.values()) {
    if (connection.channels.has(id)) closeStream(m, connection, id);
  }
}

/** Close a data channel: its id is free when it is closed. */
export function closeStream(m: MachineState, { epoch, channels }: ConnectionState, id: number): void {
  const under = channels.get(id)!;
  if (under.closing) return;
  under.closing = true;
  under.open = false;
  under.buffered = 0;
  m.act({ type: "CloseStream", epoch, id });
}

/**
 * Close the data channel that the other side closes on the active connection.
 *
 * If this side has no data channel of that id, it makes one first: the other's procedure ends when both directions are reset.
 */
export function closeUnmatched(m: MachineState, id: number): void {
  const connection = m.connections.get(m.active!)!;
  openOn(m, connection, { id, name: "", ordered: true, reliability: {} });
  closeStream(m, connection, id);
}

/** Give the name and the place of a channel back. */
export function forget(m: MachineState, { name, id, receiver }: Channel): void {
  m.channels.delete(name);
  m.byId.delete(id);
  m.hungry.delete(name);
  m.ending.delete(name);
  receiver.leave();
  feed(m);
  openLater(m);
}

/**
 * Take the answer to this side's `open`.
 *
 * @throws Violation it has another id.
 */
export function handleOpened(m: MachineState, { name, id, window = 0, error = "" }: messages.Opened): void {
  const channel = m.channels.get(name);
  if (!channel || channel.open) return;
  if (id !== channel.id) {
    if (error) return; // of an earlier one of this name, which was refused here too
    throw new Violation(`channel ${quoted(name)} opened with id ${id} instead of ${channel.id}`);
  }
  if (error) return drop(m, channel, error);
  openEverywhere(m, channel);
  opened(m, channel, window, false);
}

function opened(m: MachineState, channel: Channel, window: number, incoming: boolean): void {
  isOpen(m, channel, incoming);
  channel.sender.granted(window);
  pump(m, channel);
}

/** Note that both sides have a channel. */
export function isOpen(m: MachineState, channel: Channel, incoming = false): void {
  if (channel.open) return;
  channel.open = true;
  m.report({ type: "ChannelOpened", name: channel.name, incoming });
}

function drop(m: MachineState, channel: Channel, message: string): void {
  closeEverywhere(m, channel);
  forget(m, channel);
  m.report({ type: "ChannelFailed", name: channel.name, message });
}

// --- sending ------------------------------------------------------------------------------------------------------

/** Whether a message may be accepted: what waits to go out is below the buffer's bound. */
export function hasRoom(m: MachineState, channel: Channel | undefined): boolean {
  return (channel?.sender.queued ?? 0) < m.options.sendBuffer;
}

/** Hand to the active connection what credit and buffer allow. */
export function pump(m: MachineState, channel: Channel): void {
  if (m.active === undefined || !channel.open || m.closing?.saidClosed) return;
  if (channel.end?.said || channel.end?.over) return;
  const connection = m.connections.get(m.active)!;
  const { id, name, sender } = channel;
  const { epoch } = connection;
  const under = connection.channels.get(id);
  if (!under?.open || under.asked) return;
  const { streamHigh, linkHigh } = m.options;
  const fragment = Math.min(control.MAX_FRAGMENT, connection.maxMessage);
  const room = Math.min(streamHigh - under.buffered, linkHigh - connection.buffered);
  const full = !hasRoom(m, channel);
  for (const data of sender.frames(room, fragment)) {
    under.buffered += data.length;
    m.act({ type: "SendData", epoch, id, data });
  }
  if (under.buffered >= streamHigh) {
    askDrained(m, connection, id);
  } else if (connection.buffered >= linkHigh) {
    for (const [each, { buffered }] of connection.channels) if (buffered) askDrained(m, connection, each);
  }
  if ((full && hasRoom(m, channel)) || (!channel.reliable && sender.idle)) m.report({ type: "Acknowledged", name });
  const asks = sender.wanted();
  if (!asks) return;
  const turns = asks.turn && { turns: new Map([[name, asks.turn]]) };
  m.sendControl(epoch, { type: "want", channels: new Map([[name, asks.wanted]]), ...turns });
}

function askDrained(m: MachineState, { epoch, channels }: ConnectionState, id: number): void {
  const under = channels.get(id)!;
  if (under.asked) return;
  under.asked = true;
  // Less than was known: who asks because others are full would have the same answer at once, without end.
  const most = Math.min(m.options.streamLow, Math.floor(under.buffered / 2));
  m.act({ type: "AskDrained", epoch, id, most });
}

/** Go on sending: the data channel of a channel has room again. */
export function drained(m: MachineState, connection: ConnectionState, channel: Channel, buffered: number): void {
  const under = connection.channels.get(channel.id);
  if (!under) return;
  const crowded = connection.buffered >= m.options.linkHigh;
  under.buffered = buffered;
  under.asked = false;
  for (const other of crowded ? m.channels.values() : [channel]) pump(m, other);
}

/**
 * Forget what the other application has taken. True if any of it was news.
 *
 * @throws Violation it acknowledges what it cannot have.
 */
export function handleAck(m: MachineState, message: messages.Ack): boolean {
  let anyNews = false;
  for (const [name, ack] of message.channels) {
    const channel = m.channels.get(name);
    if (!channel?.reliable) continue;
    const news = of(channel, () => channel.sender.acknowledge(ack));
    pump(m, channel);
    if (!news) continue;
    anyNews = true;
    if (channel.end) channel.end.progressed = m.now;
    m.report({ type: "Acknowledged", name });
  }
  return anyNews;
}

// --- taking -------------------------------------------------------------------------------------------------------

/**
 * Take an SCTP message. True if it completes a message.
 *
 * @throws Violation it is not what may come.
 */
export function receive(m: MachineState, epoch: number, channel: Channel, data: Uint8Array): boolean {
  const { name, receiver } = channel;
  return of(channel, () =>
    receiver.receive(epoch, data, ([receipt, seq]) => m.remembered.has(receipt, name, seq, m.now)),
  );
}

/** Acknowledge soon: after enough messages or bytes, or 20 ms; at once while closing. */
export function ackLater(m: MachineState, { receiver, end }: Channel): void {
  if (!receiver.ackWanted) return;
  const { ackMessages, ackBytes, ackDelay } = m.options;
  if (m.closing || end || receiver.ackDue(ackMessages, ackBytes)) sendAcks(m);
  else if (!m.timers.has("ack")) m.wakeIn("ack", ackDelay);
}

/** Acknowledge what was taken; say `every` reliable channel's window, or that of one channel, in any case. */
export function sendAcks(m: MachineState, every = false, also?: Channel): void {
  m.timers.delete("ack");
  if (m.active === undefined) return;
  let channels = new Map<string, messages.Acknowledged>();
  let ranges = 0;
  for (const channel of m.channels.values()) {
    const { name, open, reliable, receiver, end } = channel;
    if (end?.said) continue; // its account says it; an ack might come when its name belongs to another
    if (!receiver.ackWanted && channel !== also && !(every && open && reliable)) continue;
    const ack = receiver.acknowledgement();
    channels.set(name, ack);
    ranges += ack.ranges?.length ?? 0;
    if (ranges > control.MAX_RANGES || channels.size === ACKS) {
      m.sendControl(m.active, { type: "ack", channels });
      channels = new Map();
      ranges = 0;
    }
  }
  if (channels.size) m.sendControl(m.active, { type: "ack", channels });
}

/** Note that the other side asks for credit, and give what there is room for. */
export function handleWant(m: MachineState, { channels, turns }: messages.Want): void {
  for (const [name, wanted] of channels) {
    const channel = m.channels.get(name);
    if (!channel?.open || !channel.reliable || !channel.receiver.counted) continue;
    channel.receiver.ask(wanted, turns?.get(name));
    if (!m.hungry.has(name)) m.hungry.set(name, channel);
  }
  feed(m);
}

/** Give credit to those that asked for it, in their order, as far as there is room. */
export function feed(m: MachineState): void {
  let first = true;
  for (const [name, channel] of [...m.hungry]) {
    const { receiver } = channel;
    if (!receiver.hungry) {
      m.hungry.delete(name);
      continue;
    }
    const { edge } = receiver;
    receiver.grant();
    let given = receiver.edge > edge;
    if (receiver.stuck && first) {
      // Nobody behind it gets a turn before it: what is large would wait for ever.
      first = receiver.giveTurn();
      given ||= first;
    }
    if (receiver.waits && receiver.claimed && !receiver.stuck) {
      receiver.waits = undefined;
      given = true; // Said even if it was said before: the other side waits for it.
    }
    if (!given) continue;
    if (!receiver.stuck) m.hungry.delete(name);
    sendAcks(m, false, channel);
  }
}

/** Count what is queued as taken, and give its credit back, up to a bound for the session. */
export function keepQueued(m: MachineState): void {
  let room = roomToKeep(m);
  for (const channel of m.channels.values()) {
    room -= channel.receiver.keep(room);
    ackLater(m, channel);
  }
  feed(m);
}

/** Do the same for one channel, which is being closed. */
export function keep(m: MachineState, channel: Channel): void {
  channel.receiver.keep(roomToKeep(m));
  ackLater(m, channel);
  feed(m);
}

function roomToKeep(m: MachineState): number {
  let room = m.options.closingBound;
  for (const { receiver } of m.channels.values()) room -= receiver.kept.bytes;
  return room;
}

/** Name the channel of a violation. */
function of<T>(channel: Channel, take: () => T): T {
  try {
    return take();
  } catch (error) {
    throw error instanceof Violation ? new Violation(`channel ${quoted(channel.name)}: ${error.message}`) : error;
  }
}

function isSame(one: Kind, other: Kind): boolean {
  return inWords(one) === inWords(other);
}

function inWords({ ordered, reliability: { maxRetransmits, maxPacketLifeTime } }: Kind): string {
  let reliability = "reliable";
  if (maxRetransmits != null) reliability = `maxRetransmits=${maxRetransmits}`;
  else if (maxPacketLifeTime != null) reliability = `maxPacketLifeTime=${maxPacketLifeTime}`;
  return `ordered=${ordered}, ${reliability}`;
}

export function quoted(name: string): string {
  return JSON.stringify(name);
}
