"""Every error of adieu.

```
Exception
├── AdieuError
│   ├── DOMException                 errors of the W3C's APIs; `.name` is the W3C's name
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
│   │   ├── OverconstrainedError     no device fits; `.constraint` names the constraint
│   │   └── UnknownError
│   ├── SessionError                 errors of a session
│   │   ├── SessionClosedError       the session has ended (`.receipt`), or is closing (then the receipt is None)
│   │   │   └── NotAdieuPeerError    the peer does not use adieu
│   │   ├── UndeliveredError         a message that was not delivered, or whose delivery is not known
│   │   ├── ChannelError             a channel that is wanted differently there, or closed (`.receipt`); too large
│   │   ├── ResetFailedError         a reset that failed; `session.state` says whether the session goes on
│   │   └── TransferError            a file that was refused, or could not be sent or saved
│   └── SignalingError               the server, or the connection to it
│       ├── SignalingRefusedError    final: trying again is pointless (`.code`)
│       └── SignalingLostError       the server could not be reached; try again later
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
    """The base class of adieu's own errors."""


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
    """The object cannot be modified in this way."""

    name = "InvalidModificationError"


class InvalidStateError(DOMException):
    """The object is in a state that does not allow the call; most often it is closed."""

    name = "InvalidStateError"


class NetworkError(DOMException):
    """A network error occurred."""

    name = "NetworkError"


class NotAllowedError(DOMException):
    """The user or the platform does not allow the operation."""

    name = "NotAllowedError"


class NotFoundError(DOMException):
    """The object cannot be found."""

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
    """No device fits the constraints. https://www.w3.org/TR/mediacapture-streams/#overconstrainederror-interface

    Attributes:
        constraint: the name of the constraint that no device meets.
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
        errorDetail: the kind of error, one of `RTCErrorDetailType`.
        sdpLineNumber: the line of the SDP, counted from 1, for "sdp-syntax-error".
        sctpCauseCode: the SCTP cause; 12: the peer left on purpose (closing rule 58).
        receivedAlert: the DTLS alert received.
        sentAlert: the DTLS alert sent.
        httpRequestStatusCode: always None here.
    """

    def __init__(self, init: Mapping[str, Any], message: str = "") -> None:
        super().__init__(message)
        given: Any = init
        if not isinstance(given, Mapping):
            raise TypeError(f"RTCErrorInit must be a mapping, not {given!r}")
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
    """The base class of errors of a session.

    Attributes:
        recording: the session's flight recorder, where the error tells of trouble: `error.recording.save("x.json")`
            writes a file for `adieu explain`. None elsewhere.
    """

    recording: Any = None


class SessionClosedError(SessionError):
    """The session has ended, or is closing and accepts nothing new.

    Attributes:
        receipt: the receipt of the session; None while it is still closing.
        recording: that of the receipt: not None if the receipt is not clean.
    """

    def __init__(self, message: str, receipt: Any = None) -> None:
        super().__init__(message)
        self.receipt = receipt
        self.recording: Any = getattr(receipt, "recording", None)


class NotAdieuPeerError(SessionClosedError):
    """The session has ended before it was open: its peer is connected, but said no `hello`. It does not use adieu."""


class UndeliveredError(SessionError):
    """A message whose delivery is not known.

    Attributes:
        state: "unsent" (it never left: you can send it again), "unknown" (it may have arrived), or "unreliable" (its
            channel does not track delivery).
    """

    def __init__(self, message: str, state: Literal["unsent", "unknown", "unreliable"]) -> None:
        super().__init__(message)
        self.state = state


class ChannelError(SessionError):
    """A channel cannot be opened with these options, has ended, or cannot send this message.

    Attributes:
        receipt: the receipt of the channel, if it has ended and the session goes on; else None.
    """

    def __init__(self, message: str, receipt: Any = None) -> None:
        super().__init__(message)
        self.receipt = receipt


class ResetFailedError(SessionError):
    """A reset failed.

    Attributes:
        report: the `ResetReport` of the last attempt; `replayed` is 0.
    """

    def __init__(self, message: str, report: Any = None, recording: Any = None) -> None:
        super().__init__(message)
        self.report = report
        self.recording = recording


class TransferError(SessionError):
    """A file was refused, or could not be sent or saved."""


class SignalingError(AdieuError):
    """The base class of errors of the server, or of the connection to it."""


class SignalingRefusedError(SignalingError):
    """The server refused this client, and will refuse it again.

    Attributes:
        code: the WebSocket close code, or the server's error code.
    """

    def __init__(self, message: str, code: int | str) -> None:
        super().__init__(message)
        self.code = code


class SignalingLostError(SignalingError):
    """The server could not be reached."""
