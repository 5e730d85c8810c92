"""The states of a connection by those of its transports."""

import pytest

from adieu.webrtc.states import connection_state, ice_connection_state, ice_gathering_state


@pytest.mark.parametrize(
    ("ice", "dtls", "state"),
    [
        ([], [], "new"),
        (["new"], ["new"], "new"),
        (["closed"], ["closed"], "new"),
        (["checking"], ["new"], "connecting"),
        (["connected"], ["new"], "connecting"),
        (["connected"], ["connecting"], "connecting"),
        (["connected"], ["connected"], "connected"),
        (["completed", "connected", "closed"], ["connected", "closed", "closed"], "connected"),
        (["connected"], ["closed"], "connected"),
        (["disconnected", "connected"], ["connected", "connected"], "disconnected"),
        (["failed", "disconnected"], ["connected", "connected"], "failed"),
        (["connected"], ["failed"], "failed"),
        (["new", "connected"], ["new", "connected"], "connecting"),
    ],
)
def test_connection_state(ice, dtls, state):
    """Closing rules 60 and 62."""
    assert connection_state(ice, dtls) == state


@pytest.mark.parametrize(
    ("ice", "state"),
    [
        ([], "new"),
        (["new", "closed"], "new"),
        (["checking"], "checking"),
        (["new", "connected"], "checking"),
        (["connected", "completed"], "connected"),
        (["completed", "closed"], "completed"),
        (["disconnected", "checking"], "disconnected"),
        (["failed", "disconnected"], "failed"),
    ],
)
def test_ice_connection_state(ice, state):
    assert ice_connection_state(ice) == state


@pytest.mark.parametrize(
    ("gatherers", "state"),
    [
        ([], "new"),
        (["new"], "new"),
        (["new", "complete"], "new"),
        (["gathering", "complete"], "gathering"),
        (["complete", "complete"], "complete"),
    ],
)
def test_ice_gathering_state(gatherers, state):
    assert ice_gathering_state(gatherers) == state
