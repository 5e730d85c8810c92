"""One receiver, as the sender sees it: it proves the code or the link, says what it has, and gets the rest."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from adieu.cli.sending.display import files_in_words, path_in_words, under_its_name
from adieu.cli.sending.listing import digest, in_parts, trunk
from adieu.cli.sending.messages import (
    AT_ONCE,
    PATIENCE,
    Done,
    Entries,
    ExchangeError,
    Failed,
    Have,
    Line,
    Missing,
    exchange,
)
from adieu.cli.sending.proof import prove_as_sender
from adieu.errors import SessionClosedError, TransferError
from adieu.protocol.control import CHUNK, MAX_FILE_TEXT
from adieu.protocol.text import sendable
from adieu.session import disk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from adieu.cli.sending.display import Display
    from adieu.cli.sending.listing import Listing
    from adieu.cli.sending.proof import Pin, Secrets
    from adieu.session import CloseReceipt, Session
    from adieu.session.files.scan import Selection

AT_WORK = 24
"""Files under way or waiting for their turn."""
CLOSE_TIMEOUT = 10.0
LAST_WORDS = 1.0
"""Seconds in which a receiver says why it stops."""
SEVERAL = "files"
"""The name of the folder that carries several files and folders. A receiver on a disk does not keep it."""


class Guest:
    """One receiver.

    Attributes:
        listing: what it gets; None until it has proved that it knows the secret.
        proofs: of the files that it has, by their numbers.
        receipt: of the session, at the end.
        path: over which the data goes, in words; empty before its proof.
        began: when that was, by the event loop's clock.
        ended: when it ended.
        how: how it ended: `done`, `failed`, `left`, `lost`, or `unconfirmed`; empty before.
    """

    def __init__(
        self,
        listing: Callable[[], Awaitable[Listing]],
        known: Secrets,
        pin: Pin,
        display: Display,
        limit: Limit | None,
        entered: Callable[[Guest], Awaitable[None]],
    ) -> None:
        self.listing: Listing | None = None
        self.proofs: dict[int, str] = {}
        self.receipt: CloseReceipt | None = None
        self.path: str = ""
        self.began: float = 0.0
        self.ended: float = 0.0
        self.how: str = ""
        self.display = display
        self._make_listing = listing
        self._known = known
        self._pin = pin
        self._limit = limit
        self._entered = entered
        self._under_way: dict[int, int] = {}
        self._proof = ""
        """The proof of all files together, if they go as one folder."""

    @property
    def sent(self) -> int:
        """Return the bytes that it has."""
        if self.listing is None:
            return 0
        done = sum(self.listing.entries[number].size for number in self.proofs)
        return done + sum(self._under_way.values())

    async def serve(self, session: Session) -> bool:
        """Serve it. Return whether the end is confirmed.

        Raises:
            WrongCodeError: it does not know the secret.
            ExchangeError: it cannot go on, or does not keep to the order of words.
            SessionError: the session ended.
        """
        line = await Line.of(session)
        await prove_as_sender(session, line, self._known, self._pin)
        await self._entered(self)
        self.path = path_in_words(session)
        self.began = asyncio.get_running_loop().time()
        self.display.say("connected", f"The receiver has proved itself. Path: {self.path}.", path=self.path)
        try:
            self.listing = listing = await self._make_listing()
        except (OSError, ValueError) as error:
            await line.send(Failed("the sender cannot read its files"))
            raise ExchangeError(f"the files cannot be read: {error}") from None
        whole = await asyncio.to_thread(listing.whole)
        for part, last in in_parts(listing.entries, AT_ONCE):
            await line.send(Entries(part, last, whole is not None))
        takes_whole = await self._compare(line, listing)
        answer = asyncio.create_task(exchange(line, None, Done, patience=None))
        work = asyncio.create_task(self._send_all(session, listing, whole if takes_whole else None))
        try:
            await asyncio.wait({answer, work}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                answer.result()
                async with asyncio.timeout(PATIENCE):  # its last words about the files come by another channel
                    await work
            await work
            theirs = await answer
        except TimeoutError:
            raise ExchangeError("it says that it has everything before it was sent") from None
        finally:
            for task in (answer, work):
                task.cancel()
            await asyncio.wait({answer, work})
        own = self._proof or digest(listing.entries, self.proofs)
        if theirs.digest != own:
            await line.send(Failed("the list of hashes differs"))
            raise ExchangeError("its list of hashes differs from this one")
        await line.send(Done(own))
        self.receipt = receipt = await session.close("everything was sent", timeout=CLOSE_TIMEOUT)
        self.display.end()
        if not (receipt.confirmed and receipt.clean):
            self.display.say("unconfirmed", f"The files arrived, but the end was not confirmed: {receipt.notice}")
            return False
        return True

    async def _compare(self, line: Line, listing: Listing) -> bool:
        """Hear which files the receiver has from an earlier attempt, and name those that differ.

        Return whether it takes all of them as one folder.
        """
        claimed: dict[int, str] = {}
        last = whole = False
        while not last:
            heard = await exchange(line, None, Have)
            claimed.update(heard.files)
            if len(claimed) > len(listing.entries):
                raise ExchangeError("it says that it has more files than are sent")
            last, whole = heard.last, heard.whole
        files = set(listing.files)
        missing: list[int] = []
        for number, proof in sorted(claimed.items()):
            if number in files and number not in listing.proofs:
                listing.proofs[number] = await self._proof_of(listing.paths[number])
            if number in files and listing.proofs[number] == proof:
                self.proofs[number] = proof
            else:
                missing.append(number)
        for at in range(0, max(len(missing), 1), AT_ONCE):
            await line.send(Missing(missing[at : at + AT_ONCE], at + AT_ONCE >= len(missing)))
        return whole

    @staticmethod
    async def _proof_of(path: Path) -> str:
        try:
            return await asyncio.to_thread(proof_of, path)
        except (OSError, TransferError) as error:
            raise ExchangeError(f"{path}: {getattr(error, 'strerror', None) or error}") from None

    async def _send_all(self, session: Session, listing: Listing, whole: Selection | None) -> None:
        total = listing.size
        self._under_way.clear()
        already = sum(listing.entries[number].size for number in self.proofs)
        what = files_in_words(len(listing.files) - len(self.proofs), total - already)
        self.display.say("sending", f"Sending {what}.")
        self._tell()
        try:
            if whole is None:
                await self._one_by_one(session, listing)
            else:
                await self._as_one(session, listing, whole)
        except TransferError as error:
            receipt = session.receipt or await self._left(session)
            if receipt is not None:
                raise SessionClosedError(receipt.notice, receipt) from None
            raise ExchangeError(str(error)) from None
        except OSError as error:
            raise ExchangeError(f"{error.filename or ''}: {error.strerror or error}") from None

    @staticmethod
    async def _left(session: Session) -> CloseReceipt | None:
        """Return the receipt if the receiver leaves without a complaint: it cancels its files first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                receipt = await session.wait_closed()
                return None if receipt.reason.text else receipt
        return None

    @property
    def _pace(self) -> Callable[[int], Awaitable[None]] | None:
        return None if self._limit is None else self._limit.wait

    async def _as_one(self, session: Session, listing: Listing, whole: Selection) -> None:
        """Send all files in one transfer."""
        begin = trunk(listing.entries)
        name = sendable(begin.rstrip("/") or SEVERAL, MAX_FILE_TEXT)
        transfer = await session.send_folder(whole, name=name, pace=self._pace)

        def moved(_: object) -> None:
            self._under_way[0] = transfer.done
            if self.display.is_due:
                self._tell()

        transfer.on("progress", moved)
        await transfer.wait()
        self._under_way.clear()
        self._proof = transfer.proof
        for number in listing.files:
            path = listing.entries[number].path.removeprefix(begin)
            self.proofs[number] = listing.proofs[number] = transfer.proofs[path]
        self._tell()

    async def _one_by_one(self, session: Session, listing: Listing) -> None:
        """Send each file by itself: the receiver is of the first version, or no folder can have such a name."""
        waiting = iter([number for number in listing.files if number not in self.proofs])

        async def worker() -> None:
            for number in waiting:
                await self._send(session, listing, number)

        tasks = [asyncio.create_task(worker()) for _ in range(AT_WORK)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _send(self, session: Session, listing: Listing, number: int) -> None:
        transfer = await session.send_file(listing.paths[number], name=str(number), pace=self._pace)

        def moved(_: object) -> None:
            self._under_way[number] = transfer.done
            if self.display.is_due:
                self._tell()

        transfer.on("progress", moved)
        if transfer.size != listing.entries[number].size:
            transfer.cancel()
            raise ExchangeError(f"{listing.paths[number]} has changed since it was listed")
        try:
            await transfer.wait()
        except TransferError as error:
            raise TransferError(under_its_name(error, number, listing.entries[number].path)) from error
        self._under_way.pop(number, None)
        self.proofs[number] = listing.proofs[number] = transfer.proof
        self._tell()

    def _tell(self) -> None:
        self.display.progress(self.sent, 0 if self.listing is None else self.listing.size)


def proof_of(path: Path) -> str:
    """Return the SHA-256 over the hashes of a file's chunks, as its transfer would give it."""
    source = disk.source(path)
    proof = hashlib.sha256()
    file = source.open()
    try:
        for index in range(-(-source.size // CHUNK)):
            proof.update(source.skip(file, index, CHUNK))
    finally:
        if file is not None:
            file.close()
    return proof.hexdigest()


class Limit:
    """A limit of the rate, for all files together.

    Args:
        rate: bytes a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def wait(self, count: int) -> None:
        """Wait until this many bytes may be sent."""
        loop = asyncio.get_running_loop()
        begin = max(self._free_at, loop.time())
        self._free_at = begin + count / self._rate
        await asyncio.sleep(begin - loop.time())
