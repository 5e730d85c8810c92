"""Servers whose names cannot be looked up: gathering ends by its own clock, and says which server it was."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from conftest import missing
from e2e.nat.world import missing as missing_tool

HERE = Path(__file__).parent
SET_UP = """
mount --bind {resolver} /etc/resolv.conf
ip link set lo up
ip link add eth type veth peer name other
ip addr add 10.3.0.1/24 dev eth
ip link set eth up
ip link set other up
iptables -A INPUT -p udp --dport 53 -j {rule}
exec "$@"
"""


async def gathered(folder: Path, rule: str, urls: list[str]) -> dict[str, Any]:
    """What `gather.py` says in a namespace whose name server is 10.3.0.1, behind this rule."""
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 10.3.0.1\n")
    script = "set -e\n" + SET_UP.format(resolver=resolver, rule=rule)
    command = ["unshare", "--net", "--mount", "sh", "-c", script, "sh", sys.executable, str(HERE / "gather.py"), *urls]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


@pytest.fixture(autouse=True)
def tools():
    if (tool := missing_tool()) is not None:
        missing(tool, "python tools/system.py installs it, or says how")
    if os.geteuid() != 0:
        pytest.skip("a name server of its own needs root")


async def test_a_silent_name_server_holds_gathering_up_five_seconds_at_most(tmp_path):
    """Twenty names, and four at a time are looked up: all have the same five seconds."""
    urls = [f"stun:server{number}.example.org:3478" for number in range(20)]
    got = await gathered(tmp_path, "DROP", urls)
    assert 5.0 <= got["seconds"] < 6.5
    assert got["errors"] == sorted([url, 701] for url in urls)


async def test_a_name_server_that_is_not_there_costs_no_time(tmp_path):
    got = await gathered(tmp_path, "REJECT", ["stun:server.example.org:3478"])
    assert got["seconds"] < 5.0
    assert got["errors"] == [["stun:server.example.org:3478", 701]]
