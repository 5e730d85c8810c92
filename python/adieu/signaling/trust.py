"""Whom a client trusts on the way to a `wss://` server, and what is wrong with a certificate, in words."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from typing import Any

Trust: TypeAlias = "ssl.SSLContext | str | os.PathLike[str]"
"""A context, or a file with certificates in PEM: those of CAs, or the server's own."""

_GIVE: Final = "give the certificate of its CA, or its own if it has signed itself, with ssl= (--ca FILE)"
_UNKNOWN_CA = (
    "the certificate of {host} comes from an unknown CA: either that CA is not trusted here ("
    + _GIVE
    + "), or the server leaves out a certificate between (it needs the whole chain)"
)
# OpenSSL's numbers, X509_V_ERR_…; Python names but one of them.
_FAULTS = {
    9: "the certificate of {host} is not valid yet: look at the clocks of both machines",
    10: "the certificate of {host}, or one above it, has expired: the server needs a new one",
    18: "the certificate of {host} is self-signed and not trusted here: " + _GIVE,
    19: "the certificate of {host} comes from an unknown CA: its root is not trusted here; " + _GIVE,
    23: "the certificate of {host} has been revoked",
    62: "the certificate of {host} has the wrong name: it is for other hosts; use a name that stands in it",
    64: "the certificate of {host} has the wrong name: it is not for this address; use a name that stands in it",
    66: "the certificate of {host} has a key that is too weak",
    67: "the certificate of {host} comes from a CA whose signature is too weak",
    68: "the certificate of {host} comes from a CA whose signature is too weak",
    79: "the certificate of {host} comes from something that is no CA",
    **dict.fromkeys((2, 20, 21, 27), _UNKNOWN_CA),
}
_HANDSHAKES = {
    "WRONG_VERSION_NUMBER": "{host} does not speak TLS on this port: is it ws:// instead of wss://?",
    "HTTP_REQUEST": "{host} does not speak TLS on this port: is it ws:// instead of wss://?",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "{host} asks for a certificate of the client: give a context that has one",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "{host} refused the TLS handshake: it and this program share no way, or it asks"
    " for a certificate of the client",
    "TLSV1_ALERT_PROTOCOL_VERSION": "{host} refused the TLS version of this program",
    "UNSUPPORTED_PROTOCOL": "{host} speaks a TLS version that is too old",
    "TLSV1_UNRECOGNIZED_NAME": "{host} has no certificate for this name",
    "SSLV3_ALERT_UNRECOGNIZED_NAME": "{host} has no certificate for this name",
}


def context_of(trust: Trust | None, *, secure: bool) -> ssl.SSLContext | None:
    """The context for a client; None: what the system trusts (`SSL_CERT_FILE` among it).

    Args:
        trust: a context as it is, or a file in PEM; then nothing else is trusted.
        secure: whether the url is `wss://`.

    Raises:
        ValueError: the file cannot be read or holds no certificate, or there is nothing to trust on a `ws://` url.
        TypeError: `trust` is something else.
    """
    if trust is None:
        return None
    given: Any = trust
    if not isinstance(given, (ssl.SSLContext, str, os.PathLike)):
        raise TypeError(f"ssl= is an ssl.SSLContext or the path of a CA file, not {given!r}")
    if not secure:
        raise ValueError("ssl= (--ca) is for servers with TLS, and this url is without: does it begin with wss://?")
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
    """What is wrong, for a person, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _FAULTS.get(error.verify_code)
        text = known or f"the certificate of {{host}} is not trusted: {error.verify_message}"
        return text.replace("{host}", host)
    reason: str = getattr(error, "reason", None) or ""  # of OpenSSL's; one that Python has made has none
    known = _HANDSHAKES.get(reason)
    return known.replace("{host}", host) if known else f"TLS with {host} failed: {reason or error}"
