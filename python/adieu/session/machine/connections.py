"""The connections under a session: how one begins, comes to carry the session, and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.protocol import VERSION, control, words
from adieu.session.machine import actions, channels, heartbeat
from adieu.session.machine.flow import ViolationError
from adieu.session.machine.state import ConnectionState

if TYPE_CHECKING:
    from adieu.session.machine.state import MachineState

AHEAD = 1024
"""How many connections the other side may have made, or burnt the numbers of, that this side knows nothing of."""


def connect(m: MachineState, epoch: int) -> ConnectionState:
    """Make the connection of `epoch`, with a data channel for every named channel."""
    m.last_epoch = max(m.last_epoch, epoch)
    connection = m.connections[epoch] = ConnectionState(epoch, m.now + m.options.reset_timeout)
    m.act(actions.Connect(epoch, m.smaller))
    for channel in m.channels.values():
        # Also one whose `opened` was lost with the connection before: the other side may send on it at once.
        known = channel.end is not None and channel.end.said is not None and channel.end.heard is not None
        if (channel.open or (channel.mine and epoch > 1)) and not known:
            channels.open_on(m, connection, channel)
    return connection


def connect_again(m: MachineState) -> None:
    """Try another first connection, until the session gives up."""
    if m.smaller:
        connect(m, m.last_epoch + 1)


def release(m: MachineState, epoch: int) -> None:
    """End the connection of `epoch`."""
    if m.connections.pop(epoch, None) is None:
        return
    for channel in m.channels.values():
        channel.receiver.connection_gone(epoch)
    if m.active == epoch:
        m.active = None
    m.releasing.add(epoch)
    m.act(actions.Release(epoch))


def say_hello(m: MachineState, connection: ConnectionState, max_message: int) -> None:
    """Say hello: the control channel of a connection is open.

    Raises:
        ViolationError: the other side's engine takes no message that is large enough.
    """
    if max_message < control.MIN_MESSAGE:
        raise ViolationError(f"its engine takes messages of {max_message} bytes at most")
    connection.control_open = True
    connection.max_message = max_message
    connection.hello_by = m.now + m.options.hello_timeout
    hello = control.Hello(
        version=VERSION,
        peer=m.me,
        session=m.session,
        epoch=connection.epoch,
        have=m.have(),
        heartbeat_ms=round(m.options.heartbeat * 1000),
        capabilities=list(m.options.capabilities),
    )
    m.send_control(connection.epoch, hello)


def check_hello(m: MachineState, connection: ConnectionState, hello: control.Hello) -> None:
    """See whether the other side speaks of this session and connection, in this version.

    Raises:
        ViolationError: it does not.
    """
    wrong = (
        f"protocol version {hello.version}, this side speaks {VERSION}" if hello.version != VERSION
        else f"hello for session {hello.session}, this is {m.session}" if hello.session != m.session
        else f"hello of epoch {hello.epoch} on connection {connection.epoch}" if hello.epoch != connection.epoch
        else "a second hello" if connection.heard_hello
        else ""
    )  # fmt: skip
    if wrong:
        raise ViolationError(wrong)


def activate(m: MachineState, epoch: int, have: dict[str, int]) -> int:
    """Send over this connection from now on, after what the other side has. How many messages are sent again.

    Raises:
        ViolationError: the other side has what was never sent.
    """
    m.active = epoch
    m.later.clear()  # asked again on this connection
    heartbeat.heard(m, epoch)
    replayed = 0
    for channel in m.channels.values():
        if channel.open and channel.reliable:
            replayed += channel.sender.rewind(have.get(channel.name, 0))
    for channel in m.channels.values():
        if channel.open:
            channels.pump(m, channel)
        elif channel.mine:
            channels.say_open(m, channel)
    # What was said over the connection before may have been lost with it.
    channels.send_acks(m, every=True)
    if m.moved_to:
        m.send_control(epoch, words.Moved(peer=m.moved_to))
    return replayed
