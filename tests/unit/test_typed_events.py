"""pyright knows the type of each event by its name, and finds a handler that takes another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """\
import adieu


def program(
    pc: adieu.RTCPeerConnection, channel: adieu.RTCDataChannel, session: adieu.Session, room: adieu.Room,
    talk: adieu.Channel, end: adieu.Goodbye, stream: adieu.MediaStream, transfer: adieu.Transfer,
) -> None:
    pc.addEventListener("datachannel", lambda event: reveal_type(event))  # RTCDataChannelEvent
    pc.addEventListener("icecandidate", lambda event: reveal_type(event))  # RTCPeerConnectionIceEvent
    pc.addEventListener("track", lambda event: reveal_type(event), once=True)  # RTCTrackEvent
    pc.addEventListener("connectionstatechange", lambda event: reveal_type(event))  # Event
    channel.addEventListener("message", lambda event: reveal_type(event))  # MessageEvent
    channel.addEventListener("error", lambda event: reveal_type(event))  # RTCErrorEvent
    stream.addEventListener("addtrack", lambda event: reveal_type(event))  # MediaStreamTrackEvent
    stream.getTracks()[0].addEventListener("tone", lambda event: reveal_type(event))  # ToneEvent
    session.on("state", lambda event: reveal_type(event))  # StateEvent
    session.on("closing", lambda event: reveal_type(event))  # ClosingEvent
    session.on("file", lambda event: reveal_type(event))  # IncomingFile
    session.on("folder", lambda event: reveal_type(event))  # IncomingFolder
    transfer.on("progress", lambda event: reveal_type(event))  # Transfer
    session.on("file", lambda file: file.on("withdrawn", lambda event: reveal_type(event)))  # IncomingFile
    session.on("reset", lambda event: reveal_type(event))  # ResetEvent
    session.on("channel")(lambda event: reveal_type(event))  # ChannelEvent
    room.on("session", lambda event: reveal_type(event))  # Session
    room.on("unconnected", lambda event: reveal_type(event))  # Unconnected
    talk.on("message", lambda event: reveal_type(event))  # str | bytes
    talk.on("closed", lambda event: reveal_type(event))  # ChannelClosedEvent
    end.on("gone", lambda event: reveal_type(event))  # GoodbyeEvent

    def wrong(event: adieu.MessageEvent) -> None: ...
    def late(file: adieu.IncomingFile) -> None: ...

    pc.addEventListener("datachannel", wrong)  # error
    session.on("state", late)  # error
    session.on("state")(late)  # error
    session.on("stats", late)  # error
    room.on("session", late)  # error
    end.on("leave", print)  # error

    @session.on("file")
    async def take(file: adieu.IncomingFile) -> None: ...

    reveal_type(take)  # (IncomingFile) -> CoroutineType[Any, Any, None]
"""


def test_pyright_knows_each_event_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    settings = {"typeCheckingMode": "strict", "include": ["program.py"], "extraPaths": [str(ROOT / "python")]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings | {"reportUnusedFunction": False}))
    program = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False, env=dict(os.environ))
    found: dict[int, tuple[str, str]] = {}
    for line in json.loads(ran.stdout)["generalDiagnostics"]:
        found.setdefault(line["range"]["start"]["line"], (line["severity"], line["message"]))
    for number, line in enumerate(PROGRAM.splitlines()):
        wanted = line.partition("  # ")[2]
        severity, message = found.get(number, ("", ""))
        if wanted == "error":
            assert severity == "error", line
        elif wanted:
            assert message.endswith(f'is "{wanted}"'), (line, message)
        else:
            assert severity != "error", (line, message)
