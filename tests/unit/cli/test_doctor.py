"""The checks of `adieu doctor` whose troubles can be made inside one process. The others: tests/e2e/test_doctor.py."""

from __future__ import annotations

import asyncio
import http.server
import ipaddress
import socket
import struct
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate
from pathlib import Path

import pytest

from adieu.cli.checks import computer, network, stun, stun_message
from adieu.cli.checks import server as server_check
from adieu.cli.checks.finding import in_thread
from adieu.server import IceConfig, serve
from adieu.webrtc.ice_server import IceUrl
from support.certificates import Certificates

pytestmark = pytest.mark.anyio


# --- this computer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wall", "status", "said"),
    [
        ([1.8e9, 1.8e9 + 3.0], "ok", "it runs evenly"),
        ([1.8e9, 1.8e9 + 3.0 + 7.0], "failed", "it was set by +7.0 s while this program ran"),
        ([1.8e9, 1.8e9 - 60.0], "failed", "it was set by -63.0 s"),
        ([1000.0, 1003.0], "failed", "it shows 1970-01-01T00:16:43+00:00, which is past"),
    ],
)
def test_the_clock(wall, status, said):
    steady = iter([5.0, 8.0])
    walls = iter(wall)
    finding = computer.Clock(lambda: next(walls), lambda: next(steady)).finding()
    assert (finding.status, said in finding.text) == (status, True), finding.text
    assert bool(finding.remedy) == (status == "failed")


def test_ports_that_are_taken_are_named():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("", 0))
        taken = holder.getsockname()[1]
        finding = computer.ports(range(taken, taken + 1))
        assert finding.status == "failed"
        assert f"0 of 1 UDP ports from {taken} to {taken} are free" in finding.text
        assert "ss -ulpn" in finding.remedy
        some = computer.ports(range(min(taken, 65530), min(taken, 65530) + 6))
        assert some.status in {"note", "failed"}
        assert str(taken) in some.text
    assert computer.ports(range(taken, taken + 1)).status == "ok"
    assert computer.ports(None).status == "ok"


def test_a_program_that_may_open_few_files_fails(monkeypatch):
    import resource

    used = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + computer.FEW - 10, 5000))
    finding = computer.open_files()
    assert finding.status == "failed"
    assert "that is too few" in finding.text
    assert "ulimit -n, up to 5000 here" in finding.remedy
    monkeypatch.setattr(resource, "getrlimit", lambda _: (used + computer.FEW + 10, 5000))
    assert computer.open_files().status == "ok"


async def test_what_blocks_ends_at_its_bound():
    blocked = threading.Event()
    with pytest.raises(TimeoutError):
        await in_thread(blocked.wait, 0.05)
    blocked.set()
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0, 5)


async def test_here_everything_works():
    finding, local = await network.addresses()
    assert finding.status == "ok" or set(local) <= {"127.0.0.1", "::1"}
    assert (await network.udp(local)).status == "ok"
    core = await network.core()
    assert core.status == "ok"
    assert core.figures["round_trip_ms"] > 0


# --- STUN and NATs ----------------------------------------------------------------------------------------------------


class Server(asyncio.DatagramProtocol):
    """A STUN server: `sees` says which address it claims to see."""

    def __init__(self, sees, other=None):
        self.sees, self.other, self.passes = sees, other, 0
        self.asked = 0
        self.forged = False
        self.alternate = None
        """The transport from which a request for another address is answered."""

    def connection_made(self, transport):
        self.transport = transport
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data, addr):
        self.asked += 1
        if self.sees is None:
            return
        change = int.from_bytes(data[24:28]) if len(data) > 20 else 0
        if change and change & self.passes != change:
            return
        answer = success(data[8:20], self.sees(addr), self.other)
        if self.forged:
            answer = answer[:8] + bytes(12) + answer[20:]
        (self.alternate if change else self.transport).sendto(answer, addr)


def attribute(name, address, mask=b""):
    packed = ipaddress.ip_address(address[0]).packed
    key = mask or bytes(16)
    port = bytes(a ^ b for a, b in zip(address[1].to_bytes(2), key, strict=False))
    body = bytes([0, 1 if len(packed) == 4 else 2]) + port
    body += bytes(a ^ b for a, b in zip(packed, key, strict=False))
    return struct.pack("!HH", name, len(body)) + body


def success(transaction, mapped, other=None):
    body = attribute(0x0020, mapped, stun_message.COOKIE + transaction)
    body += attribute(0x802C, other) if other else b""
    return struct.pack("!HH", 0x0101, len(body)) + stun_message.COOKIE + transaction + body


@asynccontextmanager
async def servers(*made, hosts=("127.0.0.1", "127.0.0.2", "127.0.0.3")):
    loop = asyncio.get_running_loop()
    open_ = []
    try:
        for server, host in zip(made, hosts, strict=False):
            transport, _ = await loop.create_datagram_endpoint(lambda it=server: it, (host, 0))
            open_.append(transport)
        yield [IceUrl("stun", server.address[0], server.address[1]) for server in made]
    finally:
        for transport in open_:
            transport.close()


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    """Answers come at once here: what does not come is known sooner."""
    monkeypatch.setattr(stun, "BOUND", 0.5)
    monkeypatch.setattr(stun, "FILTER_BOUND", 0.3)
    monkeypatch.setattr(stun._Socket.ask, "__kwdefaults__", {"change": 0, "seconds": 0.5})


OUTSIDE = "198.51.100.7"


@pytest.mark.parametrize(
    ("sees", "status", "mapping", "said"),
    [
        ([lambda a: a, lambda a: a], "ok", "none", "there is no NAT"),
        ([lambda a: (OUTSIDE, 4000)] * 2, "ok", "endpoint-independent", "it keeps one port for all destinations"),
        (
            [lambda a: (OUTSIDE, 4000), lambda a: (OUTSIDE, 4001)],
            "note",
            "address-dependent",
            "it takes another port for each destination (symmetric)",
        ),
        ([lambda a: (OUTSIDE, 4000)], "note", "unknown", "one server alone cannot tell its kind"),
    ],
)
async def test_the_kind_of_nat_comes_from_two_servers(sees, status, mapping, said):
    async with servers(*map(Server, sees)) as urls:
        *answers, nat = await stun.check(urls, ["127.0.0.1"])
    assert [answer.status for answer in answers] == ["ok"] * len(sees)
    assert (nat.name, nat.status, nat.figures["mapping"]) == ("NAT", status, mapping)
    assert said in nat.text
    assert bool(nat.remedy) == (status == "note")


@pytest.mark.parametrize(
    ("passes", "filtering", "said"),
    [
        (6, "endpoint-independent", "whatever comes to its port is let in"),
        (2, "address-dependent", "it lets in only addresses that this computer has sent to"),
        (0, "address- and port-dependent", "it lets in only addresses and ports"),
    ],
)
async def test_a_server_with_two_addresses_also_shows_what_is_let_in(passes, filtering, said):
    other = Server(lambda a: (OUTSIDE, 4000))
    async with servers(other, hosts=("127.0.0.9",)):
        first = Server(lambda a: (OUTSIDE, 4000), other.address)
        first.passes, first.alternate = passes, other.transport
        async with servers(first) as urls:
            _, nat = await stun.check(urls, [])
    assert (nat.figures["mapping"], nat.figures["filtering"]) == ("endpoint-independent", filtering)
    assert said in nat.text


async def test_a_server_that_is_silent_or_forged_does_not_answer():
    silent, forged = Server(None), Server(lambda a: a)
    forged.forged = True
    async with servers(silent, forged) as urls:
        findings = await stun.check(urls, [])
    assert [(each.name, each.status) for each in findings] == [("STUN", "failed")] * 2
    assert "does not answer within" in findings[0].text
    assert "(turns:" in findings[0].remedy
    assert silent.asked == 2, "a lost request is sent again"


async def test_a_name_without_an_address_is_said():
    [finding] = await stun.check([IceUrl("stun", "nowhere.invalid", 3478)], [])
    assert finding.status == "failed"
    assert "nowhere.invalid has no address" in finding.text


async def test_without_servers_nothing_is_asked():
    [finding] = await stun.check([], [])
    assert (finding.status, "--stun" in finding.remedy) == ("skipped", True)


def test_a_refusal_has_its_code_and_text():
    body = struct.pack("!HHHBB", 9, 16, 0, 4, 20) + b"Unknown stuff"[:12]
    data = struct.pack("!HH", 0x0111, len(body)) + stun_message.COOKIE + bytes(12) + body
    assert stun_message.parse(data).error == "420 Unknown stuf"


def test_malformed_answers_are_no_answers():
    good = success(bytes(12), ("192.0.2.1", 5))
    assert stun_message.parse(good).mapped == ("192.0.2.1", 5)
    six = success(bytes(range(12)), ("2001:db8::1", 65535))
    assert stun_message.parse(six).mapped == ("2001:db8::1", 65535)
    for cut in range(len(good)):
        assert stun_message.parse(good[:cut]) is None
    for at in range(8):
        assert stun_message.parse(good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1 :]) is None
    for at in range(20, len(good)):
        for value in (0, 1, 2, 255):
            stun_message.parse(good[:at] + bytes([value]) + good[at + 1 :])


# --- the signaling server ---------------------------------------------------------------------------------------------


async def test_a_server_that_lets_in_names_its_servers_and_tells_its_time():
    async with serve(ice=IceConfig(stun=("stun:stun.example.org",))) as server:
        findings, named = await server_check.check(server.url, None, None)
    assert [(each.name, each.status) for each in findings] == [("server", "ok"), ("server's clock", "ok")]
    assert "names stun:stun.example.org" in findings[0].text
    assert named[0]["urls"] == ["stun:stun.example.org"]


async def test_a_server_s_refusals_are_said(tmp_path):
    certificates = Certificates(tmp_path)
    files = certificates.signed("localhost")
    async with serve(cert=files.cert, key=files.key, keys=["0" * 32]) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        [unknown], _ = await server_check.check(url, None, None)
        [wrong], _ = await server_check.check(url, "x.y.z", certificates.ca)
    [gone], _ = await server_check.check(url, None, certificates.ca)
    [odd], _ = await server_check.check("http://localhost", None, None)
    assert {each.status for each in (unknown, wrong, gone, odd)} == {"failed"}
    assert "unknown CA" in unknown.text
    assert "--ca FILE" in unknown.text
    assert "the token is not valid" in wrong.text
    assert "x.y.z" not in wrong.text
    assert "start a server with `adieu serve`" in gone.text
    assert "try ws://localhost/ws" in odd.text


@contextmanager
def dated(date):
    """A server whose answers have this date."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def date_time_string(self, timestamp=None):
            return date

        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{made.server_port}/talk/ws"
        made.shutdown()


@pytest.mark.parametrize(
    ("offset", "status", "said"),
    [
        (0, "ok", "both clocks agree"),
        (-600, "failed", "600 s ahead of the server"),
        (600, "failed", "s behind the server"),
        (None, "skipped", "does not tell its time"),
    ],
)
async def test_the_clocks_of_both_are_compared(offset, status, said):
    now = time.time()
    date = "some day" if offset is None else formatdate(int(now) + offset, usegmt=True)
    with dated(date) as url:
        finding = await server_check.clock(url, None, lambda: now)
    assert (finding.status, said in finding.text) == (status, True), finding.text
