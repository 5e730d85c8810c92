"""STUN servers, and the NAT in front of this computer as their answers show it (RFC 5780)."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from adieu.cli.checks import stun_message as message
from adieu.cli.checks.finding import Finding, in_thread, milliseconds, shown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from adieu.cli.checks.stun_message import Address, Answer
    from adieu.webrtc.ice_server import IceUrl

BOUND = 4.0
"""Seconds for the answer of a server. The request is sent again after 0.3, 0.6, 1.2, … seconds."""
FIRST_RETRY = 0.3
FILTER_BOUND = 1.5
"""Seconds for an answer that a NAT may hold back."""
DNS_BOUND = 5.0


@dataclass(slots=True)
class Reply:
    """The answer of one address of a server.

    Attributes:
        url: of the server.
        address: that was asked.
        answer: None if it did not come.
        seconds: from the last request to the answer.
    """

    url: str
    address: Address
    answer: Answer | None = None
    seconds: float = 0.0


class _Socket(asyncio.DatagramProtocol):
    """A UDP socket that sends requests and takes their answers."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, asyncio.Future[tuple[Answer, Address]]] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self.error: OSError | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        waiter = self._waiting.get(message.transaction_of(data) or b"")
        answer = message.parse(data)
        if waiter is not None and answer is not None and not waiter.done():
            waiter.set_result((answer, (str(addr[0]).partition("%")[0], int(addr[1]))))

    def error_received(self, exc: Exception) -> None:
        self.error = exc if isinstance(exc, OSError) else None

    async def ask(self, address: Address, *, change: int = 0, seconds: float = BOUND) -> tuple[Answer | None, float]:
        """Ask a server. The answer must come from its address, or with `change` from another one.

        Returns the answer, None if it did not come, and the seconds since the last request.
        """
        assert self._transport is not None  # noqa: S101 the socket is open
        loop = asyncio.get_running_loop()
        transaction = os.urandom(12)
        asked = message.request(transaction, change=change)
        end, wait = loop.time() + seconds, FIRST_RETRY
        try:
            while (left := end - loop.time()) > 0:
                waiter = self._waiting[transaction] = loop.create_future()
                sent = time.perf_counter()
                self._transport.sendto(asked, address)
                done, _ = await asyncio.wait({waiter}, timeout=min(wait, left))
                if done:
                    answer, source = waiter.result()
                    if (source == address) != bool(change):
                        return answer, time.perf_counter() - sent
                wait *= 2
        finally:
            self._waiting.pop(transaction, None)
        return None, 0.0


@asynccontextmanager
async def _open(family: int) -> AsyncGenerator[_Socket]:
    loop = asyncio.get_running_loop()
    here = ("::", 0) if family == socket.AF_INET6 else ("0.0.0.0", 0)  # noqa: S104 answers come to any address
    transport, protocol = await loop.create_datagram_endpoint(_Socket, here, family=family)
    try:
        yield protocol
    finally:
        transport.close()


@dataclass(slots=True)
class Asked:
    """All answers that came to one socket of each family."""

    findings: list[Finding] = field(default_factory=list[Finding])
    replies: dict[int, list[Reply]] = field(default_factory=dict[int, list[Reply]])


async def resolve(host: str, port: int) -> list[tuple[int, Address]]:
    """Return the addresses of a name, one for each family.

    Raises:
        OSError: the name has no address.
        TimeoutError: the name servers do not answer.
    """
    found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM), DNS_BOUND)
    first: dict[int, Address] = {}
    for family, _, _, _, address in found:
        if family in {socket.AF_INET, socket.AF_INET6}:
            first.setdefault(family, (str(address[0]), int(address[1])))
    return list(first.items())


async def check(servers: Sequence[IceUrl], local: Sequence[str]) -> list[Finding]:
    """Return a finding for each server, and one for the NAT of each family of addresses."""
    if not servers:
        text = "no server was given: this computer's address as others see it stays unknown"
        return [Finding("STUN", "skipped", text, "give --stun stun:HOST:PORT, better two of different providers")]
    places: dict[int, list[Reply]] = {}
    findings: list[Finding] = []
    for server in servers:
        try:
            for family, address in await resolve(server.host, server.port):
                places.setdefault(family, []).append(Reply(str(server), address))
        except (OSError, TimeoutError) as error:
            reason = "the name servers do not answer" if isinstance(error, TimeoutError) else error.strerror
            text = f"{server.host} has no address: {reason}"
            findings.append(Finding("STUN", "failed", text, "look at the name, and at the name servers of this system"))
    nats: list[Finding] = []
    for family, replies in places.items():
        try:
            async with _open(family) as ours:
                await asyncio.gather(*(_fill(ours, reply) for reply in replies))
                if any(reply.answer is not None for reply in replies):
                    nats.append(await _nat(ours, replies, local, family))
        except OSError:
            continue  # this family is not there: see IPv6
    for server in servers:
        of_server = [reply for replies in places.values() for reply in replies if reply.url == str(server)]
        if of_server:
            findings.append(_of_server(str(server), of_server))
    return [*findings, *nats]


async def _fill(ours: _Socket, reply: Reply) -> None:
    reply.answer, reply.seconds = await ours.ask(reply.address)


def _of_server(url: str, replies: list[Reply]) -> Finding:
    good = [reply for reply in replies if reply.answer is not None and reply.answer.mapped is not None]
    figures: dict[str, Any] = {"url": url, "asked": [reply.address[0] for reply in replies]}
    if good:
        figures["round_trip_ms"] = round(good[0].seconds * 1000, 2)
        figures["seen_as"] = [shown(reply.answer.mapped) for reply in good if reply.answer and reply.answer.mapped]
        text = f"{url} answers in {milliseconds(good[0].seconds)}; it sees {' and '.join(figures['seen_as'])}"
        return Finding("STUN", "ok", text, figures=figures)
    refused = next((reply.answer.error for reply in replies if reply.answer is not None), "")
    if refused:
        return Finding("STUN", "failed", f"{url} refuses: {refused}", "use another server", figures)
    where = " and ".join(shown(reply.address) for reply in replies)
    text = f"{url} does not answer within {BOUND:.0f} s ({where})"
    remedy = (
        "try another server; if all stay silent, this network drops UDP: then only a TURN server over TCP or TLS"
        " helps (turns:HOST:443?transport=tcp)"
    )
    return Finding("STUN", "failed", text, remedy, figures)


# --- the NAT ----------------------------------------------------------------------------------------------------------


async def _nat(ours: _Socket, replies: list[Reply], local: Sequence[str], family: int) -> Finding:
    """Say which kind of NAT is in front of one socket, judging by its answers."""
    name = "NAT" if family == socket.AF_INET else "NAT, IPv6"
    seen: dict[Address, Address] = {}
    for reply in replies:
        if reply.answer is not None and reply.answer.mapped is not None:
            seen[reply.address] = reply.answer.mapped
    helper = next(
        ((reply.address, reply.answer.other) for reply in replies if reply.answer and reply.answer.other), None
    )
    if len(seen) == 1 and helper is not None:
        answer, _ = await ours.ask(helper[1], seconds=FILTER_BOUND)
        if answer is not None and answer.mapped is not None:
            seen[helper[1]] = answer.mapped
    filtering = "" if helper is None else await _filtering(ours, helper[0])
    mapped = set(seen.values())
    figures: dict[str, Any] = {
        "mapping": _mapping(seen, local),
        "filtering": filtering or None,
        "seen_as": sorted(shown(each) for each in mapped),
    }
    return _in_words(name, figures, filtering)


def _mapping(seen: dict[Address, Address], local: Sequence[str]) -> str:
    mapped = set(seen.values())
    if len(mapped) > 1:
        return "address-dependent"
    if next(iter(mapped))[0] in local:
        return "none"
    return "endpoint-independent" if len({server[0] for server in seen}) > 1 else "unknown"


async def _filtering(ours: _Socket, server: Address) -> str:
    """RFC 5780 section 4.4: which answers from other addresses pass?"""
    answer, _ = await ours.ask(server, change=message.CHANGE_ADDRESS | message.CHANGE_PORT, seconds=FILTER_BOUND)
    if answer is not None and not answer.error:
        return "endpoint-independent"
    answer, _ = await ours.ask(server, change=message.CHANGE_PORT, seconds=FILTER_BOUND)
    return "address-dependent" if answer is not None and not answer.error else "address- and port-dependent"


_FILTERS = {
    "": "",
    "endpoint-independent": "; whatever comes to its port is let in",
    "address-dependent": "; it lets in only addresses that this computer has sent to",
    "address- and port-dependent": "; it lets in only addresses and ports that this computer has sent to",
}


def _in_words(name: str, figures: dict[str, Any], filtering: str) -> Finding:
    also = _FILTERS[filtering]
    match figures["mapping"]:
        case "none":
            return Finding(
                name, "ok", f"there is no NAT: others see this computer's own address{also}", figures=figures
            )
        case "endpoint-independent":
            text = f"it keeps one port for all destinations{also}: direct connections work with most peers"
            return Finding(name, "ok", text, figures=figures)
        case "address-dependent":
            text = (
                f"it takes another port for each destination (symmetric){also}: no direct connection to peers behind a"
                " NAT of this kind, or behind one that lets in only known ports"
            )
            remedy = "give both programs a TURN server, or open a port in the router"
            return Finding(name, "note", text, remedy, figures)
        case _:
            text = f"there is one (others see {figures['seen_as'][0]}){also}; one server alone cannot tell its kind"
            return Finding(name, "note", text, "give --stun twice, with servers at different addresses", figures)
