"""ICE restarts, rollbacks, and both."""

import pytest

from adieu.errors import InvalidStateError
from adieu.jsep import CloseTransport, DropGeneration, Gather, SetRemote
from unit.jsep.world import FINGERPRINT, HEAD, Side, kinds, negotiate


@pytest.fixture
def a():
    return Side("A")


@pytest.fixture
def b():
    return Side("B", data=False)


def test_a_restart_makes_a_new_generation_on_both_sides(a, b):
    """RFC 8839 section 4.4.1.1.1, W3C createOffer iceRestart."""
    negotiate(a, b)
    old = a.now.transports["0"].local, b.now.transports["0"].local
    ours, theirs = negotiate(a, b, restart=True)
    new = a.now.transports["0"].local, b.now.transports["0"].local
    assert not set(old) & set(new)
    assert ours == [Gather("0", 2, new[0], controlling=True), SetRemote("0", 2, new[1], lite=False)]
    assert theirs == [Gather("0", 2, new[1], controlling=False), SetRemote("0", 2, new[0], lite=False)]


def test_a_restart_by_who_answered_first_keeps_its_ice_role(a, b):
    """W3C set a session description, note on [[IceRole]]: once known, a description does not change it."""
    negotiate(a, b)
    theirs, ours = negotiate(b, a, restart=True)
    assert ours[0].controlling
    assert not theirs[0].controlling


def test_the_peer_restarts_one_transport_and_the_next_offer_the_others(b):
    """W3C restartIce: [[LocalIceCredentialsToReplace]] outlives a restart of a part."""
    old, new = (f"a=ice-ufrag:{word}\r\na=ice-pwd:{word * 6}\r\n" for word in ("oldU", "newU"))
    section = (
        "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=rtcp-mux\r\na=setup:actpass\r\n"
        f"a=fingerprint:sha-256 {FINGERPRINT['A']}\r\na=mid:"
    )
    b.remote("offer", f"{HEAD}{section}0\r\n{old}{section}1\r\n{old}")
    b.answer()
    local = {key: transport.local for key, transport in b.now.transports.items()}
    b.remote("offer", f"{HEAD}{section}0\r\n{old}{section}1\r\n{new}")
    b.answer()
    assert [(type(action).__name__, action.key) for action in b.actions] == [("Gather", "1"), ("SetRemote", "1")]
    assert b.now.transports["0"].local == local["0"]
    before = b.now.transports["1"].local
    b.offer(replace=frozenset(local.values()))
    assert [(type(action).__name__, action.key) for action in b.actions] == [("Gather", "0")]
    assert b.now.transports["1"].local == before


def test_credentials_that_are_to_be_replaced_are_replaced_once(a, b):
    """W3C restartIce."""
    negotiate(a, b)
    old = a.now.transports["0"].local
    negotiate(a, b, replace=frozenset({old}))
    new = a.now.transports["0"].local
    assert new != old
    assert negotiate(a, b, replace=frozenset({old})) == ([], [])


def test_an_offer_made_again_while_pending_keeps_its_generation(a, b):
    first = a.offer()
    second = a.offer()
    assert a.actions == []
    assert first.replace("7 1 IN", "7 2 IN") == second
    b.remote("offer", second)
    a.remote("answer", b.answer())
    assert a.now.transports["0"].generation == 1


def test_a_restart_offered_again_forgets_the_one_before(a, b):
    negotiate(a, b)
    a.offer(restart=True)
    a.offer(restart=True)
    assert kinds(a.actions) == ["DropGeneration", "Gather"]
    assert (a.actions[0].generation, a.actions[1].generation) == (2, 3)


def test_rolling_back_the_first_offer_ends_the_transport(a):
    a.offer()
    assert a.rollback() == [CloseTransport("0")]
    assert (a.now.state, a.now.local, a.now.transports) == ("stable", None, {})
    a.offer()
    assert kinds(a.actions) == ["Gather"]
    assert a.actions[0].generation == 2
    assert a.now.local.sections[0].mid == "0"


def test_rolling_back_a_restart_forgets_its_generation_alone(a, b):
    negotiate(a, b)
    before = a.now.transports["0"]
    a.offer(restart=True)
    assert a.rollback() == [DropGeneration("0", 2)]
    assert a.now.transports["0"] == before
    assert a.now.local is a.now.current_local


def test_rolling_back_a_remote_offer_does_nothing_to_the_transport(a, b):
    negotiate(a, b)
    b.remote("offer", a.offer(restart=True))
    assert b.rollback("remote") == []
    assert (b.now.state, b.now.remote) == ("stable", b.now.current_remote)


def test_a_rollback_and_the_offer_of_the_other_side(a):
    """Perfect negotiation: the polite side gives up its offer and answers."""
    b = Side("B")
    offer = b.offer()
    a.offer()
    a.rollback()
    a.remote("offer", offer)
    b.remote("answer", a.answer())
    assert (a.now.state, b.now.state) == ("stable", "stable")
    assert a.now.transports["0"].dtls_client is True
    assert kinds(a.actions)[0] == "Gather"
    assert a.actions[0].generation == 2


@pytest.mark.parametrize("state", ["stable", "have-local-pranswer", "have-remote-pranswer"])
def test_there_is_nothing_to_roll_back(a, b, state):
    if state != "stable":
        b.remote("offer", a.offer())
        a.remote("pranswer", b.answer("pranswer"))
    side = b if state == "have-local-pranswer" else a
    assert side.now.state == state
    for source in ("local", "remote"):
        with pytest.raises(InvalidStateError, match="rollback"):
            side.rollback(source)
