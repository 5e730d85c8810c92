"""Relayed connections over a real coturn, and what its own log says is left of them (closing rules 15, S6 and S9)."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from adieu.webrtc import RTCPeerConnection
from e2e.lab.turn import TurnServer, turn_server
from e2e.turn.pairs import HOST, Relayed, relayed

PROGRAM = Path(__file__).with_name("program.py")
RELEASED = 2.0
"""Seconds after a close until the server has nothing left."""

TRANSPORTS = ["udp", "tcp", "tls"]


async def _none_left(turn: TurnServer, made: int) -> float:
    return await asyncio.to_thread(turn.wait_for, made, 0, RELEASED)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_messages_of_256_kib_pass_both_ways_and_nothing_is_left_after_the_close(
    turn: TurnServer, transport: str
) -> None:
    async def main() -> None:
        pair = await Relayed(turn.server(transport), trusted=turn.trusted).open()
        await pair.exchange()
        (candidate, *_) = [one for one in pair.candidates if one.candidate]
        assert (candidate.type, candidate.relayProtocol, candidate.url) == ("relay", transport, turn.url(transport))
        assert (candidate.relatedAddress, candidate.relatedPort) == ("0.0.0.0", 0)
        stats = (await pair.a.getStats()).values()
        local = [one for one in stats if one["type"] == "local-candidate"]
        assert {(one["relayProtocol"], one["url"]) for one in local} == {(transport, turn.url(transport))}
        assert turn.allocations()[1], "the log shows them while they are there"
        assert await pair.close() == [{}, {}], "the ledger"
        await _none_left(turn, 2)

    asyncio.run(main())


def test_the_socket_to_a_server_takes_a_port_of_the_range(turn: TurnServer) -> None:
    """`ports` is what a firewall lets through: it is for the sockets of relays too, and says when it is used up."""

    async def main() -> None:
        configuration = {"iceServers": [turn.server()], "iceTransportPolicy": "relay"}
        made = [RTCPeerConnection(configuration, settings={"ports": (47340, 47341)}) for _ in range(3)]
        errors: list[str] = []
        for pc in made:
            pc.onicecandidateerror = lambda event: errors.append(event.errorText)
            pc.createDataChannel("x")
            await pc.setLocalDescription()
            await pc.gathered()
            assert len(errors) == (pc is made[2]), errors
        assert f"47340-47341 on {HOST} are used up: all 2 are in use, 2 of them by this program" in errors[0]
        for pc in made:
            pc.close()
        await asyncio.gather(*(pc.wait_closed() for pc in made))
        await _none_left(turn, 2)

    asyncio.run(main())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_fifty_connections_leave_nothing_two_seconds_after_they_are_closed(turn: TurnServer, transport: str) -> None:
    async def main() -> None:
        pairs = [Relayed(turn.server(transport), trusted=turn.trusted) for _ in range(25)]
        await asyncio.gather(*(pair.open() for pair in pairs))
        assert len(turn.allocations()[1]) == 50
        for pair in pairs:
            pair.a.close()
            pair.b.close()
        await _none_left(turn, 50)
        ledgers = await asyncio.gather(*(pair.close() for pair in pairs))
        assert not any(left for pair in ledgers for left in pair)

    asyncio.run(main())


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("delay", [0.0, 0.001, 0.002, 0.004, 0.01])
def test_a_close_while_the_address_is_being_made_leaves_nothing(turn: TurnServer, delay: float, transport: str) -> None:
    async def main() -> None:
        for _ in range(10):
            pc = relayed(turn.server(transport), trusted=turn.trusted)
            pc.createDataChannel("x")
            await pc.setLocalDescription()
            await asyncio.sleep(delay)
            pc.close()
            assert not await pc.wait_closed()
        await _none_left(turn, 0)

    asyncio.run(main())


def test_a_nonce_that_has_grown_old_does_not_keep_an_address(tmp_path: Path) -> None:
    async def main(turn: TurnServer) -> None:
        pair = await Relayed(turn.server()).open()
        await asyncio.sleep(2.2)  # the server's nonces are older than a second
        assert await pair.close() == [{}, {}]
        await _none_left(turn, 2)
        assert "438" in turn.log()

    with turn_server(tmp_path, HOST, "--stale-nonce=1") as turn:
        asyncio.run(main(turn))


def test_an_ice_restart_has_new_addresses_and_gives_the_old_ones_back(turn: TurnServer) -> None:
    async def main() -> None:
        pair = await Relayed(turn.server()).open()
        pair.a.restartIce()
        await pair.negotiate()
        await asyncio.to_thread(turn.wait_for, 4, 4, 10)
        await pair.exchange()
        await asyncio.to_thread(turn.wait_for, 4, 2, 20)
        await pair.exchange()
        assert await pair.close() == [{}, {}]
        await _none_left(turn, 4)

    asyncio.run(main())


def test_a_rolled_back_restart_and_other_servers_give_back_what_they_drop(turn: TurnServer) -> None:
    async def main() -> None:
        pair = await Relayed(turn.server()).open()
        await pair.a.setLocalDescription(await pair.a.createOffer(iceRestart=True))
        await asyncio.to_thread(turn.wait_for, 3, 3, 10)
        await pair.a.setLocalDescription({"type": "rollback", "sdp": ""})
        await asyncio.to_thread(turn.wait_for, 3, 2, RELEASED)
        await pair.close()
        await _none_left(turn, 3)
        pool = RTCPeerConnection({"iceServers": [turn.server()], "iceCandidatePoolSize": 1})
        made, _ = turn.allocations()
        await asyncio.to_thread(turn.wait_for, len(made) + 1, 1, 10)
        pool.setConfiguration({"iceServers": [], "iceCandidatePoolSize": 1})
        await _none_left(turn, 4)
        pool.close()

    asyncio.run(main())


def test_a_wrong_password_and_an_absent_server_have_the_codes_of_browsers(turn: TurnServer) -> None:
    async def main() -> None:
        nobody = {**turn.server(), "urls": f"turn:{HOST}:9?transport=udp"}
        wrong = turn.server(credential="wrong")
        pair = Relayed(wrong, nobody)
        pair.a.createDataChannel("x")
        complete = asyncio.Event()
        pair.a.onicegatheringstatechange = lambda _: pair.a.iceGatheringState == "complete" and complete.set()
        start = time.monotonic()
        await pair.a.setLocalDescription()
        await asyncio.wait_for(complete.wait(), 20)
        assert time.monotonic() - start < 12, "gathering has a clock"
        assert sorted(pair.errors) == [(401, wrong["urls"]), (701, nobody["urls"])]
        await pair.close()

    asyncio.run(main())


def test_a_server_whose_certificate_nobody_vouches_for_is_not_used(turn: TurnServer) -> None:
    async def main() -> None:
        pair = Relayed(turn.server("tls"))
        pair.a.createDataChannel("x")
        failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        pair.a.onicecandidateerror = lambda event: failed.done() or failed.set_result(event)
        await pair.a.setLocalDescription()
        event = await asyncio.wait_for(failed, 20)
        assert (event.errorCode, event.url) == (701, turn.url("tls"))
        assert "certificate" in event.errorText
        await pair.close()

    asyncio.run(main())


def test_tshark_reads_every_message_without_a_complaint(tmp_path: Path) -> None:
    tools = [shutil.which(tool) for tool in ("tcpdump", "tshark")]
    if not all(tools):
        pytest.skip("tcpdump or tshark is not installed (python tools/system.py)")
    capture = tmp_path / "capture.pcap"

    async def main(turn: TurnServer) -> None:
        for transport in ("udp", "tcp"):
            pair = await Relayed(turn.server(transport)).open()
            await pair.exchange(20000)
            await asyncio.sleep(1.2)  # a nonce grows old
            await pair.close()

    with turn_server(tmp_path, HOST, "--stale-nonce=1") as turn:
        command = ["tcpdump", "-i", "any", "-U", "-w", str(capture), "port", str(turn.port)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tcpdump:
            assert tcpdump.stderr is not None
            assert any("listening" in line for line in tcpdump.stderr)
            asyncio.run(main(turn))
            tcpdump.terminate()
    decode = [word for kind in ("udp", "tcp") for word in ("-d", f"{kind}.port=={turn.port},stun")]

    def shark(*options: str) -> list[str]:
        command = ["tshark", "-r", str(capture), *decode, *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    kinds = set(shark("-Y", "stun.type", "-T", "fields", "-e", "stun.type"))
    # Allocate, Refresh, CreatePermission, ChannelBind, each with its success, and Send indications.
    assert kinds >= {"0x0003", "0x0103", "0x0004", "0x0104", "0x0008", "0x0108", "0x0009", "0x0109", "0x0016"}
    assert shark("-Y", "stun && (_ws.malformed || _ws.expert)") == []


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("end", ["exit", "finished", "blocked"])
def test_what_a_program_leaves_is_given_back_by_its_io_thread(turn: TurnServer, end: str, transport: str) -> None:
    command = [sys.executable, str(PROGRAM), json.dumps(turn.server(transport)), end]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "gathered\n"
        turn.wait_for(1, 0, 10 if end == "finished" else RELEASED + 1)
        assert end != "blocked" or program.poll() is None, "while the loop is blocked"
        program.communicate("\n", timeout=20)
    assert program.returncode == (3 if end == "exit" else 0)


def test_what_is_killed_gives_nothing_back_and_the_log_shows_it(turn: TurnServer) -> None:
    """The control: the tests above would see an allocation that is left."""
    command = [sys.executable, str(PROGRAM), json.dumps(turn.server()), "killed"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == -9
    time.sleep(RELEASED)
    assert [len(sessions) for sessions in turn.allocations()] == [1, 1]
