"""An offer of the other side: who looks at it, how it is answered, and how it ends, whatever is offered."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from adieu.errors import TransferError
from adieu.protocol.control import File
from adieu.session import names
from adieu.session.emitter import Emitter, settle_current
from adieu.session.files.desk import seen, words
from adieu.unclosed import where_made

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Self

    from adieu.protocol.control import FileOffer
    from adieu.session.emitter import Handler, On, R, Reacts
    from adieu.session.files.desk import Desk

T = TypeVar("T")
EVENTS = frozenset({"progress", "withdrawn"})
EXISTS = ("rename", "overwrite", "skip")
LIVELY = 6.0
"""Seconds after which a session that answers is taken for alive: trouble is known in five (closing rule S7)."""
_under_way: dict[tuple[str, str], list[Incoming]] = {}
"""The transfers that this process receives, by their place on the disk and key."""


class Incoming:
    """The part that incoming files and folders share; see `IncomingFile`."""

    KIND: Literal["file", "folder"]

    def __init__(self, desk: Desk, id_: str, offer: FileOffer, forget: Callable[[Incoming], None]) -> None:
        self.id = id_
        self.name: str = names.safe(offer.name)
        self.size: int = offer.size
        self.channel: str = offer.channel
        self.proof: str = ""
        self.done: int = 0
        self.answered: bool = False
        self.skipped: bool = False
        self.waits: bool = False
        """Whether its turn with the handlers of the session has not come."""
        self.where: str = ""
        self._offer = offer
        self._desk = desk
        self._offset: int | None = None
        """The byte to go on at, once it is accepted."""
        loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = loop.create_future()
        self._over.add_done_callback(seen)
        self._forget_in = forget
        self._left: asyncio.Future[None] = loop.create_future()
        """Done when `accept` has ended."""
        self._emitter = Emitter(desk.shell.tasks, EVENTS, f"{self.KIND} {self.name!r}")
        self._held = False
        self._told = False
        self._handled = False
        self._patience: asyncio.TimerHandle | None = loop.call_later(
            desk.shell.machine.options.file_patience, self._waited
        )

    @overload
    def on(self, name: Literal["progress", "withdrawn"]) -> On[Self]: ...
    @overload
    def on(self, name: Literal["progress", "withdrawn"], handler: Reacts[Self, R]) -> Reacts[Self, R]: ...
    def on(self, name: str, handler: Handler | None = None) -> Any:
        """Add a handler, or decorate one: it is called with this offer.

        `progress`: more of it is here. `withdrawn`: the sender has given up, or the session has ended, before it was
        answered.
        """
        return self._emitter.on(name) if handler is None else self._emitter.on(name, handler)

    def _arrived(self, proof: str, size: int) -> None:
        """Keep the proof, and the size as it was sent."""
        self.proof = proof
        self.size = size

    def hold(self) -> None:
        """The answer comes later, when a person has been asked: the handlers may return without one."""
        self._held = True

    def refuse(self, reason: str = "") -> None:
        """Do not take it.

        Raises:
            TransferError: it was answered already.
        """
        self._answer()
        if not self._over.done():
            self._desk.say(File(id=self.id, refuse=reason))
        self._forget()

    def tell(self) -> None:
        """Have the handlers of the session look at it, if there are any and they have not."""
        emitter = self._desk.shell.emitter
        if emitter.has(self.KIND) and not self._told and not self.answered:
            self._told = self.waits = True
            emitter.emit(self.KIND, self, self._looked_at, unless=self._missed_turn)

    def _missed_turn(self) -> bool:
        """Note that its turn has come. Returns whether it is over: then the handlers get nothing."""
        self.waits = False
        if self.over:
            self._forget()
        return self.over

    def _looked_at(self) -> None:
        self._handled = True
        self._refuse_if_late()

    def _waited(self) -> None:
        self._patience = None
        self._refuse_if_late()

    def _refuse_if_late(self) -> None:
        """Nobody has answered in time, and nobody is at it."""
        if self._patience is None and not self.answered and not self._held and self._told == self._handled:
            self.refuse("no handler accepted it" if self._told else f"no handler for {self.KIND}s on this side")

    def _answer(self) -> None:
        if self.answered:
            raise TransferError(f"{self.name!r} was answered already")
        self.answered = True
        self.where = where_made()
        self.stop_waiting()

    def stop_waiting(self) -> None:
        """Note that the offer needs no answer now."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    async def _accepted(self, receive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Receive it. An error is one of the transfer, and the sender learns of it."""
        settle_current()
        if self._over.done():
            await self._over
        self._answer()
        try:
            return await receive()
        except asyncio.CancelledError:
            self._fail("cancelled by the receiver")
            raise
        except Exception as error:
            self._fail(words(error))
            if isinstance(error, TransferError):
                raise
            raise TransferError(f"{self.name!r} did not arrive: {words(error)}") from error
        finally:
            self._left.set_result(None)
            self._forget()

    async def _take_place(self, place: Path) -> None:
        """Have this place on the disk. The same file from a program that was killed, and started again, gives way."""
        key = (os.path.abspath(place), self._offer.key or self._offer.sha256)  # noqa: ASYNC240, PTH100 no disk is asked
        for other in [*_under_way.get(key, ())]:
            if other._left.get_loop() is self._left.get_loop() and other._desk is not self._desk:  # noqa: SLF001
                await other.give_way(self._desk.shell.name)
        mine = _under_way.setdefault(key, [])
        mine.append(self)

        def left(_: object) -> None:
            mine.remove(self)
            if not mine:
                del _under_way[key]

        self._left.add_done_callback(left)

    async def give_way(self, name: str) -> None:
        """End, if the session does not answer: a peer of the same name offers the same in a later one."""
        shell = self._desk.shell
        if not name or shell.name != name:
            return
        silent = asyncio.get_running_loop().create_future()

        def look(_: object) -> None:
            if shell.machine.is_troubled and not silent.done():
                silent.set_result(None)

        shell.emitter.on("state", look)
        try:
            look(None)
            await asyncio.wait({silent, self._left}, timeout=LIVELY, return_when=asyncio.FIRST_COMPLETED)
        finally:
            shell.emitter.off("state", look)
        if silent.done():
            self.heard(File(id=self.id, failed="it goes on in a later session"))
            await asyncio.wait({self._left})

    def _skip(self) -> None:
        """Tell the sender that it is here already."""
        self.skipped = True
        self._desk.say(File(id=self.id, refuse="it is there already"))

    def _fail(self, why: str) -> None:
        if not self._over.done():
            self._desk.say(File(id=self.id, failed=why))
        if self._offset is not None:
            self._desk.drain(self.channel)

    async def _begin(self, at: int) -> None:
        """Tell the sender to begin."""
        await self._desk.stop_draining(self.channel)
        self.done = self._offset = at
        self._desk.say(File(id=self.id, accept=at))

    def _came(self, done: int) -> None:
        self.done = done
        if self._emitter.has("progress"):  # a turn of the event loop for every piece is much
            self._emitter.emit("progress", self)

    def _forget(self) -> None:
        """Note that it is answered for good."""
        self._forget_in(self)

    @property
    def over(self) -> bool:
        """Whether the sender has given up."""
        return self._over.done()

    def heard(self, file: File) -> None:
        """A word of the sender."""
        if file.failed is None or self._over.done():
            return
        self._over.set_exception(TransferError(f"{self.name!r} did not arrive: {file.failed}"))
        if not self.answered:
            self.stop_waiting()
            self._forget()
            self._emitter.emit("withdrawn", self)

    def say_again(self) -> None:
        """The connection is another: what may have been lost with the old one is said again."""
        if self._offset is not None:
            self._desk.say(File(id=self.id, accept=self._offset))


def check_exists(exists: str) -> None:
    """See whether it is one of the choices.

    Raises:
        ValueError: it is something else.
    """
    if exists not in EXISTS:
        raise ValueError(f"exists is one of {', '.join(map(repr, EXISTS))}, not {exists!r}")
