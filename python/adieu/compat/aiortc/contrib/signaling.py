"""Signaling for two programs: by copy and paste, over a TCP socket, or over a Unix socket."""

from __future__ import annotations

import asyncio
import json
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from adieu.compat.aiortc.rtcicetransport import RTCIceCandidate
from adieu.compat.aiortc.rtcsessiondescription import RTCSessionDescription
from adieu.compat.aiortc.sdp import candidate_from_sdp, candidate_to_sdp

if TYPE_CHECKING:
    import argparse

LONGEST: Final = 1 << 20
"""Bytes of the longest line that is read."""


class SignalingBye:
    """The other side leaves."""


BYE: Final = SignalingBye()

SignalingObject: TypeAlias = RTCSessionDescription | RTCIceCandidate | SignalingBye


def object_from_string(message_str: str) -> SignalingObject:
    """Read a description, a candidate or `BYE`.

    Raises:
        ValueError: it is something else.
    """
    try:
        given: Any = json.loads(message_str)
    except RecursionError:
        raise ValueError(f"{message_str[:80]!r} is nested too deep") from None
    message: dict[str, Any] = dict(given) if isinstance(given, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
    match message.get("type"):
        case "offer" | "answer" as kind if isinstance(message.get("sdp"), str):
            return RTCSessionDescription(sdp=message["sdp"], type=kind)
        case "candidate" if isinstance(message.get("candidate"), str):
            candidate = candidate_from_sdp(message["candidate"])
            candidate.sdpMid, candidate.sdpMLineIndex = message.get("id"), message.get("label")
            return candidate
        case "bye":
            return BYE
        case _:
            raise ValueError(f"{message_str[:80]!r} is no description, no candidate and no bye")


def object_to_string(obj: SignalingObject) -> str:
    """Return a description, a candidate or `BYE` as a line of JSON.

    Raises:
        TypeError: it is something else.
    """
    given: Any = obj
    message: dict[str, Any]
    match given:
        case RTCSessionDescription():
            message = {"sdp": given.sdp, "type": given.type}
        case RTCIceCandidate():
            message = {
                "candidate": f"candidate:{candidate_to_sdp(given)}",
                "id": given.sdpMid,
                "label": given.sdpMLineIndex,
                "type": "candidate",
            }
        case SignalingBye():
            message = {"type": "bye"}
        case _:
            raise TypeError(f"{given!r} is no description, no candidate and not BYE")
    return json.dumps(message, sort_keys=True)


class BaseSignaling(ABC):
    """Carries descriptions and candidates between two programs."""

    @abstractmethod
    async def connect(self) -> None:
        """Begin."""

    @abstractmethod
    async def close(self) -> None:
        """Tell the other side, and end."""

    @abstractmethod
    async def send(self, descr: SignalingObject) -> None:
        """Send one of them."""

    @abstractmethod
    async def receive(self) -> SignalingObject | None:
        """Wait for the next; None: the other side is gone."""


class CopyAndPasteSignaling(BaseSignaling):
    """Signaling by a person, who copies lines between two terminals."""

    def __init__(self) -> None:
        self._input = sys.stdin
        self._output = sys.stdout
        self._transport: asyncio.ReadTransport | None = None
        self._reader: asyncio.StreamReader | None = None

    async def connect(self) -> None:
        """Begin to read the terminal."""
        reader = self._reader = asyncio.StreamReader(limit=LONGEST)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), self._input)

    async def close(self) -> None:
        """Print `BYE`, and read no further."""
        if self._transport is not None:
            await self.send(BYE)
            self._transport.close()
            self._reader = self._transport = None

    async def send(self, descr: SignalingObject) -> None:
        """Print it."""
        self._print("-- Please send this message to the remote party --")
        self._print(object_to_string(descr))
        self._print("")

    async def receive(self) -> SignalingObject | None:
        """Ask for the next line; None at the end of the input."""
        if self._reader is None:
            raise RuntimeError("connect() was not called, or close() was")
        self._print("-- Please enter a message from remote party --")
        line = await self._reader.readline()
        self._print("")
        return object_from_string(line.decode()) if line else None

    def _print(self, text: str) -> None:
        self._output.write(f"{text}\n")
        self._output.flush()


class _SocketSignaling(BaseSignaling):
    """Signaling over one socket: the side that sends first listens, and the side that receives first connects."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._came: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] | None = None
        """The wait for the other side."""
        self._closed = False

    @abstractmethod
    async def _listen(self, callback: Any) -> asyncio.Server: ...

    @abstractmethod
    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...

    async def connect(self) -> None:
        """Do nothing: the first `send` or `receive` says which side listens."""

    async def _connected(self, *, listens: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is not None and self._writer is not None:
            return self._reader, self._writer
        if self._closed:
            raise RuntimeError("close() was called")
        reader, writer = await (self._accept() if listens else self._dial())
        if self._is_closed():  # meanwhile
            writer.close()
            raise asyncio.CancelledError
        self._reader, self._writer = reader, writer
        return reader, writer

    def _is_closed(self) -> bool:
        return self._closed

    async def _accept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Wait for the other side. `close()` cancels it."""
        came: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        came = self._came = asyncio.get_running_loop().create_future()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if came.done():
                writer.close()  # a third program
            else:
                came.set_result((reader, writer))

        server = await self._listen(accepted)
        if self._is_closed():  # meanwhile
            server.close()
        else:
            self._server = server
        return await came

    async def send(self, descr: SignalingObject) -> None:
        """Send it; the first time, wait for the other side. `close()` cancels the task that waits.

        Raises:
            RuntimeError: `close()` was called before.
        """
        _, writer = await self._connected(listens=True)
        writer.write(object_to_string(descr).encode() + b"\n")

    async def receive(self) -> SignalingObject | None:
        """Wait for the next; the first time, connect to the other side. After `close()` the task is cancelled."""
        if self._closed:
            raise asyncio.CancelledError  # a task that was interrupted, and that reads on while its program ends
        reader, _ = await self._connected(listens=False)
        try:
            line = await reader.readuntil()
        except asyncio.LimitOverrunError:
            raise ValueError(f"the other side sent a line of more than {LONGEST} bytes") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            await asyncio.sleep(0)  # a program that asks again and again lets others run
            return None
        return object_from_string(line.decode())

    async def close(self) -> None:
        """Send `BYE`, and close the socket."""
        self._closed = True
        if self._came is not None:
            self._came.cancel()
        if self._writer is not None:
            await self.send(BYE)
            self._writer.close()
            self._reader = self._writer = None
        if self._server is not None:
            self._server.close()
            self._server = None


class TcpSocketSignaling(_SocketSignaling):
    """Signaling over TCP.

    Args:
        host: the address of the side that listens.
        port: its port.
    """

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._host = host
        self._port = port

    async def _listen(self, callback: Any) -> asyncio.Server:
        return await asyncio.start_server(callback, self._host, self._port, limit=LONGEST)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=LONGEST)


class UnixSocketSignaling(_SocketSignaling):
    """Signaling over a Unix socket.

    Args:
        path: of the socket; it is removed at the end.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    async def _listen(self, callback: Any) -> asyncio.Server:
        return await asyncio.start_unix_server(callback, self._path, limit=LONGEST)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self._path, limit=LONGEST)

    async def close(self) -> None:
        """Send `BYE`, close the socket and remove its file."""
        listens = self._server is not None
        await super().close()
        if listens:
            Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240 it does not wait


def add_signaling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `create_signaling` reads."""
    parser.add_argument("--signaling", "-s", choices=["copy-and-paste", "tcp-socket", "unix-socket"])
    parser.add_argument("--signaling-host", default="127.0.0.1", help="the host of tcp-socket")
    parser.add_argument("--signaling-port", default=1234, type=int, help="the port of tcp-socket")
    parser.add_argument("--signaling-path", default="aiortc.socket", help="the path of unix-socket")


def create_signaling(args: argparse.Namespace) -> BaseSignaling:
    """Return the signaling that the options ask for."""
    match args.signaling:
        case "tcp-socket":
            return TcpSocketSignaling(args.signaling_host, args.signaling_port)
        case "unix-socket":
            return UnixSocketSignaling(args.signaling_path)
        case _:
            return CopyAndPasteSignaling()
