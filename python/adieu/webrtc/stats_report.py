"""RTCStatsReport. https://www.w3.org/TR/webrtc/#rtcstatsreport-object"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final


@final
class RTCStatsReport(Mapping[str, dict[str, Any]]):
    """Statistics by id: each is a dict with `id`, `type`, `timestamp` (milliseconds since 1970) and its figures.

    https://www.w3.org/TR/webrtc/#rtcstatsreport-object. Unknown figures are left out.
    """

    __slots__ = ("_stats",)

    def __init__(self, stats: Mapping[str, dict[str, Any]]) -> None:
        self._stats = dict(stats)

    def __getitem__(self, id_: str) -> dict[str, Any]:
        return self._stats[id_]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stats)

    def __len__(self) -> int:
        return len(self._stats)

    def __repr__(self) -> str:
        return f"<RTCStatsReport {', '.join(self._stats)}>"
