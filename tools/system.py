"""System packages for the tests: checks and installs them.

python tools/system.py            install what is missing (with apt-get, as root; on a terminal it asks first)
python tools/system.py --list     only print what is missing

Exit status: 0 when nothing is missing, or when a person refused; 1 when something is missing and CI=true. Tests that
miss something are skipped with a reason; with CI=true they fail.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

GO = (1, 21)  # from here on Go fetches the toolchain that a module asks for


@dataclass(frozen=True)
class Need:
    """A program, any of some names, and the Debian packages that bring it; no packages: only by hand."""

    programs: tuple[str, ...]
    why: str
    packages: tuple[str, ...]
    elsewhere: str

    def missing(self) -> bool:
        return not any(shutil.which(program) for program in self.programs)


NEEDS = (
    Need(
        ("chromium", "chromium-browser", "google-chrome"),
        "a real browser to connect to",
        ("chromium", "fonts-dejavu-core"),
        "Chromium from https://www.chromium.org/getting-involved/download-chromium",
    ),
    Need(
        ("firefox-esr", "firefox"),
        "a real browser to connect to",
        ("firefox-esr", "fonts-dejavu-core"),
        "Firefox from https://www.mozilla.org/firefox",
    ),
    Need(("ip",), "a network namespace for the browsers", ("iproute2",), "iproute2 (Linux only)"),
    Need(("iptables",), "a network namespace for the browsers", ("iptables",), "iptables (Linux only)"),
    Need(("unshare", "nsenter", "setpriv"), "processes that end surely", ("util-linux",), "util-linux (Linux only)"),
    Need(("sysctl",), "routes between network namespaces", ("procps",), "procps (Linux only)"),
    Need(("tshark",), "reading captures", ("tshark",), "Wireshark's tshark"),
    Need(("tcpdump",), "`nox -s nat` listens by it", ("tcpdump",), "tcpdump"),
    Need(("Xvfb",), "a screen for a browser's window", ("xvfb",), "Xvfb (X11)"),
    Need(("turnserver",), "a TURN server", ("coturn",), "coturn from https://github.com/coturn/coturn"),
    Need(("redis-server",), "servers that share their rooms", ("redis-server",), "Redis 7"),
    Need(("nginx",), "a reverse proxy before the server", ("nginx-light",), "nginx"),
    Need(("caddy",), "another reverse proxy", ("caddy",), "Caddy 2"),
    Need(("valgrind",), "counting instructions", ("valgrind",), "valgrind"),
)


def main(arguments: list[str]) -> int:
    missing = [need for need in NEEDS if need.missing()]
    by_hand = [] if _go() else ["  go: another implementation to connect to (pion); Go 1.24 from https://go.dev/dl"]
    if missing and _may_install(missing) and "--list" not in arguments:
        _install(sorted({package for need in missing for package in need.packages}))
        missing = [need for need in NEEDS if need.missing()]
    by_hand += [f"  {need.programs[0]}: {need.why}; {need.elsewhere}" for need in missing]
    if not by_hand:
        return 0
    print("Missing, and to be installed by hand; the tests that need it are left out:", *by_hand, sep="\n")
    return 1 if os.environ.get("CI") == "true" else 0


def _may_install(missing: list[Need]) -> bool:
    """Root on a Debian-like system may; on a terminal a person is asked."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    if os.environ.get("CI") == "true" or not sys.stdin.isatty():
        return True
    print("The tests need these packages of the system:")
    for need in missing:
        print(f"  {' '.join(need.packages)}: {need.why}")
    return input("Install them now with apt-get? [Y/n] ").strip().lower() in {"", "y", "yes"}


def _install(packages: list[str]) -> None:
    """Allow one apt-get at a time on this computer."""
    print("Installing", *packages, flush=True)
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    wait = ["-o", "DPkg::Lock::Timeout=600"]
    with (Path(tempfile.gettempdir()) / "adieu-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", *wait, *command], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"apt-get {command[0]} ended with {done.returncode}:", done.stderr[-2000:], sep="\n")


def _go() -> bool:
    program = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if program is None:
        return False
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= GO


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
