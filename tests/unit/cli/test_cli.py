"""The command line, as a person and as an init system use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adieu.protocol.signaling import Goaway
from adieu.signaling import Down, Policy, SignalingClient

pytestmark = pytest.mark.anyio
ADIEU = Path(sys.executable).parent / "adieu"
PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}


def adieu(*arguments, **environment):
    return subprocess.run(
        [ADIEU, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **PLAIN, **environment},
    )


@contextlib.asynccontextmanager
async def running(*arguments, **environment):
    """`adieu serve`; gives the process and the address that it prints."""
    process = await asyncio.create_subprocess_exec(
        ADIEU,
        "serve",
        "--port",
        "0",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **PLAIN, "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        yield process, re.search(r"wss?://\S+", line)[0]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def test_help_and_version():
    shown = adieu("--help")
    assert shown.returncode == 0
    assert "serve" in shown.stdout
    assert re.fullmatch(r"adieu \d+\.\d+\.\d+\S*\n", adieu("--version").stdout)
    assert adieu().returncode == 2  # nothing to do: the help, and not a success
    assert "No such command" in adieu("sreve").stderr


def test_help_of_serve_names_every_option_and_limit():
    text = adieu("serve", "--help").stdout
    for word in ("--host", "--port", "--cert", "--jwt-key", "ADIEU_JWT_KEY", "--open", "--origin", "--name", "--proxy"):
        assert word in text
    assert "/readyz" in text
    assert "connects_per_minute=120" in text
    assert "--ca" in adieu("demo", "--help").stdout
    for word in (
        "--stun",
        "--turn",
        "ADIEU_TURN_SECRET",
        "--limit",
        "room_peers=16",
        "--metrics",
        "--drain",
        "--verbose",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--host", "0.0.0.0"], "--open"),
        (["--limit", "rooms=many"], "is not a number"),
        (["--limit", "x=1"], "unknown limit 'x'"),
        (["--limit", "rooms=0"], "above 0"),
        (["--cert", "x.pem"], "both"),
        (["--cert", "/no.pem", "--key", "/no.pem"], "No such file"),
        (["--jwt-key", "/no-such-file"], "/no-such-file"),
        (["--port", "70000"], "is not a port"),
        (["--turn", "turn:x"], "ADIEU_TURN_SECRET"),
        (["--origin", "example.org"], "is not an origin"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, what):
    done = adieu("serve", *arguments)
    assert done.returncode == 2
    assert what in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_an_open_server_is_warned_of_in_a_person_s_words():
    async with running("--host", "0.0.0.0", "--open") as (process, url):
        assert url.startswith("ws://127.0.0.1:")
        text = ""
        while "TLS" not in text:
            text += (await asyncio.wait_for(process.stdout.readline(), 10)).decode()
        assert "This server is open: everybody who can reach 0.0.0.0" in text
        assert "--jwt-key" in text


async def test_it_takes_the_descriptors_that_it_needs_or_says_so():
    """The soft limit of most systems is 1024, far below what a server needs and the system allows."""
    import resource

    async def limited(hard):
        code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard})); "
        code += "from adieu.cli import main; main()"
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-c",
                code,
                "serve",
                "--port",
                "0",
                "--limit",
                "connections=1000",
                "--limit",
                "pending=100",
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **PLAIN, "PYTHONUNBUFFERED": "1"},
        )
        async with asyncio.timeout(20):
            await process.stdout.readline()
        soft, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        process.terminate()
        _, said = await process.communicate()
        return soft, said.decode()

    assert await limited(5000) == (1200, "")
    soft, said = await limited(700)
    assert soft == 700
    assert "--limit connections=500" in said
    assert len(said.splitlines()) == 1


async def test_a_key_from_the_environment():
    import jwt

    secret = "0123456789abcdef0123456789abcdef"
    token = jwt.encode({"sub": "ada", "room": "lab", "exp": int(time.time()) + 60}, secret, "HS256")
    async with running(ADIEU_JWT_KEY=secret) as (_, url), SignalingClient(url, token=token) as client:
        assert await client.join("lab") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_says_goaway_waits_and_ends_with_0(number):
    async with running("--drain", "0.5") as (process, url):
        async with SignalingClient(url, policy=Policy(first_retry=30.0, max_retry=30.0)) as client:
            await client.join("lab")
            began = time.monotonic()
            process.send_signal(number)
            seen = []
            async for event in client.events():
                seen.append(event)
                if isinstance(event, Down):
                    break
            assert [event.after_ms for event in seen if isinstance(event, Goaway)] == [500]
            assert "the server is stopping" in seen[-1].reason
            assert 0.4 < time.monotonic() - began < 3
            assert await asyncio.wait_for(process.wait(), 10) == 0
        assert b"Traceback" not in await process.stderr.read()


async def test_a_signal_without_clients_ends_at_once():
    async with running("--drain", "30") as (process, _):
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_a_second_signal_does_not_wait():
    async with running("--drain", "60") as (process, url), SignalingClient(url) as client:
        process.terminate()
        async for event in client.events():
            if isinstance(event, Goaway):
                break
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 130
        assert b"Traceback" not in await process.stderr.read()


async def test_the_log_of_a_friend_goes_to_stderr():
    async with running() as (process, url):
        friend = await asyncio.create_subprocess_exec(
            ADIEU,
            "demo",
            "--join",
            f"{url}/lab",
            "--log",
            "info",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **PLAIN},
        )
        async with asyncio.timeout(20):
            assert b"is in room lab" in await friend.stdout.readline()
            friend.send_signal(signal.SIGINT)
            _, text = await friend.communicate()
        lines = text.decode().splitlines()
        assert re.search(r" INFO  adieu\.signaling ws1 = connected to ws://\S+ as peer ", lines[0])
        assert lines[-1].endswith(" INFO  adieu.signaling ws1 x ended: by quit()")
        process.terminate()


def test_an_unknown_log_level_is_refused():
    """The error names the levels."""
    done = adieu("demo", "--log", "loud")
    assert done.returncode == 2
    assert "'loud' is not" in done.stderr
    assert "'info', 'debug'" in done.stderr


async def test_verbose_shows_messages_without_secrets():
    async with running("-v") as (process, url):
        async with SignalingClient(url) as client:
            await client.join("lab")
            secret = client._machine.welcome.resume_token
        process.terminate()
        text = (await process.stderr.read()).decode()
        assert '"type":"join"' in text
        assert secret not in text


def test_without_its_extra_it_says_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from adieu.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "pip install 'adieu[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
