"""`adieu doctor`, a program of its own, on computers with one fault each: namespaces with their own firewall."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from conftest import missing

WAY = ("unshare", "--net")
INTERFACE = """\
ip link set lo up
ip link add d0 type veth peer name d1
ip addr add 10.9.0.1/24 dev d0
ip -6 addr add fd09::1/64 dev d0 nodad
ip link set d0 up
ip link set d1 up
ip route add default dev d0
ip -6 route add default dev d0
"""


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Leave out the tests where no namespace is to be had."""
    for tool in ("unshare", "ip", "iptables", "ip6tables", "prlimit"):
        if shutil.which(tool) is None:
            missing(tool, "python tools/system.py --list")
    if subprocess.run([*WAY, "true"], capture_output=True, check=False).returncode != 0:
        missing("a namespace", "run the tests as root, or by tests/e2e/lab/namespace.py")


def doctor(set_up: str, *options: str, prefix: str = "", interface: str = INTERFACE) -> tuple[int, dict[str, Any]]:
    """The exit code, and each finding by its name, on a computer with this set-up."""
    command = f'{prefix} {sys.executable} -m adieu doctor --json "$@"'
    script = f"set -e\n{interface}{set_up}\nexec {command}\n"
    done = subprocess.run(
        [*WAY, "sh", "-c", script, "doctor", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ADIEU_SERVER": ""},
    )
    assert "Traceback" not in done.stderr, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    for check in report["checks"]:
        assert bool(check["remedy"]) or check["status"] in {"ok", "skipped"}, check
    return done.returncode, {check["name"]: check for check in report["checks"]}


def failed(found: dict[str, Any]) -> set[str]:
    """The names of the lines that begin with NO."""
    return {name for name, check in found.items() if check["status"] == "failed"}


def test_a_computer_without_faults() -> None:
    code, found = doctor("")
    assert (code, failed(found)) == (0, set())
    assert found["addresses"]["addresses"] == ["10.9.0.1", "fd09::1"]
    for name in ("open files", "UDP", "ports", "IPv6", "mDNS", "core", "clock"):
        assert found[name]["status"] == "ok", found[name]


@pytest.mark.parametrize("chain", ["OUTPUT", "INPUT"])
def test_udp_that_a_firewall_blocks(chain: str) -> None:
    code, found = doctor(f"iptables -A {chain} -p udp -j DROP\nip6tables -A {chain} -p udp -j DROP")
    assert code == 1
    assert failed(found) == {"UDP"}
    assert "10.9.0.1" in found["UDP"]["text"]
    assert "firewall" in found["UDP"]["remedy"]
    assert found["core"]["status"] == "skipped"
    assert found["mDNS"]["status"] == "note"


def test_no_ipv6() -> None:
    code, found = doctor("ip -6 addr flush dev d0")
    assert code == 0
    assert found["IPv6"]["status"] == "note"
    assert "no address" in found["IPv6"]["text"]
    _, found = doctor("ip -6 route flush dev d0")
    assert found["IPv6"]["status"] == "note"
    assert "there is no way out" in found["IPv6"]["text"]


def test_no_multicast() -> None:
    rules = "iptables -A OUTPUT -d 224.0.0.0/4 -j DROP\nip6tables -A OUTPUT -d ff02::fb -j DROP"
    code, found = doctor(rules)
    assert code == 0
    assert found["mDNS"]["status"] == "note"
    assert "5353" in found["mDNS"]["remedy"]


def test_no_network() -> None:
    code, found = doctor("", interface="")
    assert code == 1
    assert "addresses" in failed(found)
    code, found = doctor("", interface="ip link set lo up\n")
    assert failed(found) == {"addresses"}
    assert "nobody else" in found["addresses"]["text"]


def test_no_answer_of_stun() -> None:
    """The server's computer drops the requests: 4 s, then the remedy."""
    rules = "iptables -A OUTPUT -p udp --dport 3478 -j ACCEPT\niptables -A INPUT -p udp --dport 3478 -j DROP"
    code, found = doctor(rules, "--stun", "stun:10.9.0.1")
    assert code == 1
    assert failed(found) == {"STUN"}
    assert "does not answer within 4 s" in found["STUN"]["text"]


@pytest.mark.parametrize("free", [8, 20, 60])
def test_used_up_descriptors(free: int) -> None:
    """With few it fails at that line; with next to none it still says so, and does not crash."""
    code, found = doctor("", prefix=f"prlimit --nofile={free}:{free}")
    assert code == 1
    assert "open files" in failed(found)
    assert f"of {free} are free" in found["open files"]["text"]
    assert "ulimit -n" in found["open files"]["remedy"]


def test_a_range_of_ports_that_is_taken() -> None:
    """socat and the like are not needed: the shell's own Python holds the port while doctor runs below it."""
    holder = (
        f"{sys.executable} -c 'import socket,subprocess,sys; s=socket.socket(2,2); s.bind((str(), 50001));"
        " sys.exit(subprocess.run(sys.argv[1:]).returncode)'"
    )
    code, found = doctor("", "--ports", "50001-50001", prefix=holder)
    assert code == 1
    assert failed(found) == {"ports"}
    code, found = doctor("", "--ports", "50000-50009", prefix=holder)
    assert code == 0
    assert found["ports"]["taken"] == [50001]
    assert found["ports"]["status"] == "note"
