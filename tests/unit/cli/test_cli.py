"""The command line, as a person and as an init system use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adieu.cli.app import COMMANDS, parser_of
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


def test_what_the_output_cannot_show_is_a_question_mark():
    code = "import sys; from adieu.cli import app, main; app.EXAMPLES = 'a\\u2591b'; sys.argv[1:] = ['--help']; main()"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.endswith("a?b\n")) == (0, True), ran.stderr


def test_help_and_version():
    shown = adieu("--help")
    assert shown.returncode == 0
    for word in ("demo", "serve", "token", "completion", "examples:"):
        assert word in shown.stdout
    assert re.fullmatch(r"adieu \d+\.\d+\.\d+\S*\n", adieu("--version").stdout)
    assert adieu("-V").stdout == adieu("--version").stdout
    assert adieu().returncode == 2  # nothing to do: the help, and not a success
    assert adieu("help", "serve").stdout == adieu("serve", "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["sreve"], {}, "adieu: there is no command 'sreve'; did you mean 'serve'? (adieu --help)"),
        (["xyz"], {}, "adieu: there is no command 'xyz'; the commands are demo, send, receive,"),
        (["--verson"], {}, "adieu: there is no option --verson (adieu --help)"),
        (["serve", "--prot", "8"], {}, "there is no option --prot; did you mean --port? (adieu serve --help)"),
        (["serve", "--port"], {}, "--port needs a value"),
        (["serve", "--port", "abc"], {}, "--port: 'abc' is not a port: give a number from 0 (any free port) to 65535"),
        (["serve"], {"ADIEU_PORT": "70000"}, "ADIEU_PORT: '70000' is not a port"),
        (["serve", "--drain", "soon"], {}, "--drain: 'soon' is not a number"),
        (["serve", "--open=3"], {}, "--open takes no value"),
        (["serve", "lab"], {}, "'lab' is one argument too many"),
        (["token"], {}, "missing: --name, --room"),
        (["completion", "tcsh"], {}, "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_wrong_use_is_said_in_one_line_with_a_remedy(arguments, environment, said):
    done = adieu(*arguments, **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


@pytest.mark.parametrize("code", ["{}/4821-amber-lotus-river", "http://{}/#receive/4821/QmFzZTY0dXJsX29mXzE2Yg"])
def test_a_receiver_whose_sender_has_ended_is_told_so(code):
    with socket.socket() as free:  # bound, but nobody listens
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
        done = adieu("receive", code.format(place))
    assert done.returncode == 2
    assert f"nothing answers at {place}: the sender has ended" in done.stderr
    assert "start a server" not in done.stderr and "amber" not in done.stderr


@pytest.mark.parametrize("option", ["--udp-ports 5000-5001", "--public-address 192.0.2.1", "--interface lo", "--ca x"])
def test_the_demo_refuses_options_that_mean_nothing_to_it(option):
    done = adieu("demo", "--plain", *option.split())
    assert done.returncode == 2
    assert f"{option.split()[0]} is for --join" in done.stderr
    assert not done.stdout


def test_an_option_is_stronger_than_its_variable():
    """Also if the option repeats the default, and if the variable's value is wrong."""
    done = adieu("serve", "--port", "8080", "--host", "nowhere.invalid", ADIEU_PORT="x")
    assert "'nowhere.invalid' is not an address of this computer" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["help"], ["nothing"]])
def test_help_loads_little(arguments):
    """It counts modules, because times differ: 0.3 s of a slow computer's processor are about two hundred of them."""
    code = "import sys; from adieu.cli.app import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert not loaded & {"asyncio", "ssl", "logging", "msgspec", "rich", "websockets", "typer"}
    assert not loaded & {"adieu.session", "adieu.webrtc", "adieu.server", "adieu.cli.demo", "adieu.cli.serve"}
    assert len(loaded) < 130


def test_every_command_has_a_help_with_a_text_for_each_option():
    for name in COMMANDS:
        parser = parser_of(name)
        assert parser.description, name
        for action in parser.actions():
            assert action.help, f"{name} {action.dest}"
        text = adieu(name, "--help", COLUMNS="60").stdout
        assert f"usage: adieu {name}" in text
        prose, _, _ = text.partition("examples:")
        assert max(map(len, prose.splitlines())) <= 60, "it is wrapped to the terminal"


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
        (["--jwt-key", "/no-such-file"], "the key /no-such-file cannot be read: No such file"),
        (["--drain", "-1"], "0 or more"),
        (["--proxy", "foo"], "'foo' is not the address of a proxy"),
        (["--audience", "x"], "an audience needs a key"),
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
    assert "--log: 'loud' is not one of 'info', 'debug'" in done.stderr


async def test_verbose_shows_messages_without_secrets():
    async with running("-v") as (process, url):
        async with SignalingClient(url) as client:
            await client.join("lab")
            secret = client._machine.welcome.resume_token
        process.terminate()
        text = (await process.stderr.read()).decode()
        assert '"type":"join"' in text
        assert secret not in text


NOTHING_ELSE = "import sys; sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(',')))"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["serve", "--port", "0"], 2, "pip install 'adieu[server]'"),
        (["token", "--name", "ada", "--room", "lab"], 2, "pip install 'adieu[server]'"),
        (["serve", "--help"], 0, ""),
        (["demo", "--help"], 0, ""),
        (["completion", "bash"], 0, ""),
    ],
)
def test_without_extras_a_command_works_or_says_what_to_install(arguments, code, said):
    missing = "typer,rich,starlette,uvicorn,jwt,prometheus_client,cryptography"
    program = f"{NOTHING_ELSE}; from adieu.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, missing, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "ADIEU_JWT_KEY": "0" * 32},
    )
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == bool(said)


def test_a_reader_that_ends_early_is_no_error():
    """`adieu completion bash | head -0`."""
    process = subprocess.Popen([ADIEU, "completion", "bash"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr.read() == b""
    process.stderr.close()
