"""Sessions that follow one another: a peer that was restarted bears the name of the one before.

A room yields the next session of a name when the one before has ended. It ends one that does not answer as soon as its
successor is there, instead of waiting for the end of its patience. Files and folders for a name go on from session to
session.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal, overload

from adieu.errors import SessionClosedError, SignalingLostError, TransferError
from adieu.session.emitter import Emitter, settle_current
from adieu.session.files.desk import seen, stop, words
from adieu.session.files.transfers import file_parcel, folder_parcel
from adieu.session.session import shell_of, transfers_of
from adieu.unclosed import where_made

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
    from os import PathLike

    from adieu.protocol.folders import FolderEntry
    from adieu.session.emitter import Handler, On, R, Reacts
    from adieu.session.files.transfer import Transfer
    from adieu.session.files.transfers import FileSource, Parcel
    from adieu.session.session import Session
    from adieu.session.tasks import Tasks

GIVE_WAY = 0.5
"""Seconds to close a session that does not answer and has a successor."""


class Succession:
    """The part of a room that joins the sessions with peers of one name."""

    tasks: Tasks
    _closing: bool

    def __init__(self) -> None:
        self._lookers: set[asyncio.Future[None]] = set()
        """Each looks again when something has changed."""

    async def session(self, name: str | None = None) -> Session:  # noqa: D102 see `Room`
        raise NotImplementedError

    @property
    def sessions(self) -> list[Session]:  # noqa: D102 see `Room`
        raise NotImplementedError

    @property
    def over(self) -> str | None:
        """Why the room is over; None: it is not."""
        raise NotImplementedError

    def room_closing(self, closes: bool) -> None:
        """Note that the room is closed for all, or that this side asks for it; False: it is refused."""
        for session in self.sessions:
            shell_of(session).room_closing(closes)

    def follow(self, name: str) -> AsyncIterator[Session]:
        """Yield the session with the peer of this name, and after its end the next one with a peer of this name.

        A session that ended before it was yielded is left out. One that does not answer is ended when the next one is
        there. It stops when this side leaves the room.

        Raises:
            SignalingLostError: the server has ended the room.
        """
        return self._arriving(name)

    async def _arriving(self, name: str | None) -> AsyncGenerator[Session, None]:
        while True:
            try:
                session = await self.session(name)
            except SignalingLostError:
                if self._closing:
                    return
                raise
            if name is None:
                yield session
            elif session.receipt is None:
                watch = self.tasks.spawn(self._give_way(session), f"looks for a successor of {name!r}")
                try:
                    yield session
                finally:
                    await stop(watch)

    async def _give_way(self, session: Session) -> None:
        """End a session that does not answer when its successor is there."""
        while session.receipt is None:
            if self.successor(session) is not None:
                await session.close("its successor is here", timeout=GIVE_WAY)
                return
            await self.change()

    async def change(self) -> None:
        """Wait until something has changed: a session, its state, the room."""
        looker = asyncio.get_running_loop().create_future()
        self._lookers.add(looker)
        try:
            await looker
        finally:
            self._lookers.discard(looker)

    def look_again(self) -> None:
        """Note that something has changed."""
        for looker in self._lookers:
            if not looker.done():
                looker.set_result(None)

    def newest(self, name: str) -> Session | None:
        """Return the last open session with a peer of this name."""
        return next((each for each in reversed(self.sessions) if each.name == name and each.state == "open"), None)

    def successor(self, session: Session) -> Session | None:
        """Return a later session with a peer of the same name, if this one does not answer."""
        if not shell_of(session).machine.is_troubled:
            return None
        later = self.newest(session.name)
        return later if later is not None and later is not session else None

    async def send_file(
        self,
        to: str,
        source: FileSource,
        *,
        name: str | None = None,
        type: str = "",  # noqa: A002
        pace: Callable[[int], Awaitable[None]] | None = None,
    ) -> CarriedTransfer:
        """Send a file to the peer of a name, over as many sessions as it takes: see `Session.send_file`.

        It is offered in the session with this peer, or in the next one. If the session ends, by whatever cause, it is
        offered again in the next session with a peer of this name, and goes on at the chunk.

        Args:
            to: the name of the peer.
            source: a path or bytes; a stream cannot be read again.
            name: see `Session.send_file`.
            type: see `Session.send_file`.
            pace: see `Session.send_file`.

        Raises:
            OSError: it cannot be read.
            TypeError: it is a stream, or no source.
            ValueError: the name or the type is too long, or bytes have no name.

        Cancellation: nothing has been offered.
        """
        if hasattr(source, "read") or hasattr(source, "__aiter__"):
            raise TypeError("a stream cannot be read again in the next session: send it in one, or send a file")
        return await self._carry(to, lambda: file_parcel(source, name, type, pace))

    async def send_folder(
        self,
        to: str,
        path: str | PathLike[str],
        *,
        name: str | None = None,
        exclude: Iterable[str] = (),
        pace: Callable[[int], Awaitable[None]] | None = None,
    ) -> CarriedTransfer:
        """Send a folder to the peer of a name, over as many sessions as it takes: see `Session.send_folder`.

        In each session the folder is looked at again; files that have arrived are not sent again.

        Raises:
            OSError: it cannot be read, or is no folder.
            ValueError: see `Session.send_folder`.

        Cancellation: nothing has been offered.
        """
        patterns = list(exclude)
        return await self._carry(to, lambda: folder_parcel(path, name, patterns, pace))

    async def _carry(self, to: str, make: Callable[[], Awaitable[Parcel]]) -> CarriedTransfer:
        transfer = CarriedTransfer(self, to, await make(), make)
        self.tasks.spawn(transfer.run(), f"sends {transfer.name!r} to {to!r}")
        return transfer


class CarriedTransfer:
    """A file or a folder on its way to the peer of a name; made by `room.send_file()` and `room.send_folder()`.

    It goes on in the next session when one ends. `Transfer` has the meaning of the attributes.
    """

    def __init__(self, room: Succession, to: str, parcel: Parcel, make: Callable[[], Awaitable[Parcel]]) -> None:
        self.to = to
        self.name: str = parcel.name
        self.where: str = where_made()
        self.transfer: Transfer | None = None
        """The transfer in the last session."""
        self._room = room
        self._parcel = parcel
        self._make = make
        self._finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._finished.add_done_callback(seen)
        self._emitter = Emitter(room.tasks, frozenset({"progress"}), f"file {self.name!r}")

    @property
    def size(self) -> int:
        """Bytes."""
        return self._parcel.cargo.size

    @property
    def done(self) -> int:
        """Bytes that the other side has confirmed."""
        return 0 if self.transfer is None else self.transfer.done

    @property
    def proof(self) -> str:
        """The proof, once it is sent."""
        return "" if self.transfer is None else self.transfer.proof

    @property
    def entries(self) -> tuple[FolderEntry, ...]:
        """List the files and folders in a folder."""
        return self._parcel.cargo.entries

    @property
    def left_out(self) -> list[str]:
        """List the paths that are not sent of a folder."""
        return self._parcel.cargo.left_out

    @property
    def proofs(self) -> dict[str, str]:
        """Return path to proof for each file of a folder that was sent."""
        return self._parcel.cargo.proofs

    @property
    def finished(self) -> bool:
        """Whether it is over, one way or the other."""
        return self._finished.done()

    async def wait(self) -> None:
        """Wait until the peer has all of it, checked against its hash.

        Raises:
            TransferError: it was refused or failed, or this side left the room; the message says which.

        Cancellation: the transfer goes on.
        """
        settle_current()
        await asyncio.shield(self._finished)

    def cancel(self) -> None:
        """Cancel it, and notify the other side."""
        self._fail("cancelled")
        if self.transfer is not None:
            self.transfer.cancel()
        self._room.look_again()  # it may wait for the peer

    @overload
    def on(self, name: Literal["progress"]) -> On[CarriedTransfer]: ...
    @overload
    def on(self, name: Literal["progress"], handler: Reacts[CarriedTransfer, R]) -> Reacts[CarriedTransfer, R]: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler, or decorate one. `progress`: called with this transfer when more has arrived there."""
        return self._emitter.on(name) if handler is None else self._emitter.on(name, handler)

    def _fail(self, why: str) -> None:
        if not self._finished.done():
            self._finished.set_exception(TransferError(f"{self.name!r} was not sent: {why}"))

    async def run(self) -> None:
        """Send it in one session after the other."""
        try:
            while (session := await self._next_session()) is not None:
                await self._send_in(session)
        except asyncio.CancelledError:
            self._fail("this side left the room")
            raise
        except Exception as error:  # noqa: BLE001 who waits for the transfer learns it, whatever it died of
            self._fail(words(error))

    async def _next_session(self) -> Session | None:
        """Wait for a session with the peer. Returns None when the transfer is over."""
        while not self._finished.done():
            if (session := self._room.newest(self.to)) is not None:
                return session
            if (over := self._room.over) is not None:
                raise SignalingLostError(f"the room is over: {over}")
            await self._room.change()
        return None

    async def _send_in(self, session: Session) -> None:
        """Send it in this session, until it is over, or the session does not answer and has a successor."""
        before = self.transfer
        if before is not None:
            before_parcel, self._parcel = self._parcel, await self._make()
            if not self._parcel.continues(before_parcel):
                before = None
        try:
            transfer = self.transfer = transfers_of(session).send(self._parcel, before)
        except SessionClosedError:
            return
        transfer.on("progress", lambda _: self._emitter.emit("progress", self))
        ending = asyncio.ensure_future(transfer.wait())
        ending.add_done_callback(seen)
        try:
            while not ending.done():
                # It was cancelled, perhaps before it was offered here.
                if self._finished.done() or self._room.successor(session) is not None:
                    transfer.cancel()
                    return
                await self._change_or(ending)
        finally:
            await stop(ending)
        error = ending.exception()
        if self._finished.done():
            return
        if error is None:
            self._finished.set_result(None)
        elif not transfer.interrupted:
            self._finished.set_exception(error)

    async def _change_or(self, ending: asyncio.Future[None]) -> None:
        """Wait until something has changed in the room, or the transfer in this session has ended."""
        changing = asyncio.ensure_future(self._room.change())
        try:
            await asyncio.wait({ending, changing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await stop(changing)
