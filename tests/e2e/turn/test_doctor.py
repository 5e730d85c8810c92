"""`adieu doctor --turn` with a real coturn: what works, and each trouble in words."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from e2e.lab.turn import PASSWORD, USER

if TYPE_CHECKING:
    from e2e.lab.turn import TurnServer


def doctor(*options: str, password: str = PASSWORD) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the findings about TURN."""
    done = subprocess.run(
        [sys.executable, "-m", "adieu", "doctor", "--json", "--turn-user", USER, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ADIEU_TURN_PASSWORD": password, "ADIEU_SERVER": ""},
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert password not in done.stdout + done.stderr
    return done.returncode, [each for each in json.loads(done.stdout)["checks"] if each["name"] == "TURN"]


def test_each_transport_relays_with_its_round_trip(turn: TurnServer) -> None:
    urls = [turn.url(transport) for transport in ("udp", "tcp", "tls")]
    options = [option for url in urls for option in ("--turn", url)]
    _, found = doctor("--ca", str(turn.authority), *options)
    assert [(each["url"], each["status"]) for each in found] == [(url, "ok") for url in urls], found
    assert all(0 < each["round_trip_ms"] < 5000 for each in found)
    asyncio.run(asyncio.to_thread(turn.wait_for, 6, 0, 2.0))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_wrong_password_is_said(turn: TurnServer, transport: str) -> None:
    code, [found] = doctor("--turn", turn.url(transport), password="wrong-password")
    assert (code, found["status"], found["code"]) == (1, "failed", 401)
    assert "ADIEU_TURN_PASSWORD" in found["remedy"]


def test_a_certificate_that_is_not_trusted_is_said(turn: TurnServer) -> None:
    code, [found] = doctor("--turn", turn.url("tls"))
    assert (code, found["status"]) == (1, "failed")
    assert "certificate" in found["text"].lower()
    assert "--ca FILE" in found["remedy"]


def test_a_server_that_is_not_there_is_said() -> None:
    code, [found] = doctor("--turn", "turn:127.0.0.1:9?transport=tcp")
    assert (code, found["status"]) == (1, "failed")
    assert "firewall" in found["remedy"]
