"""Text for logs and recordings: messages without their secrets."""

from __future__ import annotations

import re
from typing import TypeAlias

import msgspec

from adieu.protocol.nesting import check_nesting

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

SECRETS = frozenset({"token", "resumeToken", "credential", "username", "password", "tab"})
"""Members whose values are never written anywhere. `tab` lets a page take the place that it had before a reload."""
_ICE_PWD = re.compile(r"(a=ice-pwd:)[^\r\n]*")
HIDDEN = "…"


def redact(text: str | bytes, *, limit: int = 400) -> str:
    """Return a frame for a person to read, cut to about `limit` characters.

    Tokens, TURN passwords and ice-pwd are hidden.
    Text that is not JSON is not shown at all, because it could hold anything. JSON that no peer may send is not either.
    """
    try:
        check_nesting(text)
        message = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return f"<{len(text)} bytes that are not JSON, or nested too deep>"
    shown = msgspec.json.encode(_hide(message)).decode()
    return shown if len(shown) <= limit else f"{shown[:limit]}{HIDDEN} ({len(text)} bytes)"


def _hide(value: Json) -> Json:
    match value:
        case dict():
            return {name: HIDDEN if name in SECRETS else _hide(member) for name, member in value.items()}
        case list():
            return [_hide(item) for item in value]
        case str():
            return _ICE_PWD.sub(rf"\1{HIDDEN}", value)
        case _:
            return value
