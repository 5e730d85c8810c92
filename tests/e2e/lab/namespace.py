"""A network of its own for one command, from which nothing gets out and in which nothing stays behind.

    python tests/e2e/lab/namespace.py COMMAND [ARGUMENT ...]

The namespace has loopback, one ordinary interface (10.9.0.1, fd09::1) and a default route, which browsers look for,
and rejects whatever is not for itself: were such packets to vanish, Firefox would take half a minute to start.
Processes have a namespace too, so that what COMMAND leaves running dies with it, however it ends.

It needs root, or a kernel that lets a user have namespaces. Where neither is had, COMMAND runs on the machine's own
addresses, and says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import NoReturn

ADDRESS = "10.9.0.1"
WAYS = (
    ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
    ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
)
SET_UP = f"""
ip link set lo up
ip link add d0 type veth peer name d1
ip addr add {ADDRESS}/24 dev d0
ip -6 addr add fd09::1/64 dev d0 nodad
ip link set d0 up
ip link set d1 up
ip route add default dev d0
iptables -A OUTPUT -d 224.0.0.0/4 -j ACCEPT
iptables -A OUTPUT -m addrtype ! --dst-type LOCAL -j REJECT
ip6tables -A OUTPUT -d ff00::/8 -j ACCEPT
ip6tables -A OUTPUT -m addrtype ! --dst-type LOCAL -j REJECT
"""
INSIDE = "ADIEU_LAB"  # set for what runs in the namespace


def main(arguments: list[str]) -> NoReturn:
    if arguments[:1] == ["--inside"]:
        for line in SET_UP.strip().splitlines():
            subprocess.run(line.split(), check=True)
        sys.exit(_first_process(arguments[1:]))
    if not arguments:
        sys.exit(__doc__)
    command, environment = arguments, dict(os.environ)
    if not environment.get(INSIDE):
        way = next((way for way in WAYS if _works(way)), None)
        if way is None:
            print("No namespace to be had here: running on this machine's own addresses.", file=sys.stderr)
        else:
            command = [*way, sys.executable, __file__, "--inside", *arguments]
            environment[INSIDE] = ADDRESS
    os.execvpe(command[0], command, environment)


def _works(way: list[str]) -> bool:
    if any(shutil.which(tool) is None for tool in ("unshare", "ip", "iptables", "ip6tables")):
        return False
    probe = [*way, "iptables", "-L", "-n"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _first_process(command: list[str]) -> int:
    """Run `command` as process 1 must: hand on signals, bury orphans, end with its status."""
    child = os.posix_spawnp(command[0], command, os.environ)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: os.kill(child, received))
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    main(sys.argv[1:])
