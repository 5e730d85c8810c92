"""The messages of `adieu send` and `adieu receive`, over a channel of their session. Every field has a bound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from adieu.errors import ChannelError
from adieu.protocol.text import line as one_line

if TYPE_CHECKING:
    from adieu.session import Session
    from adieu.session.channel import Channel

CHANNEL = "adieu send"
MAX_ENTRIES = 100_000
"""Files and folders of one sending."""
AT_ONCE = 200
"""Entries in one message."""
MAX_PATH = 4096
"""Characters of a path."""
MAX_PATHS = 16 * 1024 * 1024
"""Characters of all paths."""
PATIENCE = 30.0
"""Seconds for an answer of the other program, while it has nothing else to do."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Digest: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Pake(Struct, frozen=True, tag="pake"):
    """A message of the PAKE."""

    message: Annotated[bytes, Meta(max_length=64)]


class Confirm(Struct, frozen=True, tag="confirm"):
    """The proof that the sender of this has the same key."""

    mac: Annotated[bytes, Meta(max_length=64)]


class ByLink(Struct, frozen=True, tag="link"):
    """The proof that the receiver has the key of a link; the sender answers with `Confirm`."""

    mac: Annotated[bytes, Meta(max_length=64)]


class Refused(Struct, frozen=True, tag="refused"):
    """The code was wrong."""


class Entry(Struct, frozen=True, array_like=True):
    """A file, or a folder if `size` is -1.

    Attributes:
        path: with slashes, relative.
        size: bytes; -1: a folder.
        mode: its permission to be executed: 0o755 or 0o644.
        changed: when it was changed last, in nanoseconds since 1970.
    """

    path: Annotated[str, Meta(min_length=1, max_length=MAX_PATH)]
    size: Annotated[int, Meta(ge=-1, le=2**53)]
    mode: Annotated[int, Meta(ge=0, le=0o777)] = 0o644
    changed: Annotated[int, Meta(ge=0, le=2**62)] = 0


class Entries(Struct, frozen=True, tag="entries", omit_defaults=True):
    """A part of the list. `last`: there is no other. `whole`: the sender can send all of it as one folder."""

    entries: Annotated[list[Entry], Meta(max_length=AT_ONCE)]
    last: bool
    whole: bool = False


class Have(Struct, frozen=True, tag="have", omit_defaults=True):
    """Files that the receiver has from an earlier attempt: their numbers and proofs. `last`: there are no others.

    `whole`: it takes all of them as one folder, and names no file here: the folder's transfer finds those that are
    there. A sender that says this, and a receiver that does, are of the second version. With one of the first each file
    goes by itself.
    """

    files: Annotated[list[tuple[Count, Digest]], Meta(max_length=AT_ONCE)]
    last: bool
    whole: bool = False


class Missing(Struct, frozen=True, tag="missing"):
    """The numbers of files that the receiver said it has, but that are other files here."""

    files: Annotated[list[Count], Meta(max_length=AT_ONCE)]
    last: bool


class Done(Struct, frozen=True, tag="done"):
    """Everything is there. `digest`: of the list of all files with their proofs; of one folder its own proof."""

    digest: Digest


class Failed(Struct, frozen=True, tag="failed"):
    """This side cannot go on."""

    text: Annotated[str, Meta(max_length=500)]


Message: TypeAlias = Pake | Confirm | ByLink | Refused | Entries | Have | Missing | Done | Failed
M = TypeVar("M", bound=Struct)


class ExchangeError(Exception):
    """The other program said that it cannot go on, or said something that does not fit.

    The text is fit for a terminal, whatever the other program said.
    """


class ToldError(ExchangeError):
    """The other program said that it cannot go on."""


class RefusedError(ExchangeError):
    """The other program says that the code was wrong."""


class Line:
    """The channel, with whole messages."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @classmethod
    async def of(cls, session: Session) -> Line:
        """Open the channel of a session.

        Raises:
            ExchangeError: the other program does not open it in time, or has closed it.
            SessionClosedError: the session ended.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                return cls(await session.open(CHANNEL))
        except TimeoutError:
            raise ExchangeError(f"the other program opened no channel within {PATIENCE:.0f} s") from None
        except ChannelError as error:
            raise ExchangeError(one_line(str(error), 300)) from None

    async def send(self, message: Message) -> None:
        """Send a message. Raises ExchangeError if the channel is closed, SessionClosedError at the end."""
        try:
            await self._channel.send(msgspec.json.encode(message))
        except ChannelError as error:
            raise ExchangeError(one_line(str(error), 300)) from None

    async def receive(self) -> Message:
        """Return the next message.

        Raises:
            ExchangeError: it is malformed, or the channel is closed.
            SessionClosedError: the session ended.
        """
        try:
            message: Message = msgspec.json.decode(await self._channel.receive(), type=Message)
        except ChannelError as error:
            raise ExchangeError(one_line(str(error), 300)) from None
        except (ValueError, RecursionError) as error:
            raise ExchangeError(
                f"the other program said something that this one does not understand: {one_line(str(error), 300)}"
            ) from None
        return message


async def exchange(line: Line, message: Message | None, *kinds: type[M], patience: float | None = PATIENCE) -> M:
    """Send a message, if there is one, and return the answer.

    Raises:
        ExchangeError: it is no message of these kinds, or did not come in time (`patience` in seconds).
        SessionClosedError: the session ended.
    """
    if message is not None:
        await line.send(message)
    try:
        async with asyncio.timeout(patience):
            answer = await line.receive()
    except TimeoutError:
        raise ExchangeError(f"the other program did not answer within {patience:.0f} s") from None
    match answer:
        case Refused():
            raise RefusedError("the other program says that the code was wrong")
        case Failed(text=text):
            raise ToldError(one_line(text, 500))
        case _ if isinstance(answer, kinds):
            return answer
        case _:
            raise ExchangeError("the other program said something out of turn")
