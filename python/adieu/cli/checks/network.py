"""The network of this computer: its addresses, UDP between them, IPv6, multicast; and a connection through the core."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adieu.cli.checks.finding import Finding, milliseconds
from adieu.errors import AdieuError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adieu.events import Event

UDP_BOUND = 1.0
"""Seconds for a datagram from one socket of this computer to another."""
MDNS_BOUND = 1.0
GATHER_BOUND = 5.0
CORE_BOUND = 8.0
GROUP4, GROUP6, MDNS_PORT = "224.0.0.251", "ff02::fb", 5353
QUESTION: Final = b"\x09_services\x07_dns-sd\x04_udp\x05local\x00\x00\x0c\x00\x01"
"""RFC 6763 section 9: which kinds of services are there?"""


async def addresses() -> tuple[Finding, tuple[str, ...]]:
    """Return the addresses that adieu uses, as the core finds them."""
    from adieu.webrtc import RTCPeerConnection  # noqa: PLC0415 it loads the core

    found: list[str] = []
    complete = asyncio.Event()
    try:
        pc = RTCPeerConnection()
    except AdieuError as error:
        return Finding("addresses", "failed", f"the core makes no connection: {error}"), ()
    try:

        def look(_: Event) -> None:
            if pc.iceGatheringState == "complete":
                complete.set()

        pc.addEventListener("icegatheringstatechange", look)
        pc.createDataChannel("doctor")
        async with asyncio.timeout(GATHER_BOUND):
            await pc.setLocalDescription()
            await complete.wait()
    except TimeoutError:
        pass  # what was found by now counts
    except (AdieuError, OSError) as error:
        text = f"the core opens no sockets: {error}"
        return Finding("addresses", "failed", text, "look at the lines about open files and UDP"), ()
    finally:
        lines = pc.localDescription.sdp.splitlines() if pc.localDescription is not None else []
        pc.close()
        await pc.wait_closed()
    for line in lines:
        words = line.split()
        if line.startswith("a=candidate:") and len(words) > 7 and words[7] == "host" and words[4] not in found:
            found.append(words[4])
    figures = {"addresses": found}
    remedy = "connect this computer to a network; an interface must be up and have an address (ip address)"
    if not found:
        return Finding("addresses", "failed", "this computer has no address", remedy, figures), ()
    if all(ipaddress.ip_address(each).is_loopback for each in found):
        text = f"only {', '.join(found)}: programs on this computer can be reached, and nobody else"
        return Finding("addresses", "failed", text, remedy, figures), tuple(found)
    return Finding("addresses", "ok", ", ".join(found), figures=figures), tuple(found)


async def udp(found: Sequence[str]) -> Finding:
    """Return whether datagrams pass between two sockets of this computer, over each of its addresses."""
    figures: dict[str, float | None] = {}
    failures: list[str] = []
    for address in found or ("127.0.0.1",):
        try:
            figures[address] = round(await _pass(address) * 1000, 3)
        except TimeoutError:
            figures[address] = None
            failures.append(f"a datagram from {address} to itself did not arrive within {UDP_BOUND:.0f} s")
        except OSError as error:
            figures[address] = None
            failures.append(f"{address}: {error.strerror or error}")
    if failures:
        remedy = "allow UDP for this program in the firewall of this computer (nft list ruleset, iptables -L)"
        return Finding("UDP", "failed", "; ".join(failures), remedy, {"round_trip_ms": figures})
    slowest = max(each for each in figures.values() if each is not None)
    text = f"datagrams pass between sockets of this computer ({milliseconds(slowest / 1000)})"
    return Finding("UDP", "ok", text, figures={"round_trip_ms": figures})


async def _pass(address: str) -> float:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        for each in (one, other):
            each.setblocking(False)
            each.bind((address, 0))
        word = secrets.token_bytes(16)
        began = time.perf_counter()
        await loop.sock_sendto(one, word, other.getsockname())
        async with asyncio.timeout(UDP_BOUND):
            while await loop.sock_recv(other, 64) != word:
                pass  # a stranger's datagram; the time limit ends this
        return time.perf_counter() - began


async def core() -> Finding:
    """Return whether two connections of this program reach each other through the core: ICE, DTLS, SCTP."""
    from adieu.session import memory_pair  # noqa: PLC0415 it loads the core

    remedy = "the lines about UDP and open files may say why; `adieu demo --log debug` shows each step"
    began = time.perf_counter()
    try:
        async with asyncio.timeout(CORE_BOUND), memory_pair() as (ada, ben):
            made = time.perf_counter() - began
            here, there = await asyncio.gather(ada.open("doctor"), ben.open("doctor"))
            began = time.perf_counter()
            await here.send("?")
            await there.receive()
            await there.send("!")
            await here.receive()
            back = time.perf_counter() - began
    except TimeoutError:
        text = f"two connections of this program did not reach each other within {CORE_BOUND:.0f} s"
        return Finding("core", "failed", text, remedy)
    except (AdieuError, OSError) as error:
        return Finding("core", "failed", f"no connection within this program: {error}", remedy)
    text = (
        f"two connections of this program met in {milliseconds(made)}; a message and its answer: {milliseconds(back)}"
    )
    figures = {"connected_ms": round(made * 1000, 1), "round_trip_ms": round(back * 1000, 3)}
    return Finding("core", "ok", text, figures=figures)


def ipv6(found: Sequence[str]) -> Finding:
    """Return whether this computer has IPv6 beyond its own link."""
    own = [each for each in found if ":" in each and not ipaddress.ip_address(each).is_loopback]
    remedy = "nothing, if IPv4 is enough; else switch on IPv6 in the router, or ask the provider for it"
    if not socket.has_ipv6 or not own:
        text = "no address: peers that have IPv6 alone are reached by a TURN server only"
        return Finding("IPv6", "note", text, remedy, {"addresses": own})
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("2001:db8::1", 9))  # for documentation; nothing is sent: only a route is looked for
        except OSError as error:
            text = f"{', '.join(own)}, but there is no way out: {error.strerror}"
            return Finding("IPv6", "note", text, remedy, {"addresses": own})
    return Finding("IPv6", "ok", ", ".join(own), figures={"addresses": own})


async def mdns(found: Sequence[str]) -> Finding:
    """Return whether multicast for names in `.local` can be sent and heard, as browsers need it for their addresses."""
    heard: list[str] = []
    failures: list[str] = []
    for address in found:
        if ipaddress.ip_address(address).is_loopback:
            continue
        try:
            await _hear_oneself(address)
            heard.append(address)
        except TimeoutError:
            failures.append(f"{address}: what is sent to the group is not heard")
        except OSError as error:
            failures.append(f"{address}: {error.strerror or error}")
    figures = {"heard": heard, "failures": failures}
    remedy = "allow UDP port 5353 to 224.0.0.251 and ff02::fb in the firewall; in a container, use the host's network"
    if heard:
        also = f" (not on {'; '.join(failures)})" if failures else ""
        return Finding("mDNS", "ok", f"multicast is sent and heard on {', '.join(heard)}{also}", figures=figures)
    why = "; ".join(failures) or "there is no interface for it"
    text = f"names in .local cannot be looked up ({why}): a browser in the same network may be reached more slowly"
    return Finding("mDNS", "note", text, remedy, figures)


async def _hear_oneself(address: str) -> None:
    """Ask the group a question, and wait until it is heard."""
    loop = asyncio.get_running_loop()
    six = ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as ear, socket.socket(family, socket.SOCK_DGRAM) as mouth:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        group: tuple[str, int] | tuple[str, int, int, int]
        if six:
            index = _interface(address)
            ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            ear.bind(("::", MDNS_PORT))
            join = socket.inet_pton(socket.AF_INET6, GROUP6) + struct.pack("@I", index)
            ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, join)
            mouth.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            group = (GROUP6, MDNS_PORT, 0, index)
        else:
            ear.bind(("", MDNS_PORT))
            here = socket.inet_aton(address)
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP4) + here)
            mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
            group = (GROUP4, MDNS_PORT)
        for each in (ear, mouth):
            each.setblocking(False)
        number = os.urandom(2)
        await loop.sock_sendto(mouth, number + b"\0\0\0\1\0\0\0\0\0\0" + QUESTION, group)
        async with asyncio.timeout(MDNS_BOUND):
            while not (await loop.sock_recv(ear, 9000)).startswith(number):
                pass  # another program's; the time limit ends this


def _interface(address: str) -> int:
    """Return the number of the interface that has an IPv6 address; 0, the system's choice, if that is not known."""
    wanted = ipaddress.IPv6Address(address).packed.hex()
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith(wanted)), 0)
