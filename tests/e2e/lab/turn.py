"""A TURN server, coturn, on this machine's own addresses; and what its log says of its allocations."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from support.certificates import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD, REALM = "user", "hunter2hunter2", "adieu.test"
_SESSION = re.compile(r"session (\d+): (.*)")


class TurnServer:
    """A running coturn.

    Attributes:
        host: its address.
        port: of UDP and TCP.
        tls_port: of TLS.
        authority: the certificate to trust, in PEM.
    """

    def __init__(self, host: str, ports: tuple[int, int], log: Path, authority: Path) -> None:
        self.host = host
        self.port, self.tls_port = ports
        self.authority = authority
        self._log = log

    @property
    def trusted(self) -> str:
        """The authority of its certificate, in PEM."""
        return self.authority.read_text()

    def url(self, transport: str = "udp") -> str:
        """Return the URL for "udp", "tcp" or "tls"."""
        if transport == "tls":
            return f"turns:{self.host}:{self.tls_port}?transport=tcp"
        return f"turn:{self.host}:{self.port}?transport={transport}"

    def server(self, transport: str = "udp", credential: str = PASSWORD) -> dict[str, str]:
        """Return a member of RTCConfiguration.iceServers."""
        return {"urls": self.url(transport), "username": USER, "credential": credential}

    def log(self) -> str:
        """Return all that it has logged."""
        return self._log.read_text(errors="replace")

    def allocations(self) -> tuple[set[str], set[str]]:
        """Return the sessions that have ever had an allocation, and those that have one now."""
        made: set[str] = set()
        live: set[str] = set()
        for line in self.log().splitlines():
            found = _SESSION.search(line)
            if found is None:
                continue
            session, what = found.groups()
            if what.startswith("new, "):
                made.add(session)
                live.add(session)
            elif what.startswith(("delete:", "closed")) or (
                "refreshed" in what and "lifetime=0" in what.replace(" ", "")
            ):
                live.discard(session)
        return made, live

    def wait_for(self, made: int, live: int, seconds: float) -> float:
        """Wait until so many were made, and so many live. Returns the seconds that it took.

        Raises:
            AssertionError: the time is over.
        """
        start = time.monotonic()
        while True:
            ever, now = self.allocations()
            if len(ever) >= made and len(now) == live:
                return time.monotonic() - start
            assert time.monotonic() < start + seconds, f"{len(ever)} made, {len(now)} live: {sorted(now)[:5]}"
            time.sleep(0.02)  # its log is a file


@contextlib.contextmanager
def turn_server(folder: Path, host: str = "127.0.0.1", *options: str) -> Iterator[TurnServer]:
    """Run coturn in this folder; it relays to this machine's own addresses."""
    program = shutil.which("turnserver")
    if program is None:
        pytest.skip("coturn is not installed (python tools/system.py)")
    certificates = Certificates(folder)
    own = certificates.signed(host)
    ports = _free_port(host), _free_port(host)
    log = folder / "turn.log"
    command = [program, "-n", "--no-cli", "--verbose", "--simple-log", f"--log-file={log}", "--no-stdout-log"]
    command += [f"--listening-ip={host}", f"--relay-ip={host}", f"--listening-port={ports[0]}"]
    command += [f"--tls-listening-port={ports[1]}", f"--cert={own.cert}", f"--pkey={own.key}", "--no-dtls"]
    command += ["--lt-cred-mech", f"--realm={REALM}", f"--user={USER}:{PASSWORD}", "--fingerprint"]
    command += ["--allow-loopback-peers", f"--pidfile={folder / 'turn.pid'}", f"--userdb={folder / 'turn.db'}"]
    command += ["--min-port=49152", "--max-port=65535", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await_port(host, ports[0], process)
            yield TurnServer(host, ports, log, certificates.ca)
        finally:
            process.terminate()


def _free_port(host: str) -> int:
    with socket.socket() as one:
        one.bind((host, 0))
        port: int = one.getsockname()[1]
        return port


def _await_port(host: str, port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        assert time.monotonic() < end, "coturn does not listen"
        time.sleep(0.02)
    raise AssertionError(f"coturn ended with {process.returncode}")
