"""Captures of connections: the class behind `adieu.debug`."""

from __future__ import annotations

import logging
import os
from typing import Final, Self

from adieu import _core

log: Final = logging.getLogger("adieu.webrtc")


class Capture:
    """A file in the format pcapng that connections write to.

    One capture can serve several connections. A thread of its own writes the file, so that no connection waits for the
    disk. Packets are missing when the file is full, or when too many wait for the disk; `dropped` counts them. Packets
    that came over TCP or TLS are shown as if they had come over UDP.

    WARNING: even without `contents` the file shows who talked to whom, and when. With `contents` it holds in the clear
    everything that the connections have sent and received. Only its owner can read it (mode 0600). Delete it when it is
    no longer needed, and give it to nobody who may not see these messages.

    Args:
        path: the file; one that is there is overwritten.
        max_bytes: the size of the file at most.
        contents: whether the decrypted packets are written, too.

    Raises:
        OSError: the file cannot be made.

    Thread safety: any thread may call any method.
    """

    __slots__ = ("_core",)

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int = 64 * 1024 * 1024, contents: bool = False
    ) -> None:
        try:
            self._core = _core.Capture(path, max_bytes=max_bytes, contents=contents)
        except OSError as error:
            raise OSError(error.errno, "the file of the capture cannot be made", os.fspath(path)) from error
        if contents:
            log.warning("! %s gets all messages of its connections in the clear: keep it secret, and delete it", path)

    @property
    def native(self) -> _core.Capture:
        """The core's object."""
        return self._core

    @property
    def written(self) -> int:
        """The number of packets in the file."""
        return self._core.written

    @property
    def dropped(self) -> int:
        """The number of packets that are missing in the file."""
        return self._core.dropped

    def close(self) -> None:
        """Write what waits, and close the file. Connections that are still there go on without it.

        Raises:
            OSError: the disk is full, or broken.
        """
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
