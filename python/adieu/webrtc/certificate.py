"""RTCCertificate. https://www.w3.org/TR/webrtc/#rtccertificate-interface"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from adieu import _core
from adieu.errors import NotSupportedError
from adieu.webrtc.dictionaries import is_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_LIFETIME_MS: Final = 365 * 24 * 3600 * 1000
"""W3C generateCertificate step 4: at most one year."""

DEFAULT_LIFETIME_MS: Final = 30 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class RTCDtlsFingerprint:
    """https://www.w3.org/TR/webrtc/#rtcdtlsfingerprint

    Attributes:
        algorithm: as "sha-256".
        value: lower-case hexadecimal pairs joined by colons.
    """

    algorithm: str
    value: str


class RTCCertificate:
    """A certificate and its private key: ECDSA, P-256 or P-384. Several connections can use it.

    Made by `RTCPeerConnection.generateCertificate()`, or read by `from_pem()`.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _core.Certificate) -> None:
        self._native = native

    @classmethod
    def generate(cls, algorithm: object = "ECDSA") -> RTCCertificate:
        """Make a certificate (W3C generateCertificate).

        Args:
            algorithm: "ECDSA", or a mapping as `{"name": "ECDSA", "namedCurve": "P-256", "expires": milliseconds}`.

        Raises:
            NotSupportedError: another algorithm or curve.
            TypeError: it is not an algorithm.
        """
        if isinstance(algorithm, str):
            members: Mapping[Any, Any] = {"name": algorithm}
        elif is_mapping(algorithm):
            members = algorithm
        else:
            raise TypeError(f"an algorithm is a string or a mapping, not {algorithm!r}")
        name, curve = members.get("name"), members.get("namedCurve", "P-256")
        if str(name).upper() != "ECDSA" or curve != "P-256":
            raise NotSupportedError(f"{name!r} with curve {curve!r}: only ECDSA with P-256 can be made here")
        lifetime = members.get("expires", DEFAULT_LIFETIME_MS)
        if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or lifetime < 0:
            raise TypeError(f"expires is {lifetime!r}, not a number of milliseconds")
        return cls(_core.Certificate.generate(min(lifetime, MAX_LIFETIME_MS) / 1000))

    @classmethod
    def from_pem(cls, certificate: str, private_key: str) -> RTCCertificate:
        """Read a certificate.

        Raises:
            ValueError: it is not an ECDSA certificate with its key.
        """
        return cls(_core.Certificate.from_pem(certificate, private_key))

    def to_pem(self) -> tuple[str, str]:
        """Return the certificate and the private key. The key is a secret."""
        return self._native.to_pem()

    @property
    def native(self) -> _core.Certificate:
        """The certificate of the core."""
        return self._native

    @property
    def expires(self) -> float:
        """The time when it expires, in milliseconds since 1970."""
        return self._native.expires * 1000

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:
        """Return the fingerprints."""
        return [RTCDtlsFingerprint("sha-256", self._native.fingerprint("sha-256").lower())]

    def __repr__(self) -> str:
        return f"<RTCCertificate {self._native.fingerprint('sha-256')[:11]}…>"
