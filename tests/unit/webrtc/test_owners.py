"""Objects know their owner by a Protocol of the members that they use, and such a Protocol stays small."""

from __future__ import annotations

import ast
from pathlib import Path

import adieu.webrtc
from adieu.webrtc.channel_events import ChannelEvents
from adieu.webrtc.data_channel import ChannelOwner
from adieu.webrtc.internals import Internals
from adieu.webrtc.transceiver_internals import TransceiverOwner

MOST = 10


def members(protocol: type) -> set[str]:
    return {*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))}


def test_no_protocol_has_more_than_ten_members():
    found = 0
    for path in Path(adieu.webrtc.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(
                isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases
            ):
                count = sum(isinstance(n, ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef) for n in node.body)
                assert count <= MOST, f"{path.name}: {node.name} has {count} members"
                found += 1
    assert found >= 2


def test_owners_have_the_members_of_their_protocols():
    assert members(ChannelOwner) <= {name for name in dir(ChannelEvents) if not name.startswith("_")}
    assert members(TransceiverOwner) <= {*Internals.__dataclass_fields__, *dir(Internals)}
