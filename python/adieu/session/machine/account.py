"""The account at the end of a session: which claims of the other side can be true, and the view of both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from adieu.protocol import words
from adieu.protocol.words import Reason, Total
from adieu.session.machine.held import Ranges
from adieu.session.machine.receipt import Account, ChannelReceipt, Outcome, account, agreed_text, is_part, left

if TYPE_CHECKING:
    from adieu.session.machine.receipt import By, Path
    from adieu.session.machine.state import Channel, Close, MachineState


def accounts_of_this_side(m: MachineState) -> dict[str, words.ChannelAccount]:
    """Return what this side has sent and taken on each channel that was used, for its last word."""
    unread = "unread1" in m.capabilities
    accounts: dict[str, words.ChannelAccount] = {}
    room = words.MAX_RANGES
    for name, channel in m.channels.items():
        if not _was_used(channel) or has_own(channel):
            continue
        accounts[name] = account_of(channel, unread=unread, ranges=room)
        room -= len(accounts[name].ranges)
    return accounts


def account_of(channel: Channel, *, unread: bool, ranges: int = words.MAX_RANGES) -> words.ChannelAccount:
    """Return what this side has sent and taken on a channel, with at most so many ranges."""
    sender, receiver = channel.sender, channel.receiver
    which = channel.reliable and not channel.ordered
    return words.ChannelAccount(
        accepted=sender.accepted.total(),
        unsent=sender.unsent_total(),
        taken=receiver.taken.total(),
        **({"unread": receiver.left_unread} if unread else {}),
        up_to=receiver.up_to if which else None,
        ranges=receiver.taken_beyond.runs(ranges) if which else [],
    )


def has_own(channel: Channel) -> bool:
    """Both sides have said their account of the channel: its own receipt has it, and the session's has not."""
    return channel.end is not None and channel.end.said is not None and channel.end.heard is not None


def _was_used(channel: Channel) -> bool:
    """Both sides know it. One that is asked for and not answered may be unknown there: it carried nothing."""
    return channel.open or channel.sender.accepted.messages > 0 or channel.receiver.taken.messages > 0


def impossible(m: MachineState, word: words.Closed) -> str:
    """Return the first impossible claim in the other side's account; an empty text if there is no such claim.

    Its numbers must agree with each other, and with the facts that this side knows better.
    """
    if word.closer not in {m.me, m.peer, "both", "network"}:
        return f"closed by {_quoted(word.closer)}"
    nothing = words.ChannelAccount()
    for name in dict.fromkeys((*word.channels, *m.channels)):
        their, channel = word.channels.get(name, nothing), m.channels.get(name)
        if channel is not None and channel.end is not None and channel.end.said is not None:
            if name not in word.channels or has_own(channel):
                continue  # the other side may have both accounts of it already, or not yet
        if not _may_be(their, channel):
            return _says(name, their)
    return ""


def impossible_of(channel: Channel, their: words.ChannelAccount) -> str:
    """Return the other side's account of a channel, in words, if it cannot be true; empty: it may be true."""
    return "" if _may_be(their, channel) else _says(channel.name, their)


def _says(name: str, their: words.ChannelAccount) -> str:
    totals = (their.accepted, their.unsent, their.taken, their.unread)
    numbers = ", ".join(f"{total.messages} ({total.bytes} bytes)" for total in totals)
    return f"{numbers} accepted, unsent, taken and unread of channel {_quoted(name)}"


def _may_be(their: words.ChannelAccount, channel: Channel | None) -> bool:
    theirs = left(their.accepted, their.unsent)
    parts = [(their.accepted, their.accepted), (their.unsent, their.accepted), (their.unread, their.taken)]
    if channel is None:
        # Asked for there, and not heard of here: nothing has left on it.
        parts += [(their.accepted, their.unsent), (their.taken, Total())]
    else:
        sender, taken = channel.sender, channel.receiver.taken.total()
        mine = left(sender.accepted.total(), sender.unsent_total())
        if not _rises(their, mine.messages):
            return False
        known = sender.taken_with(which_taken(their, channel))
        parts += [(their.taken, mine), (known, their.taken), (taken, theirs)]
    seen = 0 if channel is None else channel.receiver.seen
    return all(is_part(part, whole) for part, whole in parts) and theirs.messages >= seen


def _rises(their: words.ChannelAccount, most: int) -> bool:
    last = their.up_to or 0
    for first, end in their.ranges:
        if not last < first <= end:
            return False
        last = end
    return last <= most


def which_taken(their: words.ChannelAccount, channel: Channel) -> Ranges:
    """Return the numbers of the messages that the other side has reported as taken; in order, the first ones."""
    which = Ranges()
    if channel.reliable:
        up_to = their.taken.messages if channel.ordered else their.up_to
        if up_to:
            which.add(1, up_to)
        if up_to is not None and not channel.ordered:
            which.add_all(their.ranges)
    return which


def _quoted(text: str) -> str:
    """Quote as both languages do."""
    return msgspec.json.encode(text).decode()


def outcome(m: MachineState, closing: Close, said: words.Closed) -> Outcome:
    """Return the account of the session, which ends with this.

    Args:
        m: the machine.
        closing: its close.
        said: this side's last word.
    """
    if closing.heard_closed is not None and (wrong := impossible(m, closing.heard_closed)):
        # It came before all that it speaks of.
        m.note(f"an account that cannot be: {wrong}")
        closing.heard_closed = None
    unread = "unread1" in m.capabilities
    channels = _accounts(m, said, closing.heard_closed, unread)
    closer, reason = settled(m, said, closing.heard_closed)
    by: By = "local" if closer == m.me else "remote" if closer == m.peer else "both" if closer == "both" else "network"
    return Outcome(
        id=m.receipt,
        by=by,
        closer=closer,
        reason=reason,
        path=_path(closing),
        cause=closing.cause or _cause_here(m, closing),
        evidence=m.evidence.lines(),
        channels=channels,
        steps=closing.steps,
        confirmed=closing.heard_closed is not None,
        agreed=agreed_text(
            m.receipt,
            reason,
            closer,
            _agreed(channels, said, closing),
            _media(m, said, closing.heard_closed),
            m.me,
            m.peer,
            unread=unread,
        ),
        unheard=closing.unheard,
    )


def _agreed(channels: dict[str, ChannelReceipt], said: words.Closed, closing: Close) -> dict[str, ChannelReceipt]:
    """Return the channels of which both sides have given an account.

    One alone may have opened a channel, or may have closed it, and no connection was left to say so.
    """
    heard = closing.heard_closed
    if heard is None:
        return channels
    return {name: channels[name] for name in channels if name in said.channels and name in heard.channels}


def _media(
    m: MachineState, said: words.Closed, heard: words.Closed | None
) -> dict[str, dict[str, tuple[words.MediaAccount, int]]]:
    """Return, by mid and sender, what it sent, and how many of these packets came: if both accounts have media."""
    if heard is None or not said.media or not heard.media:
        return {}
    nothing = words.MediaAccount()
    both = {mid: (said.media.get(mid, nothing), heard.media.get(mid, nothing)) for mid in {*said.media, *heard.media}}
    return {
        mid: {m.me: (mine, min(theirs.arrived, mine.packets)), m.peer: (theirs, min(mine.arrived, theirs.packets))}
        for mid, (mine, theirs) in both.items()
    }


def _cause_here(m: MachineState, closing: Close) -> str:
    """Return the cause of an end that this side wanted. If the other side was dead, the cause is why."""
    dead = m.silence is not None and m.silence.suspected and closing.heard_closed is None
    return m.evidence.cause() if dead else "left"


def closer_of(m: MachineState, closing: Close) -> str:
    """Return who closes, as this side sees it: a peer id, "both" or "network"."""
    return {"local": m.me, "remote": m.peer, "both": "both", "network": "network"}[closing.by]


def settled(m: MachineState, mine: words.Closed, theirs: words.Closed | None) -> tuple[str, Reason]:
    """Settle who closed and why, out of both sides' last words: the same on both sides."""
    if theirs is None:
        return mine.closer, mine.reason
    views = {m.me: mine, m.peer: theirs}
    small, large = (m.me, m.peer) if m.smaller else (m.peer, m.me)
    first = views[small]
    own = [peer for peer, view in views.items() if view.closer == peer]
    if len(own) == 2 or "both" in {mine.closer, theirs.closer}:
        both = first if first.closer in {"both", small} else views[large]
        return "both", both.reason
    if own:
        return own[0], views[own[0]].reason  # who says "I did" is believed
    blamed = [view for view in views.values() if view.closer != "network"]
    if len(blamed) == 1:
        return blamed[0].closer, blamed[0].reason
    return "network", first.reason  # each saw the other vanish


def _path(closing: Close) -> Path:
    confirmed = closing.heard_closed is not None
    if closing.is_abrupt or not (confirmed or closing.ending == "late" or closing.heard_done):
        return "abrupt"
    return "graceful" if confirmed and closing.said_done and closing.heard_done else "deadline"


def _accounts(
    m: MachineState, said: words.Closed, heard: words.Closed | None, unread: bool
) -> dict[str, ChannelReceipt]:
    mine, theirs = said.channels, heard.channels if heard is not None else None
    nothing = words.ChannelAccount()
    receipts: dict[str, ChannelReceipt] = {}
    for name in sorted(m.channels.keys() & {*mine, *(theirs or ())}):
        channel = m.channels[name]
        ended = channel.end is not None and channel.end.said is not None
        if ended and (name not in mine or (theirs is not None and name not in theirs)):
            continue  # one side at least has both accounts of it
        their = None if theirs is None else theirs.get(name, nothing)
        sent, received = both_directions(channel, mine.get(name, nothing), their, unread=unread)
        receipts[name] = ChannelReceipt(sent=sent, received=received, reliable=channel.reliable)
    return receipts


def both_directions(
    channel: Channel, my: words.ChannelAccount, their: words.ChannelAccount | None, *, unread: bool
) -> tuple[Account, Account]:
    """Return what became of the messages that were sent, and of those that were received."""
    if their is None:
        sent = account(my.accepted, my.unsent, channel.sender.delivered.total())  # what it acknowledged
        received = Account(
            accepted=None, delivered=my.taken, unread=channel.receiver.left_unread, unknown=None, unsent=None
        )
        return sent, received
    channel.sender.count_delivered(which_taken(their, channel))
    sent = account(my.accepted, my.unsent, their.taken, their.unread if unread else None)
    return sent, account(their.accepted, their.unsent, my.taken, channel.receiver.left_unread)
