"""What a program is told when the system has no descriptors or no network for it: by name, and at once."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

NO_DESCRIPTORS = """
import asyncio, errno, os, resource, time
import adieu
from adieu import ResetFailedError, RTCPeerConnection, memory_pair  # a module cannot be loaded without a descriptor

most = resource.getrlimit(resource.RLIMIT_NOFILE)

def leave(count):
    used = len(os.listdir("/proc/self/fd")) - 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + count, most[1]))

def lift():
    resource.setrlimit(resource.RLIMIT_NOFILE, most)

async def main():
    # The core itself can not start, and can a moment later.
    leave(0)
    try:
        adieu.RTCPeerConnection()
    except OSError as error:
        assert error.errno == errno.EMFILE, error
        assert "no file descriptor is left" in str(error), error
    else:
        raise AssertionError("made without a descriptor")
    lift()
    async with adieu.memory_pair() as (a, b):
        here, there = await asyncio.gather(a.open("chat"), b.open("chat"))
        leave(0)
        errors, states = [], []
        pc = adieu.RTCPeerConnection()
        pc.createDataChannel("x")
        pc.onicecandidateerror = errors.append
        pc.onicegatheringstatechange = lambda _: states.append(pc.iceGatheringState)
        await pc.setLocalDescription()
        while pc.iceGatheringState != "complete":
            await asyncio.sleep(0.01)
        assert states == ["gathering", "complete"], states
        assert errors, "nothing was said"
        for error in errors:
            assert (error.errorCode, error.url) == (701, ""), error.errorCode
            assert "no file descriptor is left" in error.errorText, error.errorText
        assert "a=candidate" not in pc.localDescription.sdp
        pc.close()
        began = time.monotonic()
        for session in (a, b):
            try:
                await session.reset()
            except adieu.ResetFailedError as error:
                assert session is b or "no file descriptor is left" in str(error), error
            else:
                raise AssertionError("reset without a descriptor")
        assert time.monotonic() - began < 10, "not at once"  # alone it would be 20 s for each
        await here.send("still here")
        assert await there.receive() == "still here"
        # A new path needs no new socket.
        assert (await a.reset("ice")).level == "ice"
        lift()
        assert (await a.reset()).level == "transport"
    print("good")

asyncio.run(main())
"""

NO_NETWORK = """
import asyncio, time
import adieu

async def main():
    began = time.monotonic()
    try:
        async with adieu.memory_pair():
            raise AssertionError("connected without a network")
    except adieu.SessionClosedError as error:
        assert "no network interface" in str(error), error
        assert error.receipt.cause == "gave-up"
    assert time.monotonic() - began < 10, "not at once"
    print("good")

asyncio.run(main())
"""


def run(program: str, *before: str) -> None:
    command = [*before, sys.executable, "-X", "dev", "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr


def test_no_descriptor_is_left() -> None:
    run(NO_DESCRIPTORS)


def test_there_is_no_network() -> None:
    for way in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
            run(NO_NETWORK, *way)
            return
    pytest.skip("elsewhere: no network namespaces here")
