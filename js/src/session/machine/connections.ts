/** The connections under a session: how one begins, comes to carry the session, and ends. */

import * as control from "../../protocol/control.js";
import type * as messages from "../../protocol/messages.js";
import { VERSION } from "../../protocol/messages.js";
import * as channels from "./channels.js";
import { Violation } from "./flow.js";
import * as heartbeat from "./heartbeat.js";
import { ConnectionState, type MachineState } from "./state.js";

/** How many connections the other side may have made, or burnt the numbers of, that this side knows nothing of. */
export const AHEAD = 1024;

/** Make the connection of `epoch`, with a data channel for every named channel. */
export function connect(m: MachineState, epoch: number): ConnectionState {
  m.lastEpoch = Math.max(m.lastEpoch, epoch);
  const connection = new ConnectionState(epoch, m.now + m.options.resetTimeout);
  m.connections.set(epoch, connection);
  m.act({ type: "Connect", epoch, offer: m.smaller });
  for (const channel of m.channels.values()) {
    // Also one whose `opened` was lost with the connection before: the other side may send on it at once.
    const isKnown = channel.end?.said && channel.end.heard;
    if ((channel.open || (channel.mine && epoch > 1)) && !isKnown) channels.openOn(m, connection, channel);
  }
  return connection;
}

/** Try another first connection, until the session gives up. */
export function connectAgain(m: MachineState): void {
  if (m.smaller) connect(m, m.lastEpoch + 1);
}

/** End the connection of `epoch`. */
export function release(m: MachineState, epoch: number): void {
  if (!m.connections.delete(epoch)) return;
  for (const channel of m.channels.values()) channel.receiver.connectionGone(epoch);
  if (m.active === epoch) m.active = undefined;
  m.releasing.add(epoch);
  m.act({ type: "Release", epoch });
}

/**
 * Say hello: the control channel of a connection is open.
 *
 * @throws Violation the other side's engine takes no message that is large enough.
 */
export function sayHello(m: MachineState, connection: ConnectionState, maxMessage: number): void {
  if (maxMessage < control.MIN_MESSAGE) {
    throw new Violation(`its engine takes messages of ${maxMessage} bytes at most`);
  }
  connection.controlOpen = true;
  connection.maxMessage = maxMessage;
  connection.helloBy = m.now + m.options.helloTimeout;
  m.sendControl(connection.epoch, {
    type: "hello",
    version: VERSION,
    peer: m.me,
    session: m.session,
    epoch: connection.epoch,
    have: m.have(),
    heartbeatMs: Math.round(m.options.heartbeat * 1000),
    capabilities: [...m.options.capabilities],
  });
}

/**
 * See whether the other side speaks of this session and connection, in this version.
 *
 * @throws Violation it does not.
 */
export function checkHello(m: MachineState, connection: ConnectionState, hello: messages.ControlHello): void {
  let wrong = "";
  if (hello.version !== VERSION) wrong = `protocol version ${hello.version}, this side speaks ${VERSION}`;
  else if (hello.session !== m.session) wrong = `hello for session ${hello.session}, this is ${m.session}`;
  else if (hello.epoch !== connection.epoch) wrong = `hello of epoch ${hello.epoch} on connection ${connection.epoch}`;
  else if (connection.heardHello) wrong = "a second hello";
  if (wrong) throw new Violation(wrong);
}

/**
 * Send over this connection from now on, after what the other side has. How many messages are sent again.
 *
 * @throws Violation the other side has what was never sent.
 */
export function activate(m: MachineState, epoch: number, have: Map<string, number>): number {
  m.active = epoch;
  m.later.clear(); // asked again on this connection
  heartbeat.heard(m, epoch);
  let replayed = 0;
  for (const { name, open, reliable, sender } of m.channels.values()) {
    if (open && reliable) replayed += sender.rewind(have.get(name) ?? 0);
  }
  for (const channel of m.channels.values()) {
    if (channel.open) channels.pump(m, channel);
    else if (channel.mine) channels.sayOpen(m, channel);
  }
  // What was said over the connection before may have been lost with it.
  channels.sendAcks(m, true);
  if (m.movedTo) m.sendControl(epoch, { type: "moved", peer: m.movedTo });
  return replayed;
}
