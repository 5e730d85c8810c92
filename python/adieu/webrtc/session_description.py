"""RTCSessionDescription. https://www.w3.org/TR/webrtc/#rtcsessiondescription-class"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adieu.jsep import SdpType
from adieu.webrtc.dictionaries import choice, dictionary, string

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adieu.jsep import Description


@dataclass(slots=True)
class RTCSessionDescriptionInit:
    """The result of createOffer() and createAnswer(); it is sent to the other side.

    Attributes:
        type: "offer", "pranswer", "answer" or "rollback".
        sdp: the text; empty for a rollback.
    """

    type: SdpType
    sdp: str = ""

    def __post_init__(self) -> None:
        choice("RTCSessionDescriptionInit.type", self.type, SdpType)
        string("RTCSessionDescriptionInit.sdp", self.sdp)


@dataclass(slots=True)
class RTCLocalSessionDescriptionInit:
    """The argument of setLocalDescription(); all members are optional."""

    type: SdpType | None = None
    sdp: str = ""

    def __post_init__(self) -> None:
        if self.type is not None:
            choice("RTCLocalSessionDescriptionInit.type", self.type, SdpType)
        string("RTCLocalSessionDescriptionInit.sdp", self.sdp)


class RTCSessionDescription:
    """A description with the candidates that are known when it is read.

    Args:
        descriptionInitDict: a mapping, or members as keywords: `type`, `sdp`.
    """

    __slots__ = ("_description", "_sdp", "_type")

    def __init__(self, descriptionInitDict: object = None, **members: Any) -> None:
        init = dictionary(RTCSessionDescriptionInit, as_mapping(descriptionInitDict), members, open_=True)
        self._type: SdpType = init.type
        self._sdp = init.sdp
        self._description: Description | None = None

    @classmethod
    def of(cls, description: Description) -> RTCSessionDescription:
        """Return the object for a description; its text is made when it is read."""
        shown = cls(type=description.type)
        shown._description = description
        return shown

    @property
    def type(self) -> SdpType:
        """The type."""
        return self._type

    @property
    def sdp(self) -> str:
        """The text."""
        return self._sdp if self._description is None else self._description.text

    def toJSON(self) -> dict[str, str]:
        """Return a dict that json can write."""
        return {"type": self.type, "sdp": self.sdp}

    def __repr__(self) -> str:
        return f"<RTCSessionDescription {self.type}>"


def as_mapping(description: object) -> object:
    """Return a description of any form in a form that `dictionary` takes. Raises TypeError: it is only the text."""
    if isinstance(description, RTCSessionDescription | RTCSessionDescriptionInit | RTCLocalSessionDescriptionInit):
        members: Mapping[str, Any] = {"type": description.type, "sdp": description.sdp}
        return members
    if isinstance(description, str):
        raise TypeError(
            f"expected a mapping or RTCSessionDescriptionInit, not {description!r}"
            " ({'type': 'offer', 'sdp': text} makes one of a text)"
        )
    return description
