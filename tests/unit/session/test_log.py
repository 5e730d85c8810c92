"""The gate of the log: a pair of sessions in one process has a line for each state, and no secret in any line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import adieu

if TYPE_CHECKING:
    from support.written import Written

pytestmark = pytest.mark.anyio
CONTENT = "the content of a message"


async def talk(then: Any = None) -> None:
    async with adieu.memory_pair() as (ada, ben):
        if then is not None:
            then(ada, ben)
        chat = await ada.open("chat")
        await chat.send(CONTENT)
        assert await (await ben.open("chat")).receive() == CONTENT
        await ada.reset("transport")


async def test_a_memory_pair_at_debug_has_a_line_for_each_state_and_no_secret(written: Written) -> None:
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
