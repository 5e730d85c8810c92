"""Every error of adieu.

```
Exception
├── AdieuError
│   ├── DOMException                 the W3C's errors; `.name` is the W3C's name
│   │   ├── AbortError               a pending call ended because its object was closed
│   │   ├── DataError
│   │   ├── DOMSyntaxError           name "SyntaxError"
│   │   ├── EncodingError
│   │   ├── InvalidAccessError
│   │   ├── InvalidCharacterError
│   │   ├── InvalidModificationError
│   │   ├── InvalidStateError
│   │   ├── NetworkError
│   │   ├── NotAllowedError
│   │   ├── NotFoundError
│   │   ├── NotReadableError
│   │   ├── NotSupportedError
│   │   ├── OperationError
│   │   │   └── RTCError             name "OperationError", with errorDetail and the wire's codes
│   │   ├── OverconstrainedError     no device fits; `.constraint` is what it fails by
│   │   └── UnknownError
│   ├── SessionError                 what ends or refuses something of a session
│   │   ├── SessionClosedError       it has ended (`.receipt`), or is closing (then the receipt is None)
│   │   ├── UndeliveredError         a message whose delivery is not known, or known not to have happened
│   │   ├── ChannelError             a channel that both sides want differently, or a message too large
│   │   ├── ResetFailedError         a reset that was given up; the session goes on or ends as its state says
│   │   ├── TransferError            a file that was refused or could not be sent
│   │   └── NotAdieuPeerError        the other side does not speak adieu
│   └── SignalingError               the server, or the way to it
│       ├── SignalingRefusedError    final: coming again is pointless (`.code`)
│       └── SignalingLostError       gave up for now
├── TypeError, ValueError, RangeError as Web IDL has them: RangeError is Python's ValueError
```
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias, get_args

RTCErrorDetailType: TypeAlias = Literal[
    "data-channel-failure",
    "dtls-failure",
    "fingerprint-failure",
    "sctp-failure",
    "sdp-syntax-error",
    "hardware-encoder-not-available",
    "hardware-encoder-error",
]


class AdieuError(Exception):
    """The root of what adieu raises by itself."""


class DOMException(AdieuError):
    """An error of the W3C's APIs. https://webidl.spec.whatwg.org/#idl-DOMException"""

    name: ClassVar[str] = "Error"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class AbortError(DOMException):
    """The operation was aborted: its object was closed while it was pending (closing rule 35)."""

    name = "AbortError"


class DataError(DOMException):
    """Provided data is inadequate."""

    name = "DataError"


class DOMSyntaxError(DOMException):
    """The string did not match the expected pattern; the W3C's name is "SyntaxError"."""

    name = "SyntaxError"


class EncodingError(DOMException):
    """The encoding operation failed."""

    name = "EncodingError"


class InvalidAccessError(DOMException):
    """The object does not support the operation or argument."""

    name = "InvalidAccessError"


class InvalidCharacterError(DOMException):
    """The string contains characters that are not allowed."""

    name = "InvalidCharacterError"


class InvalidModificationError(DOMException):
    """The object can not be modified in this way."""

    name = "InvalidModificationError"


class InvalidStateError(DOMException):
    """The object is in a state in which this can not be done; most often it is closed."""

    name = "InvalidStateError"


class NetworkError(DOMException):
    """A network error occurred."""

    name = "NetworkError"


class NotAllowedError(DOMException):
    """The user or the platform does not allow it."""

    name = "NotAllowedError"


class NotFoundError(DOMException):
    """The object can not be found here."""

    name = "NotFoundError"


class NotReadableError(DOMException):
    """The I/O read operation failed."""

    name = "NotReadableError"


class NotSupportedError(DOMException):
    """The operation is not supported."""

    name = "NotSupportedError"


class OperationError(DOMException):
    """The operation failed for an operation-specific reason."""

    name = "OperationError"


class OverconstrainedError(DOMException):
    """No device can do what was asked. https://www.w3.org/TR/mediacapture-streams/#overconstrainederror-interface

    Attributes:
        constraint: the name of the constraint that none can keep.
    """

    name = "OverconstrainedError"

    def __init__(self, constraint: str, message: str = "") -> None:
        super().__init__(message)
        self.constraint = constraint


class UnknownError(DOMException):
    """The operation failed for a transient or unknown reason."""

    name = "UnknownError"


class RTCError(OperationError):
    """An error of a transport. https://www.w3.org/TR/webrtc/#rtcerror-interface

    Attributes:
        errorDetail: which kind.
        sdpLineNumber: the line of the SDP (1 the first), for "sdp-syntax-error".
        sctpCauseCode: the SCTP cause; 12: the peer left on purpose (closing rule 58).
        receivedAlert: the DTLS alert received.
        sentAlert: the DTLS alert sent.
        httpRequestStatusCode: always None here.
    """

    def __init__(self, init: Mapping[str, Any], message: str = "") -> None:
        super().__init__(message)
        given: Any = init
        if not isinstance(given, Mapping):
            raise TypeError(f"RTCErrorInit is a mapping, not {given!r}")
        if "errorDetail" not in init:
            raise TypeError("RTCErrorInit needs the member errorDetail")
        if init["errorDetail"] not in get_args(RTCErrorDetailType):
            options = ", ".join(map(repr, get_args(RTCErrorDetailType)))
            raise TypeError(f"RTCErrorInit.errorDetail is {init['errorDetail']!r}, not one of {options}")
        self.errorDetail: RTCErrorDetailType = init["errorDetail"]
        self.sdpLineNumber: int | None = init.get("sdpLineNumber")
        self.sctpCauseCode: int | None = init.get("sctpCauseCode")
        self.receivedAlert: int | None = init.get("receivedAlert")
        self.sentAlert: int | None = init.get("sentAlert")
        self.httpRequestStatusCode: int | None = init.get("httpRequestStatusCode")


class SessionError(AdieuError):
    """Something of a session did not go as asked."""


class SessionClosedError(SessionError):
    """The session has ended, or is closing and takes nothing new.

    Attributes:
        receipt: how it ended; None while it is still closing.
    """

    def __init__(self, message: str, receipt: Any = None) -> None:
        super().__init__(message)
        self.receipt = receipt


class UndeliveredError(SessionError):
    """A message that the other side is not known to have taken.

    Attributes:
        state: "unsent" (it never left: sending it again is safe), "unknown" (it may have arrived), or
            "unreliable" (its channel keeps no account).
    """

    def __init__(self, message: str, state: Literal["unsent", "unknown", "unreliable"]) -> None:
        super().__init__(message)
        self.state = state


class ChannelError(SessionError):
    """A channel can not be opened so, or can not take this message."""


class ResetFailedError(SessionError):
    """A reset was given up.

    Attributes:
        report: what was tried and how it went; None when it did not begin.
    """

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class TransferError(SessionError):
    """A file was refused, or could not be sent or kept."""


class NotAdieuPeerError(SessionError):
    """The connection stands, but the other side said no `hello`: it does not speak adieu."""


class SignalingError(AdieuError):
    """Something with the server, or with the way to it."""


class SignalingRefusedError(SignalingError):
    """The server refused, and would again.

    Attributes:
        code: the WebSocket close code or the server's word for it.
    """

    def __init__(self, message: str, code: int | str) -> None:
        super().__init__(message)
        self.code = code


class SignalingLostError(SignalingError):
    """The server could not be reached."""
