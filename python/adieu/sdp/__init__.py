"""Session descriptions as text: RFC 8866 to dataclasses and back.

This layer knows the grammar of SDP and of the attributes that WebRTC uses. It knows no rule of WebRTC: `adieu.jsep`
decides what an offer may contain. Every line is kept, in its order, whether it is understood or not. Writing a
description that was read gives the same text.

* `read(text)` and `write(description)`: the text and `SessionDescription`.
* `attributes`: one function for each attribute that has a form of its own.
* `Candidate`: a candidate line (RFC 8839 section 5.1).

A malformed line raises `SdpSyntaxError` with its number.
"""

from adieu.sdp import attributes
from adieu.sdp.candidate import Candidate
from adieu.sdp.grammar import MAX_BYTES, MAX_CANDIDATES, MAX_MEDIA, SdpSyntaxError, SdpValueError
from adieu.sdp.model import Block, Connection, Line, Media, Origin, SessionDescription, attribute
from adieu.sdp.reader import read
from adieu.sdp.writer import write

__all__ = [
    "MAX_BYTES",
    "MAX_CANDIDATES",
    "MAX_MEDIA",
    "Block",
    "Candidate",
    "Connection",
    "Line",
    "Media",
    "Origin",
    "SdpSyntaxError",
    "SdpValueError",
    "SessionDescription",
    "attribute",
    "attributes",
    "read",
    "write",
]
