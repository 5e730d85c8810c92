"""The certificates that a client trusts for `wss://`, and its errors about certificates."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from typing import Any

Trust: TypeAlias = "ssl.SSLContext | str | os.PathLike[str]"
"""A context, or a PEM file with certificates of CAs or of the server."""

_GIVE: Final = "give the certificate of its CA, or its own if it is self-signed, with ssl= (--ca FILE)"
_UNKNOWN_CA = (
    "the certificate of {host} comes from an unknown CA: either that CA is not trusted here ("
    + _GIVE
    + "), or the server leaves out an intermediate certificate (it needs the whole chain)"
)
# # OpenSSL's numbers, X509_V_ERR_…; Python names only one of them.
_FAULTS = {
    9: "the certificate of {host} is not valid yet: look at the clocks of both machines",
    10: "the certificate of {host}, or one above it, has expired: the server needs a new one",
    18: "the certificate of {host} is self-signed and not trusted here: " + _GIVE,
    19: "the certificate of {host} comes from an unknown CA: its root is not trusted here; " + _GIVE,
    23: "the certificate of {host} has been revoked",
    62: "the certificate of {host} has the wrong name: it is for other hosts; use one of its names",
    64: "the certificate of {host} has the wrong name: it is not for this address; use one of its names",
    66: "the certificate of {host} has a key that is too weak",
    67: "the certificate of {host} comes from a CA whose signature is too weak",
    68: "the certificate of {host} comes from a CA whose signature is too weak",
    79: "the certificate of {host} comes from an issuer that is not a CA",
    **dict.fromkeys((2, 20, 21, 27), _UNKNOWN_CA),
}
_HANDSHAKES = {
    "WRONG_VERSION_NUMBER": "{host} does not use TLS on this port: try ws:// instead of wss://",
    "HTTP_REQUEST": "{host} does not use TLS on this port: try ws:// instead of wss://",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "{host} asks for a certificate of the client: give a context that has one",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "{host} refused the TLS handshake: they have no cipher in common, or it asks"
    " for a certificate of the client",
    "TLSV1_ALERT_PROTOCOL_VERSION": "{host} refused the TLS version of this program",
    "UNSUPPORTED_PROTOCOL": "{host} uses a TLS version that is too old",
    "TLSV1_UNRECOGNIZED_NAME": "{host} has no certificate for this name",
    "SSLV3_ALERT_UNRECOGNIZED_NAME": "{host} has no certificate for this name",
}


def context_of(trust: Trust | None, *, secure: bool) -> ssl.SSLContext | None:
    """Return the context for a client; None: trust the CAs of the system, including `SSL_CERT_FILE`.

    Args:
        trust: a context, or a PEM file; then nothing else is trusted.
        secure: whether the url is `wss://`.

    Raises:
        ValueError: the file cannot be read or holds no certificate, or the url is `ws://`, where nothing is checked.
        TypeError: `trust` is something else.
    """
    if trust is None:
        return None
    given: Any = trust
    if not isinstance(given, (ssl.SSLContext, str, os.PathLike)):
        raise TypeError(f"ssl= must be an ssl.SSLContext or the path of a CA file, not {given!r}")
    if not secure:
        raise ValueError(
            "ssl= (--ca) is for servers with TLS, but this url begins with ws://: use wss://, or leave out ssl="
        )
    if isinstance(trust, ssl.SSLContext):
        return trust
    path = os.fspath(trust)
    try:
        return ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"the CA file {path!r} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"the CA file {path!r} cannot be read: {reason}") from None


def explain(error: ssl.SSLError, host: str) -> str:
    """Return what is wrong, for a person, and the remedy."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _FAULTS.get(error.verify_code)
        text = known or f"the certificate of {{host}} is not trusted: {error.verify_message}"
        return text.replace("{host}", host)
    reason: str = getattr(error, "reason", None) or ""  # from OpenSSL; errors made by Python have no reason
    known = _HANDSHAKES.get(reason)
    return known.replace("{host}", host) if known else f"TLS with {host} failed: {reason or error}"
