"""What `adieu send` loads before it shows a code, and what it loads while the code is read."""

from __future__ import annotations

import subprocess
import sys

import pytest

SENDS = "from adieu.cli.sending import meeting, offering; from adieu.cli.sending.sender import Sender"
RECEIVES = "from adieu.cli.sending import meeting; from adieu.cli.sending.receiver import Receiver"


@pytest.mark.parametrize("program", [SENDS, RECEIVES, "from adieu.session import join"])
def test_rooms_are_entered_before_connections_are_loaded(program: str) -> None:
    shown = f"import sys; {program}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"adieu.webrtc.peer_connection", "adieu.jsep", "adieu.sdp", "adieu.media"}


def test_connections_are_loaded_while_the_code_is_read() -> None:
    shown = (
        "import sys; from adieu.cli.sending import offering; offering.load_connections().join();"
        "print('adieu.cli.sending.pinned' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"]
