"""The first mistakes of a program that was written for aiortc: each error says what to write."""

from __future__ import annotations

import asyncio

import pytest

import adieu
from support.virtual import simulated

pytestmark = pytest.mark.filterwarnings("error")


def test_a_connection_outside_of_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match=r"no running event loop here.*in a coroutine.*asyncio\.run\(main\(\)\)"):
        adieu.RTCPeerConnection()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("on", r"pc\.ondatachannel.*addEventListener\(name, handler\)"),
        ("once", r"adieu\.once\(target, name\)"),
        ("emit", "dispatchEvent"),
        ("remove_listener", "removeEventListener"),
        ("remove_all_listeners", "removeEventListener"),
    ],
)
@simulated()
async def test_methods_of_event_emitters(world, name, remedy):
    a, _ = world.pair()
    with pytest.raises(AttributeError, match=remedy):
        getattr(a, name)
    with pytest.raises(AttributeError, match=r"has no attribute 'ondatachanel'$"):
        _ = a.ondatachanel
    assert not hasattr(a, name)


@simulated()
async def test_a_handler_that_takes_the_event_for_the_channel_or_the_message(world):
    a, b = world.pair()
    seen = []
    b.addEventListener("datachannel", seen.append)
    ours, theirs = await world.open_channel(a, b)
    [event] = seen
    for name in ("send", "label", "on", "readyState"):
        remedy = r"you want event\.channel\.send" if name == "send" else ""
        if name == "on":
            with pytest.raises(AttributeError, match="no attribute 'on'$"):
                _ = event.on  # neither has it
        else:
            with pytest.raises(AttributeError, match=remedy or rf"event\.channel\.{name}"):
                getattr(event, name)
    theirs.addEventListener("message", seen.append)
    ours.send("ping")
    await world.settle()
    with pytest.raises(AttributeError, match=r"this is the event; you want event\.data\.startswith"):
        seen[-1].startswith("ping")
    with pytest.raises(AttributeError, match="no attribute 'no_such'$"):
        _ = seen[-1].no_such


async def negotiated(a, b):
    await a.setLocalDescription()
    await b.setRemoteDescription(await a.gathered())
    await b.setLocalDescription()
    await a.setRemoteDescription(await b.gathered())


@pytest.mark.parametrize("written", ["WARNING"], indirect=True)
@simulated()
async def test_an_offer_that_asks_for_nothing(world, written):
    """Neither side connects, and neither has an error: the states stay as they are."""
    a, b = world.pair()
    await negotiated(a, b)
    await world.settle()
    assert a.connectionState == b.connectionState == "new"
    assert str(written.lines).count("neither a data channel nor a track") == 1, "the answer is not to blame"
    assert "before createOffer()" in str(written.lines)
    a.createDataChannel("chat")
    await negotiated(a, b)
    assert str(written.lines).count("neither a data channel nor a track") == 1


@pytest.mark.parametrize("written", ["WARNING"], indirect=True)
@simulated()
async def test_a_description_that_is_sent_before_its_candidates_were_found(world, written):
    a, b = world.pair()
    a.createDataChannel("chat")
    await a.setLocalDescription()
    assert "localDescription" not in str(written.lines)
    for _ in range(2):
        assert a.localDescription is not None
    assert str(written.lines).count("send the result of `await pc.gathered()`") == 1
    await b.setRemoteDescription(await a.gathered())
    b.onicecandidate = lambda event: None
    await b.setLocalDescription()
    assert b.localDescription is not None
    await b.gathered()
    assert str(written.lines).count("localDescription was read") == 1, "one that sends each candidate is not warned"


@pytest.mark.parametrize("kind", [adieu.Event, adieu.MessageEvent, adieu.RTCDataChannel, adieu.RTCPeerConnection])
def test_hints_do_not_slow_names_that_are_there(kind) -> None:
    """Beside a `__getattr__` Python looks up every attribute of the class the slow way."""
    assert not [one for one in kind.__mro__ if "__getattr__" in vars(one) or "__getattribute__" in vars(one)][:-1]
    assert not {"on", "emit", "startswith", "decode"} & set(dir(adieu.MessageEvent("message", "x")))


def test_a_name_that_is_refused_of_the_class() -> None:
    with pytest.raises(AttributeError, match="you want event.data.split"):
        _ = adieu.MessageEvent.split
    assert not hasattr(adieu.RTCDataChannel, "once")
    assert asyncio.iscoroutinefunction(adieu.once)
