"""The gate of the log: a pair of sessions in one process has a line for each state, and no secret in any line."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import jwt
import pytest

import adieu
from adieu import _core
from adieu.server import IceConfig, serve
from adieu.session.session_log import SessionLog

if TYPE_CHECKING:
    from pathlib import Path

    from support.written import Written

pytestmark = pytest.mark.anyio
CONTENT = "the content of a message"
FILE = b"the content of a file "
KEY = "a secret that is long enough for HS256"


async def talk(then: Any = None) -> None:
    async with adieu.memory_pair() as (ada, ben):
        if then is not None:
            then(ada, ben)
        chat = await ada.open("chat")
        await chat.send(CONTENT)
        assert await (await ben.open("chat")).receive() == CONTENT
        await ada.reset("transport")


async def test_a_pair_at_debug_logs_each_state_and_no_secret(written: Written) -> None:
    states: list[tuple[int, str]] = []
    secrets: set[str] = {CONTENT}

    def watch(*sessions: adieu.Session) -> None:
        for number, session in enumerate(sessions):
            session.on("state", lambda event, number=number: states.append((number, event.state)))
            for description in (session.pc.localDescription, session.pc.remoteDescription):
                secrets.update(line[10:] for line in description.sdp.splitlines() if line.startswith("a=ice-pwd"))

    await talk(watch)
    assert {state for _, state in states} == {"resetting", "open", "closing", "closed"}
    ids = list(dict.fromkeys(id_ for id_, _ in written.lines if id_.startswith("s")))
    for number, id_ in enumerate(ids):
        split = [line.split() for line in written.of(id_)]
        shown = [words[3].rstrip(":") for words in split if words[2] == "="]
        for state in {state for side, state in states if side == number}:
            assert shown.count(state) >= states.count((number, state))
    for id_ in {id_ for id_, _ in written.lines if id_.startswith("pc")}:
        lines = written.of(id_)
        assert "webrtc DEBUG = connection connected" in lines
        assert {f"{layer} DEBUG = connected" for layer in ("ice", "dtls", "sctp")} <= {*lines}
    assert len(secrets) == 3
    whole = repr(written.lines)
    assert not [secret for secret in secrets if secret in whole]


async def test_a_room_logs_no_secret_of_server_peers_or_messages(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All loggers at DEBUG, the server's too."""
    descriptions: list[str] = []
    keys: list[str] = []
    plain = adieu.RTCPeerConnection.setRemoteDescription

    async def applied(pc: Any, description: Any, **members: Any) -> None:
        await plain(pc, description, **members)
        descriptions.append(pc.remoteDescription.sdp)

    def generated(*arguments: Any) -> Any:
        made = generate(*arguments)
        keys.extend(made.to_pem()[1].splitlines()[1:-1])
        return made

    generate = _core.Certificate.generate
    monkeypatch.setattr(adieu.RTCPeerConnection, "setRemoteDescription", applied)
    monkeypatch.setattr("adieu.webrtc.certificate._core.Certificate", SimpleNamespace(generate=generated))
    (tmp_path / "notes.txt").write_bytes(FILE * 1000)
    ice = IceConfig(turn=("turn:192.0.2.1",), secret="the secret of the TURN server")
    expires = int(time.time()) + 60
    tokens = [jwt.encode({"sub": name, "room": "*", "exp": expires}, KEY, "HS256") for name in ("ada", "ben")]
    async with (
        serve(keys=[KEY], ice=ice) as server,
        adieu.join(server.url, room="lab", name="Ada", token=tokens[0]) as here,
        adieu.join(server.url, room="lab", name="Ben", token=tokens[1]) as there,
    ):
        ada, ben = await asyncio.gather(here.session(), there.session())
        ben.on("file", lambda file: file.accept(tmp_path / "taken.txt"))
        chat, theirs = await asyncio.gather(ada.open("chat"), ben.open("chat"))
        await chat.send(CONTENT)
        assert await theirs.receive() == CONTENT
        await (await ada.send_file(tmp_path / "notes.txt")).wait()
        await ada.reset("ice")
        turn = [server for room in (here, there) for server in (await room.client.ice_servers())[0]]
        resume = [room.client._machine.welcome.resume_token for room in (here, there)]
        await ada.close("done")
    passwords = [line[10:] for sdp in descriptions for line in sdp.splitlines() if line.startswith("a=ice-pwd")]
    credentials = [member for server in turn for member in (server["username"], server["credential"])]
    secrets = [*passwords, *credentials, *resume, *tokens, *keys, KEY, CONTENT, FILE.decode().strip()]
    assert min(map(len, (passwords, credentials, resume, keys))) >= 2
    assert all(len(secret) > 8 for secret in secrets)
    whole = repr(written.lines)
    for logger in ("ice", "dtls", "sctp", "webrtc", "session", "signaling", "server"):
        assert f"'{logger} " in whole, logger
    assert not [secret for secret in secrets if secret in whole]


@pytest.mark.parametrize("written", ["INFO"], indirect=True)
async def test_a_memory_pair_at_info_has_its_life_and_nothing_else(written: Written) -> None:
    await talk()
    ids = {id_ for id_, _ in written.lines}
    assert len(ids) == 6
    for id_ in ids:
        life = [" ".join(line.split()[1:4]).rstrip(":,") for line in written.of(id_)]
        if id_.startswith("pc"):
            assert life == ["INFO = connected", "INFO x closed"]
        else:
            resetting = ["INFO = resetting", "INFO = reset", "INFO = open"]
            assert life == ["INFO = begins", "INFO = open", *resetting, "INFO x closed"]


@pytest.mark.parametrize(
    "message",
    [
        '{"type":[]}',
        '{"type":{}}',
        '{"type":' + "[" * 700 + "]" * 700 + "}",
        '{"type":"file","offer":{"size":1,"name":' + "[" * 700 + "]" * 700 + "}}",
        '{"type":"closing","reason":{"code":"left","text":' + "[" * 700 + "]" * 700 + "}}",
        b"\xff",
        "[]",
        "7",
    ],
)
def test_a_control_message_of_odd_json_is_one_line(message: str | bytes, written: Written) -> None:
    SessionLog().control("<", message)
    assert written.lines[-1][1] == f"session DEBUG ! {len(message)} bytes that are no control message"
