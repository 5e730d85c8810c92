"""Things that change while the server runs: its TLS certificate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

logger: Final = logging.getLogger("adieu.server")

LOOK_EVERY = 10.0
"""Seconds between two looks at the files."""

Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Certificate:
    """The certificate of a TLS context, which follows its two files. New connections get the new one.

    Args:
        context: the context that serves.
        cert: the certificate chain, PEM.
        key: its private key, PEM.
    """

    def __init__(self, context: ssl.SSLContext, cert: str | Path, key: str | Path) -> None:
        self._context = context
        self._files = (Path(cert), Path(key))
        self._seen = _stamp(self._files)
        self._wanted = asyncio.Event()
        self._tried: Stamp = self._seen

    def look_now(self) -> None:
        """Read the files, whether they have changed or not."""
        self._tried = self._seen = ()
        self._wanted.set()

    async def run(self) -> None:
        """Follow the files, until this is cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._wanted.wait()
            self._wanted.clear()
            self.look()

    def look(self) -> bool:
        """Take the files if they have changed. Whether they were taken.

        They are often written one after the other: until both belong together, the old certificate stays.
        """
        stamp = _stamp(self._files)
        if stamp == self._seen:
            return False
        cert, key = self._files
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)  # first to the side: all or nothing
            self._context.load_cert_chain(cert, key)
        except OSError as error:  # ssl.SSLError is one
            if stamp != self._tried:
                logger.warning("the new certificate %s cannot be used, the old one stays: %s", cert, error)
            self._tried = stamp
            return False
        self._seen = self._tried = stamp
        logger.info("the certificate %s was read again", cert)
        return True


def _stamp(files: Sequence[Path]) -> Stamp:
    return tuple(_one(file) for file in files)


def _one(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
