"""A world of network namespaces: an internet, two NATs, and a computer behind each.

    computer 1 (10.1.0.2) - NAT 1 (203.0.113.2) - internet (203.0.113.1, 203.0.113.5) - NAT 2 (203.0.113.6) - computer 2

Each namespace is held by a process, so it is gone when that one has ended, however the test ends. The rules of
iptables make a NAT one of three kinds, in the words of RFC 4787:

| kind | mapping | filtering |
|---|---|---|
| full cone | endpoint-independent | endpoint-independent |
| port-restricted | endpoint-independent | address and port-dependent |
| symmetric | address and port-dependent | address and port-dependent |
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS: Final = ("full cone", "port-restricted", "symmetric")
SERVER: Final = "203.0.113.1"

_ONLY_ANSWERS: Final = (
    "iptables -A FORWARD -i out -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    "iptables -A FORWARD -i out -j DROP",
    # A packet that nobody waits for leaves no trace: else its port would be taken for the computer's own packets.
    "iptables -A INPUT -i out -p udp -j DROP",
)


def rules(kind: str, public: str, private: str) -> tuple[str, ...]:
    """Return the commands that make a router a NAT of this kind."""
    match kind:
        case "full cone":
            return (
                f"iptables -t nat -A POSTROUTING -o out -p udp -j SNAT --to-source {public}",
                f"iptables -t nat -A PREROUTING -i out -p udp -j DNAT --to-destination {private}",
            )
        case "port-restricted":
            return ("iptables -t nat -A POSTROUTING -o out -p udp -j MASQUERADE", *_ONLY_ANSWERS)
        case "symmetric":
            return ("iptables -t nat -A POSTROUTING -o out -p udp -j MASQUERADE --random-fully", *_ONLY_ANSWERS)
        case _:
            raise ValueError(f"{kind!r} is none of {KINDS}")


def direct_by_the_rfcs(one: str, other: str) -> bool:
    """Return whether two computers behind such NATs can reach each other without a relay (RFC 5128 section 3.3).

    A symmetric NAT gives each destination a port that nobody else knows. Only a NAT that lets everybody in hears it.
    """
    kinds = {one, other}
    return "full cone" in kinds or kinds == {"port-restricted"}


class Space:
    """A network namespace, held by a process."""

    def __init__(self, holder: subprocess.Popen[bytes]) -> None:
        self._holder = holder

    @property
    def pid(self) -> int:
        return self._holder.pid

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs `words` in here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *words]

    def run(self, line: str) -> None:
        subprocess.run(self.command(*line.split()), check=True, capture_output=True, text=True)


class World:
    """The computers, `one` and `other`, and the internet between their NATs."""

    def __init__(self, kinds: tuple[str, str], internet: Space, one: Space, other: Space) -> None:
        self.kinds = kinds
        self.internet, self.one, self.other = internet, one, other


@contextmanager
def world(kinds: tuple[str, str]) -> Iterator[World]:
    """A world whose NATs are of these kinds."""
    with ExitStack() as stack:
        internet = stack.enter_context(_space())
        internet.run("sysctl -qw net.ipv4.ip_forward=1")
        # What goes to other computers' inside addresses is lost, as out there. Without a route coturn would end the
        # allocation that such a datagram came from.
        internet.run("ip link add nowhere type veth peer name nobody")
        internet.run("ip link set nobody up")
        internet.run("ip link set nowhere up arp off")
        internet.run("ip route add default dev nowhere")
        computers: list[Space] = []
        for number, kind in enumerate(kinds, 1):
            router, computer = stack.enter_context(_space()), stack.enter_context(_space())
            near, public = f"203.0.113.{4 * number - 3}", f"203.0.113.{4 * number - 2}"
            private, gateway = f"10.{number}.0.2", f"10.{number}.0.1"
            _join((internet, f"nat{number}", f"{near}/30"), (router, "out", f"{public}/30"))
            _join((router, "in", f"{gateway}/24"), (computer, "eth", f"{private}/24"))
            router.run("sysctl -qw net.ipv4.ip_forward=1")
            router.run(f"ip route add default via {near}")
            computer.run(f"ip route add default via {gateway}")
            # Streams to the outside work behind each of them: they are for a relay over TCP.
            for rule in (*rules(kind, public, private), "iptables -t nat -A POSTROUTING -o out -p tcp -j MASQUERADE"):
                router.run(rule)
            computers.append(computer)
        yield World(kinds, internet, *computers)


def missing() -> str | None:
    """Return the program that such a world lacks on this computer, if one does."""
    return next(
        (tool for tool in ("unshare", "nsenter", "ip", "iptables", "sysctl") if shutil.which(tool) is None), None
    )


@contextmanager
def _space() -> Iterator[Space]:
    held = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec cat"], stdin=-1, stdout=-1)
    try:
        assert held.stdout is not None
        assert held.stdout.readline() == b"ready\n", "no network namespace can be made"
        space = Space(held)
        space.run("ip link set lo up")
        yield space
    finally:
        held.kill()
        held.communicate()


def _join(one: tuple[Space, str, str], other: tuple[Space, str, str]) -> None:
    """Lay a cable between two namespaces: of each the name of the interface and its address."""
    (here, name, address), (there, far_name, far_address) = one, other
    here.run(f"ip link add {name} type veth peer name {far_name} netns {there.pid}")
    for space, interface, ip in ((here, name, address), (there, far_name, far_address)):
        space.run(f"ip addr add {ip} dev {interface}")
        space.run(f"ip link set {interface} up")
