"""The named channels: how they open, what goes out on them, what comes, and what is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adieu.errors import ChannelError
from adieu.protocol import control, words
from adieu.session.machine import actions
from adieu.session.machine.flow import ViolationError, is_reliable
from adieu.session.machine.receiver import Receiver
from adieu.session.machine.sender import Sender
from adieu.session.machine.state import Channel, ChannelOnConnection

if TYPE_CHECKING:
    from adieu.protocol.control import Reliability
    from adieu.session.machine.held import Payload
    from adieu.session.machine.state import ConnectionState, MachineState

SLOW_DOWN = 1024
"""A peer that counts payload alone hears of its window again after so many messages that are not taken."""
ACKS = 64
"""Channels in one `ack`: with long names and all their ranges it stays below what a connection carries."""

# --- opening --------------------------------------------------------------------------------------------------------


def open_channel(m: MachineState, name: str, *, ordered: bool, reliability: Reliability) -> Channel:
    """Return the channel of this name; make it if it does not exist.

    Raises:
        ChannelError: it is open with other options, or there are too many channels.
    """
    channel = m.channels.get(name)
    if channel is not None:
        if channel.end is not None:
            raise ChannelError(
                f"channel {name!r} is {'closed, but' if channel.end.over else 'closing:'} its name is not free yet: "
                "the other side has not said that it knows"
            )
        if (channel.ordered, channel.reliability) != (ordered, reliability):
            raise ChannelError(
                f"channel {name!r} is already open with ordered={channel.ordered}, {_in_words(channel.reliability)}; "
                f"asked for ordered={ordered}, {_in_words(reliability)}. Both sides must ask for the same."
            )
        claim(m, channel)
        return channel
    if len(m.channels) >= m.options.max_channels:
        raise ChannelError(f"{len(m.channels)} channels are open; the limit is {m.options.max_channels}")
    channel = _make(m, name, ordered, reliability, _free_id(m, name), mine=True)
    say_open(m, channel)
    return channel


def _free_id(m: MachineState, name: str) -> int:
    """Return the next stream id that is free on all connections, in turn: one that is used again has rested longest."""
    first = control.FIRST_ID_SMALLER if m.smaller else control.FIRST_ID_LARGER
    for _ in range(first // 2 + 1):
        id_ = m.next_id
        m.next_id = id_ - 2 if id_ >= 2 else first
        if not _is_used(m, id_):
            return id_
    raise ChannelError(f"no stream id is left for channel {name!r}")


def _is_used(m: MachineState, id_: int) -> bool:
    return id_ in m.by_id or any(id_ in connection.channels for connection in m.connections.values())


def _make(m: MachineState, name: str, ordered: bool, reliability: Reliability, id_: int, *, mine: bool) -> Channel:
    reliable = is_reliable(reliability)
    channel = Channel(
        name,
        ordered,
        reliability,
        id_,
        mine,
        open=False,
        sender=Sender(reliable, m.options.send_buffer),
        receiver=Receiver(ordered, reliable, m.budget, claimed=mine),
    )
    m.channels[name] = channel
    m.by_id[id_] = channel
    count_messages(m, channel)
    return channel


def count_messages(m: MachineState, channel: Channel) -> None:
    """Count each message beside its payload, if both sides do."""
    channel.sender.counted = channel.receiver.counted = "credit2" in m.capabilities


def claim(m: MachineState, channel: Channel) -> None:
    """Note that the application takes the channel: it gets more credit than one that nobody asked for."""
    if not channel.receiver.claimed:
        channel.receiver.claimed = True
        if channel.open and channel.reliable:
            send_acks(m, also=channel)
            feed(m)


def say_open(m: MachineState, channel: Channel) -> None:
    """Ask the other side to open the channel; later, if no connection carries the session now."""
    if m.active is None:
        return
    message = control.Open(
        name=channel.name,
        id=channel.id,
        ordered=channel.ordered,
        reliability=channel.reliability,
        window=channel.receiver.grant(),
    )
    # Before the word: what the other side sends after its `opened` must find the data channel here, also on the
    # connection of a reset that is under way.
    open_everywhere(m, channel)
    m.send_control(m.active, message)


def open_everywhere(m: MachineState, channel: Channel) -> None:
    """Make the data channel of a channel on every connection."""
    for connection in m.connections.values():
        open_on(m, connection, channel)


def open_on(m: MachineState, connection: ConnectionState, channel: Channel) -> None:
    """Make the data channel of a channel on a connection, if it does not exist."""
    if channel.id not in connection.channels:
        connection.channels[channel.id] = ChannelOnConnection()
        m.act(actions.OpenStream(connection.epoch, channel.id, channel.name, channel.ordered, channel.reliability))


def handle_open(m: MachineState, message: control.Open) -> None:
    """Open the channel that the other side asks for, or say why not.

    Raises:
        ViolationError: its id is one that this side gives.
    """
    if m.active is None:
        return  # repeated once the new connection carries the session
    first = control.FIRST_ID_LARGER if m.smaller else control.FIRST_ID_SMALLER
    if message.id > first or (first - message.id) % 2:
        raise ViolationError(f"channel {message.name!r} opened with id {message.id}, which is not its to give")
    channel = m.channels.get(message.name)
    if _must_wait(m, message, channel):
        if channel is None or channel.end is None or channel.id != message.id or channel.end.heard_gone:
            m.later[message.id] = message
        return  # said again of the one that ends: what is said of its end answers it
    if channel is None:
        if len(m.channels) >= m.options.max_channels or message.id in m.by_id:
            _refuse(m, m.active, message, f"no room for channel {message.name!r}")
            return
        channel = _make(m, message.name, message.ordered, message.reliability, message.id, mine=False)
    elif (channel.ordered, channel.reliability) != (message.ordered, message.reliability):
        error = (
            f"channel {message.name!r} is wanted differently: ordered={message.ordered}, "
            f"{_in_words(message.reliability)} there; ordered={channel.ordered}, {_in_words(channel.reliability)} here"
        )
        _refuse(m, m.active, message, error)
        if not channel.open:
            _drop(m, channel, error)
        return
    elif not channel.open and channel.mine:
        if m.smaller:
            # Both open the same name at once: the smaller peer's `open` counts, and the other answers it. The data
            # channel that the other has made, and closes now, is closed from here too, or its procedure would not end.
            close_unmatched(m, message.id)
            return
        _adopt(m, channel, message.id)
    answer = control.Opened(name=channel.name, id=channel.id, window=channel.receiver.grant())
    open_everywhere(m, channel)
    m.send_control(m.active, answer)
    _opened(m, channel, message.window, incoming=True)


def _must_wait(m: MachineState, message: control.Open, channel: Channel | None) -> bool:
    """Whether an earlier channel still holds the name or the id: the other side knows of its end already."""
    if channel is not None and channel.end is not None:
        return channel.open  # one that is not open yet was asked for by both at once
    holder = m.by_id.get(message.id)
    if holder is not None:
        return holder.end is not None
    return channel is None and _is_used(m, message.id)


def open_later(m: MachineState) -> None:
    """Look again at the channels for which there was no name or no id."""
    for id_, message in list(m.later.items()):
        if m.later.pop(id_, None) is not None:
            handle_open(m, message)


def _refuse(m: MachineState, epoch: int, message: control.Open, error: str) -> None:
    m.send_control(epoch, control.Opened(name=message.name, id=message.id, error=error))
    if message.id not in m.by_id:
        close_unmatched(m, message.id)  # the other side has made it, and closes it now


def _adopt(m: MachineState, channel: Channel, id_: int) -> None:
    """Use the id of the other side, whose `open` of the same name counts."""
    _close_everywhere(m, channel)
    del m.by_id[channel.id]
    channel.id, channel.mine = id_, False
    m.by_id[id_] = channel


def _close_everywhere(m: MachineState, channel: Channel) -> None:
    for connection in m.connections.values():
        if channel.id in connection.channels:
            close_stream(m, connection, channel.id)


def close_stream(m: MachineState, connection: ConnectionState, id_: int) -> None:
    """Close a data channel: its id is free when it is closed."""
    under = connection.channels[id_]
    if not under.closing:
        under.closing, under.open, under.buffered = True, False, 0
        m.act(actions.CloseStream(connection.epoch, id_))


def close_unmatched(m: MachineState, id_: int) -> None:
    """Close the data channel that the other side closes on the active connection.

    If this side has no data channel of that id, it makes one first: the other's procedure ends when both directions
    are reset.
    """
    assert m.active is not None
    connection = m.connections[m.active]
    if id_ not in connection.channels:
        connection.channels[id_] = ChannelOnConnection()
        m.act(actions.OpenStream(m.active, id_, "", True, control.Reliability()))
    close_stream(m, connection, id_)


def forget(m: MachineState, channel: Channel) -> None:
    """Give the name and the place of a channel back."""
    m.channels.pop(channel.name, None)
    m.by_id.pop(channel.id, None)
    m.hungry.pop(channel.name, None)
    m.ending.pop(channel.name, None)
    channel.receiver.leave()
    feed(m)
    open_later(m)


def handle_opened(m: MachineState, message: control.Opened) -> None:
    """Take the answer to this side's `open`.

    Raises:
        ViolationError: it has another id.
    """
    channel = m.channels.get(message.name)
    if channel is None or channel.open:
        return
    if message.error:
        if message.id == channel.id:  # else it answers an earlier one of this name, which was refused here too
            _drop(m, channel, message.error)
    elif message.id != channel.id:
        raise ViolationError(f"channel {message.name!r} opened with id {message.id} instead of {channel.id}")
    else:
        open_everywhere(m, channel)
        _opened(m, channel, message.window, incoming=False)


def _opened(m: MachineState, channel: Channel, window: int, *, incoming: bool) -> None:
    is_open(m, channel, incoming=incoming)
    channel.sender.granted(window)
    pump(m, channel)


def is_open(m: MachineState, channel: Channel, *, incoming: bool = False) -> None:
    """Note that both sides have a channel."""
    if not channel.open:
        channel.open = True
        m.report(actions.ChannelOpened(channel.name, incoming))


def _drop(m: MachineState, channel: Channel, error: str) -> None:
    _close_everywhere(m, channel)
    forget(m, channel)
    m.report(actions.ChannelFailed(channel.name, error))


# --- sending --------------------------------------------------------------------------------------------------------


def has_room(m: MachineState, channel: Channel) -> bool:
    """Whether a message may be accepted: what waits to go out is below the buffer's bound."""
    return channel.sender.queued < m.options.send_buffer


def pump(m: MachineState, channel: Channel) -> None:
    """Hand to the active connection what credit and buffer allow."""
    if m.active is None or not channel.open or (m.closing is not None and m.closing.said_closed):
        return
    if channel.end is not None and (channel.end.said is not None or channel.end.over):
        return
    connection = m.connections[m.active]
    under = connection.channels.get(channel.id)
    if under is None or not under.open or under.asked:
        return
    fragment = min(control.MAX_FRAGMENT, connection.max_message)
    room = min(m.options.stream_high - under.buffered, m.options.link_high - connection.buffered)
    full = not has_room(m, channel)
    for frame in channel.sender.frames(room, fragment):
        under.buffered += len(frame)
        m.act(actions.SendData(connection.epoch, channel.id, frame))
    if under.buffered >= m.options.stream_high:
        _ask_drained(m, connection, channel.id)
    elif connection.buffered >= m.options.link_high:
        for id_, crowded in connection.channels.items():
            if crowded.buffered:
                _ask_drained(m, connection, id_)
    if (full and has_room(m, channel)) or (not channel.reliable and channel.sender.idle):
        m.report(actions.Acknowledged(channel.name))
    wanted, turn = channel.sender.wanted()
    if wanted:
        turns = {channel.name: turn} if turn else {}
        m.send_control(connection.epoch, control.Want(channels={channel.name: wanted}, turns=turns))


def _ask_drained(m: MachineState, connection: ConnectionState, id_: int) -> None:
    under = connection.channels[id_]
    if not under.asked:
        under.asked = True
        # Less than was known: who asks because others are full would have the same answer at once, without end.
        most = min(m.options.stream_low, under.buffered // 2)
        m.act(actions.AskDrained(connection.epoch, id_, most))


def drained(m: MachineState, connection: ConnectionState, channel: Channel, buffered: int) -> None:
    """Go on sending: the data channel of a channel has room again."""
    under = connection.channels.get(channel.id)
    if under is None:
        return
    crowded = connection.buffered >= m.options.link_high
    under.buffered, under.asked = buffered, False
    for other in m.channels.values() if crowded else (channel,):
        pump(m, other)


def handle_ack(m: MachineState, message: control.Ack) -> bool:
    """Forget what the other application has taken. True if any of it was news.

    Raises:
        ViolationError: it acknowledges what it cannot have.
    """
    any_news = False
    for name, ack in message.channels.items():
        channel = m.channels.get(name)
        if channel is None or not channel.reliable:
            continue
        try:
            news = channel.sender.acknowledge(ack)
        except ViolationError as error:
            raise ViolationError(f"channel {name!r}: {error}") from None
        pump(m, channel)
        if news:
            any_news = True
            if channel.end is not None:
                channel.end.progressed = m.now
            m.report(actions.Acknowledged(name))
    return any_news


# --- taking ---------------------------------------------------------------------------------------------------------


def receive(m: MachineState, epoch: int, channel: Channel, data: bytes) -> Payload | None:
    """Take an SCTP message, and return the message that it completes; if a reader waits, the next one for it.

    Raises:
        ViolationError: it is not what may come.
    """
    try:
        return channel.receiver.complete(
            epoch,
            data,
            lambda before: m.remembered.has(before[0], channel.name, before[1], m.now),
            waits=channel.reader_waits,
        )
    except ViolationError as error:
        raise ViolationError(f"channel {channel.name!r}: {error}") from None


def ack_later(m: MachineState, channel: Channel) -> None:
    """Acknowledge soon: after enough messages or bytes, or 20 ms; at once while closing."""
    due = channel.receiver.ack_due(m.options.ack_messages, m.options.ack_bytes)
    if not due:
        return
    if m.closing is not None or channel.end is not None or due == "now":
        send_acks(m)
    else:
        m.timers.setdefault("ack", m.now + m.options.ack_delay)


def send_acks(m: MachineState, *, every: bool = False, also: Channel | None = None) -> None:
    """Acknowledge what was taken; say `every` reliable channel's window, or that of one channel, in any case."""
    m.timers.pop("ack", None)
    if m.active is None:
        return
    acks: dict[str, control.Acknowledged] = {}
    ranges = 0
    for name, channel in m.channels.items():
        if channel.end is not None and channel.end.said is not None:
            continue  # its account says it; an acknowledgement might come when its name belongs to another
        if channel.receiver.ack_wanted or channel is also or (every and channel.open and channel.reliable):
            acks[name] = channel.receiver.acknowledgement()
            ranges += len(acks[name].ranges)
            if ranges > words.MAX_RANGES or len(acks) == ACKS:
                m.send_control(m.active, control.Ack(channels=acks))
                acks, ranges = {}, 0
    if acks:
        m.send_control(m.active, control.Ack(channels=acks))


def handle_want(m: MachineState, message: control.Want) -> None:
    """Note that the other side asks for credit, and give what there is room for."""
    for name, wanted in message.channels.items():
        channel = m.channels.get(name)
        if channel is not None and channel.open and channel.reliable and channel.receiver.counted:
            channel.receiver.ask(wanted, message.turns.get(name))
            m.hungry.setdefault(name, channel)
    feed(m)


def feed(m: MachineState) -> None:
    """Give credit to those that asked for it, in their order, as far as there is room."""
    if not m.hungry:
        return
    first = True
    for name, channel in list(m.hungry.items()):
        receiver = channel.receiver
        if not receiver.hungry:
            del m.hungry[name]
            continue
        edge = receiver.edge
        receiver.grant()
        given = receiver.edge > edge
        if receiver.stuck and first:
            # Nobody behind it gets a turn before it: what is large would wait for ever.
            first = receiver.give_turn()
            given = given or first
        if receiver.waits is not None and receiver.claimed and not receiver.stuck:
            receiver.waits, given = None, True  # Said even if it was said before: the other side waits for it.
        if given:
            if not receiver.stuck:
                del m.hungry[name]
            send_acks(m, also=channel)


def keep_queued(m: MachineState) -> None:
    """Count what is queued as taken, and give its credit back, up to a bound for the session."""
    room = _room_to_keep(m)
    for channel in m.channels.values():
        room -= channel.receiver.keep(room)
        ack_later(m, channel)
    feed(m)


def keep(m: MachineState, channel: Channel) -> None:
    """Do the same for one channel, which is being closed."""
    channel.receiver.keep(_room_to_keep(m))
    ack_later(m, channel)
    feed(m)


def _room_to_keep(m: MachineState) -> int:
    return m.options.closing_bound - sum(channel.receiver.kept_bytes for channel in m.channels.values())


def _in_words(reliability: Reliability) -> str:
    if reliability.max_retransmits is not None:
        return f"maxRetransmits={reliability.max_retransmits}"
    if reliability.max_packet_life_time is not None:
        return f"maxPacketLifeTime={reliability.max_packet_life_time}"
    return "reliable"
