"""The route over signaling of the program's own: point to point, without a server and without presence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from adieu.errors import SignalingLostError
from adieu.protocol.signaling import Candidates, Description, Relayed
from adieu.session.signaling_route import SignalingRoute
from adieu.session.tasks import Tasks

if TYPE_CHECKING:
    from adieu.session.shell import Shell
    from adieu.signaling import Signaling

SAY_AGAIN = 1.0
"""Seconds: an offer to which nothing has come back is sent again after this time."""


class DirectRoute(SignalingRoute):
    """Sends and receives over a `Signaling` of the program's own.

    The side that starts later may have missed what was sent before, and nothing says so. So an offer is sent again,
    every second, until it is answered.
    """

    shell: Shell
    """The session's; set before `start`."""

    def __init__(self, signaling: Signaling) -> None:
        self._signaling = signaling
        self._out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks = Tasks("signaling of a session")
        self._heard: set[int] = set()
        """Epochs with a description from the other side."""
        self._unheard: dict[int, list[dict[str, Any]]] = {}
        """The offer and its candidates by epoch, until it is answered."""

    def start(self) -> None:
        """See `SignalingRoute.start`."""
        self._tasks.spawn(self._send_all(), "sends")
        self._tasks.spawn(self._receive_all(), "receives")
        self._tasks.spawn(self._repeat(), "says again")
        if not self.shell.machine.smaller:
            self._greet()

    async def stop(self) -> None:
        """See `SignalingRoute.stop`. The last messages are sent first, for at most a second."""
        if self.shell.signaling_up and not self._out.empty():
            await asyncio.wait({self._tasks.spawn(self._out.join(), "sends the rest")}, timeout=1.0)
        await self._tasks.end()

    def send(self, message: Relayed) -> None:
        """See `SignalingRoute.send`."""
        said = msgspec.to_builtins(msgspec.structs.replace(message, from_=self.shell.machine.me))
        match message:
            case Description(epoch=epoch, sdp_type="offer") if epoch not in self._heard:
                self._unheard = {epoch: [said]}  # of an older connection nothing is expected now
            case Candidates(epoch=epoch) if epoch in self._unheard:
                self._unheard[epoch].append(said)
            case _:
                pass
        self._out.put_nowait(said)

    def _greet(self) -> None:
        """Say only that this side is there; the other has the first word."""
        machine = self.shell.machine
        self.send(Candidates(epoch=1, candidates=[], session=machine.session, to=machine.peer))

    async def _repeat(self) -> None:
        shell = self.shell
        while shell.receipt is None:
            await asyncio.sleep(SAY_AGAIN)
            if not shell.machine.peer and not shell.machine.smaller:
                self._greet()
            self._say_again()

    def _say_again(self) -> None:
        if self._out.empty():  # else it has not even left
            machine = self.shell.machine
            for said in [said for messages in self._unheard.values() for said in messages]:
                self._out.put_nowait({**said, "session": machine.session, "to": machine.peer})

    async def _send_all(self) -> None:
        while True:
            message = await self._out.get()
            try:
                await self._signaling.send(message)
            except SignalingLostError as error:
                self.shell.signaling_changed(False, str(error))
                return
            finally:
                self._out.task_done()

    async def _receive_all(self) -> None:
        shell = self.shell
        while True:
            try:
                raw = await self._signaling.receive()
            except SignalingLostError as error:
                shell.signaling_changed(False, str(error))
                return
            try:
                message: Relayed = msgspec.convert(raw, Relayed)
            except msgspec.ValidationError as error:
                shell.signaling_broken(str(error))
                return
            self._received(message)

    def _received(self, message: Relayed) -> None:
        shell = self.shell
        machine = shell.machine
        if not machine.peer and message.from_:
            shell.introduced(message.from_)
            if machine.smaller and not isinstance(message, Description):
                self._say_again()  # it is there now, and was not when the offer was sent
        if message.from_ != machine.peer:
            return
        match message:
            case Description(epoch=epoch):
                self._heard.add(epoch)
                self._unheard.pop(epoch, None)
            case Candidates(epoch=epoch) if epoch not in self._heard:
                return  # a greeting; or the description was lost, and has them when it is sent again
            case _:
                pass
        shell.signaled(message)
