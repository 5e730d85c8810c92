"""Tokens: a JWT says which user may join which rooms. It is sent in `hello`, never in a URL.

The claims `sub` (the user) and `exp` are required. `room` is a room, a list of rooms, or `*`. `can` is a list of
rights: `kick`, and `close` for rooms. The algorithm is that of the server's key, whatever the token says.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated, Any

import jwt
import msgspec
from msgspec import Meta

from adieu.protocol.signaling import CloseCode
from adieu.server.hub import Grant, TokenRefusedError
from adieu.server.hub.state import everybody

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adieu.server.jwks import KeySet

MIN_SECRET = 32
"""Bytes. RFC 7518 section 3.2: as long as the hash."""
LAST = 253_402_300_799.0
"""The last second of the year 9999; a later `exp` is refused."""
AHEAD = 30.0
"""Seconds that the clock of a token's issuer may be ahead: so much later it may be made (`iat`) and begin (`nbf`)."""
_EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class _Claims(msgspec.Struct):
    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    exp: float
    room: str | list[str] = []
    can: list[str] = []


def authentication(
    keys: Sequence[str | bytes], *, audience: str | None, jwks: KeySet | None
) -> Callable[[str | None], Grant]:
    """Return how a server looks at tokens: with its keys, or without a key not at all.

    Raises:
        ValueError: a key is not one that can be used, or there is an audience and no key.
    """
    if keys or jwks is not None:
        return TokenReader(keys, audience=audience, jwks=jwks)
    if audience is not None:
        raise ValueError("an audience needs a key: without one no token is looked at (audience, keys)")
    return everybody


class TokenReader:
    """Reads tokens.

    Args:
        keys: secrets (at least 32 bytes: HS256) or public keys in PEM (RS256, ES256, ES384, ES512, EdDSA by their
        type). Give several to add a new key before you remove an old one.
        audience: the required value in `aud`; None: any.
        jwks: more public keys, which somebody else keeps.
        clock: seconds since 1970.

    Raises:
        ValueError: a key is not valid; the error says why, and never shows the key.
    """

    def __init__(
        self,
        keys: Sequence[str | bytes],
        *,
        audience: str | None = None,
        jwks: KeySet | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = [_read_key(key) for key in keys]
        self._jwks = jwks
        self._audience = audience
        self._clock = clock

    def __call__(self, token: str | None) -> Grant:
        """Return the grant of a token. Raises TokenRefusedError with a text that does not show the token."""
        if not token:
            raise TokenRefusedError("this server needs a token: give one with token=")
        expired = False
        unfit: set[str] = set()
        keys = self._keys if self._jwks is None else [*self._keys, *self._jwks.candidates(_kid(token))]
        for algorithm, key in keys:
            try:
                claims = self._decode(token, algorithm, key)
            except jwt.ExpiredSignatureError:
                expired = True
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidAlgorithmError:
                unfit.add(algorithm)  # a key of another type may come after this one
            except jwt.PyJWTError as error:
                raise TokenRefusedError(f"the token is not valid: {error}") from None
            else:
                return self._grant(claims)
        if expired:
            raise TokenRefusedError("the token has expired: get a new one", CloseCode.EXPIRED)
        if self._jwks is not None and _kid(token) is not None and self._jwks.ask_again():
            text = "the key of the token is not known yet, and is being looked for: try again"
            raise TokenRefusedError(text, CloseCode.TOO_MANY)
        kinds = {algorithm for algorithm, _ in self._keys}
        if self._jwks is not None:
            kinds |= self._jwks.algorithms
        if unfit and unfit == kinds:
            raise TokenRefusedError(f"the token is not valid: its algorithm must be one of {', '.join(sorted(kinds))}")
        raise TokenRefusedError(
            "the token is not signed by a key of this server: get a token from the people who run it"
        )

    def _decode(self, token: str, algorithm: str, key: Any) -> _Claims:
        options: Any = {"require": ["exp", "sub"], "verify_aud": self._audience is not None, "verify_exp": False}
        claims = jwt.decode(token, key, algorithms=[algorithm], audience=self._audience, leeway=AHEAD, options=options)
        try:
            read = msgspec.convert(claims, _Claims)
        except msgspec.ValidationError as error:
            raise TokenRefusedError(f"the token's claims are not valid: {error}") from None
        if not read.exp <= LAST:  # JSON of Python's has NaN and Infinity
            text = f"exp is {read.exp!r}, but must be seconds (not milliseconds) since 1970"
            raise TokenRefusedError(f"the token's claims are not valid: {text}")
        if read.exp <= self._clock():
            raise jwt.ExpiredSignatureError
        return read

    def _grant(self, claims: _Claims) -> Grant:
        rooms = [claims.room] if isinstance(claims.room, str) else claims.room
        return Grant(
            user=claims.sub,
            rooms=None if "*" in rooms else frozenset(rooms),
            can=frozenset(claims.can),
            expires_in=claims.exp - self._clock(),
        )


def _kid(token: str) -> str | None:
    """Return the id of the key that the token names."""
    try:
        kid = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError:
        return None
    return kid if isinstance(kid, str) else None


def make_token(
    key: str | bytes,
    *,
    user: str,
    rooms: Sequence[str],
    seconds: float,
    can: Sequence[str] = (),
    audience: str | None = None,
    clock: Callable[[], float] = time.time,
) -> str:
    """Return a token that `TokenReader` accepts.

    Args:
        key: a secret of 32 bytes or more, or a private key in PEM. The server needs the same secret, or the public key.
        user: the name of the user, 1 to 128 characters.
        rooms: the rooms that the user may join; `*` for all.
        seconds: how long the token is valid.
        can: rights, such as `kick` and `close`.
        audience: the value of `aud`, if the server requires one.
        clock: seconds since 1970.

    Raises:
        ValueError: the key or the name is not valid; the error never shows the key.
    """
    if not 1 <= len(user) <= 128:
        raise ValueError(f"the name of the user has {len(user)} characters: give 1 to 128")
    data = (key.encode() if isinstance(key, str) else key).strip()
    algorithm, signing = _read_pem(data, private=True) if data.startswith(b"-----BEGIN") else _read_key(data)
    claims: dict[str, Any] = {"sub": user, "exp": math.ceil(clock() + seconds), "room": list(rooms)}
    claims |= {"can": list(can)} if can else {}
    claims |= {"aud": audience} if audience else {}
    return jwt.encode(claims, signing, algorithm)


def _read_key(key: str | bytes) -> tuple[str, Any]:
    """Return the key and its algorithm."""
    data = (key.encode() if isinstance(key, str) else key).strip()
    if data.startswith(b"-----BEGIN"):
        return _read_pem(data)
    if len(data) < MIN_SECRET:
        raise ValueError(
            f"a secret of {len(data)} bytes is too short: it needs {MIN_SECRET}; `openssl rand -hex 32` makes one"
        )
    return "HS256", data


def _read_pem(data: bytes, *, private: bool = False) -> tuple[str, Any]:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 not always there
        from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa  # noqa: PLC0415
    except ImportError:
        raise ValueError("keys in PEM need the package `cryptography`: pip install cryptography") from None
    if private != (b"PRIVATE KEY" in data.split(b"\n", 1)[0]):
        if private:
            raise ValueError("this is a public key, which cannot sign: give the private key")
        raise ValueError("this is a private key: give the server the public key, because it only checks tokens")
    try:
        key: Any = (
            serialization.load_pem_private_key(data, None) if private else serialization.load_pem_public_key(data)
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"the key is not a {'private' if private else 'public'} key in PEM: {error}") from None
    match key.public_key() if private else key:
        case rsa.RSAPublicKey():
            return "RS256", key
        case ec.EllipticCurvePublicKey() as public if public.curve.name in _EC_ALGORITHMS:
            return _EC_ALGORITHMS[public.curve.name], key
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return "EdDSA", key
        case _:
            raise ValueError(f"a {type(key).__name__} cannot sign a JWT: use RSA, P-256, P-384, P-521 or Ed25519")
