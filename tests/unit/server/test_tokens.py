"""Tokens, TURN credentials, origins and hosts."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import sys
import time
from base64 import b64decode, b64encode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from adieu.protocol.signaling import CloseCode
from adieu.server.guard import Authority, Guard
from adieu.server.hub import TokenRefusedError
from adieu.server.ice import IceConfig
from adieu.server.tokens import TokenReader

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_000_000.0


def token(key=SECRET, algorithm="HS256", **claims):
    members = {"sub": "ada", "exp": int(NOW) + 60, "room": "lab", **claims}
    return jwt.encode({name: value for name, value in members.items() if value is not None}, key, algorithm)


def reader(*keys, **options):
    return TokenReader(keys or [SECRET], clock=lambda: NOW, **options)


def public(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_token_grants_a_user_rooms_rights_and_a_time():
    grant = reader()(token(can=["kick", "fly"]))
    assert (grant.user, grant.rooms, grant.expires_in) == ("ada", {"lab"}, 60.0)
    assert "kick" in grant.can
    assert grant.allows("lab")
    assert not grant.allows("office")


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("*", ["lab", "x"]),
        (["lab", "x"], ["lab", "x"]),
        (["lab", "*"], ["lab", "x"]),
        ("lab", ["lab"]),
        (None, []),
        ([], []),
    ],
)
def test_rooms_of_a_token(room, allowed):
    grant = reader()(token(room=room))
    assert [name for name in ("lab", "x") if grant.allows(name)] == allowed


@pytest.mark.parametrize(
    ("made", "what"),
    [
        (lambda: None, "needs a token"),
        (lambda: "", "needs a token"),
        (lambda: "garbage", "not valid"),
        (lambda: "a.b.c", "not valid"),
        (lambda: token(SECRET[::-1]), "not signed by a key"),
        (lambda: token(sub=None), "sub"),
        (lambda: token(exp=None), "exp"),
        (lambda: token(sub=""), "sub"),
        (lambda: token(sub="x" * 200), "sub"),
        (lambda: token(room=5), "room"),
        (lambda: token(room=["lab", 5]), "room"),
        (lambda: token(can="kick"), "can"),
        (lambda: token(nbf="soon"), "not valid"),
        (lambda: jwt.encode({"sub": "ada", "exp": NOW + 9}, None, "none"), "not valid"),
        (lambda: token(algorithm="HS512"), "not valid"),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_tokens_that_let_nobody_in(made, what):
    text = made()
    with pytest.raises(TokenRefusedError, match=what) as caught:
        reader()(text)
    assert caught.value.code is CloseCode.INVALID_TOKEN
    assert not text or text not in str(caught.value)


def test_an_expired_token_may_be_replaced():
    with pytest.raises(TokenRefusedError, match="expired") as caught:
        reader()(token(exp=int(NOW)))
    assert caught.value.code is CloseCode.EXPIRED


def test_an_expired_token_of_another_key_is_just_wrong():
    with pytest.raises(TokenRefusedError, match="not signed"):
        reader()(token(SECRET[::-1], exp=int(NOW) - 5))


def test_several_keys_while_they_change():
    both = reader(SECRET, SECRET[::-1])
    assert both(token(SECRET)).user == "ada"
    assert both(token(SECRET[::-1])).user == "ada"


KINDS = {
    "HS256": lambda: (SECRET[::-1],) * 2,
    "RS256": lambda: pair_of(rsa.generate_private_key(65537, 2048)),
    "ES256": lambda: pair_of(ec.generate_private_key(ec.SECP256R1())),
    "ES384": lambda: pair_of(ec.generate_private_key(ec.SECP384R1())),
    "ES512": lambda: pair_of(ec.generate_private_key(ec.SECP521R1())),
    "EdDSA": lambda: pair_of(ed25519.Ed25519PrivateKey.generate()),
    "EdDSA 448": lambda: pair_of(ed448.Ed448PrivateKey.generate()),
}


def pair_of(key):
    return key, public(key)


def test_any_two_kinds_of_keys_while_they_change():
    """The old key and the new one need not be of one kind, and either may stand first."""
    keys = {kind: make() for kind, make in KINDS.items()}
    for first, second in itertools.permutations(keys, 2):
        read = reader(keys[first][1], keys[second][1])
        for kind, (private, _) in keys.items():
            algorithm = kind.split()[0]
            made, old = (token(private, algorithm, exp=NOW + seconds) for seconds in (60, -1))
            if kind in {first, second}:
                assert read(made).user == "ada"
                with pytest.raises(TokenRefusedError, match="expired"):
                    read(old)
            else:
                for each in (made, old):
                    with pytest.raises(TokenRefusedError, match="not signed by a key|its algorithm must be one of"):
                        read(each)
        with pytest.raises(TokenRefusedError, match="its algorithm must be one of"):
            read(token(None, "none"))


@pytest.mark.parametrize("exp", [float("nan"), float("inf"), 1e300, (NOW + 60) * 1e6, float("-inf"), -1])
def test_an_expiry_that_is_no_time(exp):
    with pytest.raises(TokenRefusedError, match="seconds|expired"):
        reader()(token(exp=exp))


@pytest.mark.parametrize("name", ["iat", "nbf"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "soon", [], 1e300])
def test_other_times_that_are_none(name, value):
    with pytest.raises(TokenRefusedError, match="not valid"):
        reader()(token(**{name: value}))


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_the_clock_of_who_makes_tokens_may_be_a_little_ahead(name):
    assert reader()(token(**{name: int(time.time()) + 10})).user == "ada"
    with pytest.raises(TokenRefusedError, match="not valid"):
        reader()(token(**{name: int(time.time()) + 120}))


def test_nested_headers_and_claims_are_refused():
    deep = b64encode(b"[" * 5000).decode().rstrip("=")
    with pytest.raises(TokenRefusedError):
        reader()(f"{deep}.{deep}.{deep}")
    with pytest.raises(TokenRefusedError):
        reader()(token(can=json.loads("[" * 500 + "]" * 500)))


def test_an_audience():
    with pytest.raises(TokenRefusedError, match="not valid"):
        reader(audience="adieu")(token())
    with pytest.raises(TokenRefusedError, match="not valid"):
        reader(audience="adieu")(token(aud="other"))
    assert reader(audience="adieu")(token(aud=["adieu", "x"])).user == "ada"
    assert reader()(token(aud="anything")).user == "ada"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_public_keys(key, algorithm):
    assert reader(public(key))(token(key, algorithm)).user == "ada"


def test_the_algorithm_is_the_key_s_whatever_the_token_says():
    # The classic attack: the public key, which anybody has, used as a secret.
    pem = public(rsa.generate_private_key(65537, 2048))
    header = b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")
    claims = b64encode(b'{"sub":"eve","exp":9999999999,"room":"*"}').rstrip(b"=")
    signature = b64encode(hmac.digest(pem, header + b"." + claims, hashlib.sha256), b"-_").rstrip(b"=")
    with pytest.raises(TokenRefusedError):
        reader(pem)(b".".join((header, claims, signature)).decode())


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("short", "it needs 32"),
        (b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----", "not a public key"),
        (
            ed25519.Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "give the server the public key",
        ),
        (public(dsa.generate_private_key(2048)), "cannot sign a JWT"),
        (public(ec.generate_private_key(ec.SECP256K1())), "cannot sign a JWT"),
    ],
    ids=["short", "nonsense", "private", "dsa", "secp256k1"],
)
def test_keys_that_are_none(key, what):
    with pytest.raises(ValueError, match=what):
        TokenReader([key])


def test_public_keys_without_cryptography(monkeypatch):
    pem = public(ed25519.Ed25519PrivateKey.generate())
    for name in ("cryptography.hazmat.primitives.asymmetric", "cryptography.hazmat.primitives.serialization"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match="pip install cryptography"):
        TokenReader([pem])


# --- TURN -----------------------------------------------------------------------------------------------------


def test_turn_credentials_are_what_coturn_checks():
    config = IceConfig(turn=("turn:t",), secret="labsecret", ttl=600, clock=lambda: NOW)
    (server,), ttl = config.servers("peer", joined=True)
    assert (server.username, ttl) == ("1000600:peer", 600)
    assert b64decode(server.credential) == hmac.new(b"labsecret", b"1000600:peer", hashlib.sha1).digest()
    assert config.servers("peer", joined=False) == ([], 0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"stun": ("x",)}, "not a STUN"),
        ({"turn": ("stun:x",), "secret": "s"}, "not a TURN"),
        ({"turn": ("turn:x",)}, "secret"),
    ],
)
def test_ice_servers_that_are_none(options, what):
    with pytest.raises(ValueError, match=what):
        IceConfig(**options)


# --- Host and Origin ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a", "a", None),
        ("a:80", "a", 80),
        ("A.B.", "a.b", None),
        ("[::1]:5", "::1", 5),
        ("127.0.0.1", "127.0.0.1", None),
    ],
)
def test_an_authority(text, host, port):
    assert Authority.parse(text) == Authority(host, port)


@pytest.mark.parametrize("text", ["", ":80", "a:b", "a:99999", "a/b", "u@a", "a?b", "[::1", "a#b"])
def test_what_is_no_authority(text):
    assert Authority.parse(text) is None


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("localhost:8080", None, True),
        ("localhost:8080", "http://localhost:8080", True),
        ("localhost:8080", "http://localhost:8081", False),
        ("localhost:8080", "http://127.0.0.1:8080", False),
        ("127.0.0.1", "http://127.0.0.1", True),
        ("127.0.0.1", "http://127.0.0.1:80", True),
        ("192.0.2.1:8080", "http://192.0.2.1:8080", True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("evil.example:8080", "http://evil.example:8080", False),  # DNS rebinding: same origin, but not our name
        ("evil.example:8080", None, False),
        ("named.example", "https://named.example", True),  # a proxy ends TLS
        ("named.example", "http://named.example", True),
        ("named.example", "https://named.example:8443", False),
        ("named.example", "https://app.example", True),
        ("named.example", "https://app.example.evil.example", False),
        ("named.example", "chrome-extension://x", False),
        ("evil.example", "https://app.example", False),
        (None, None, False),
    ],
)
def test_who_may_come(host, origin, allowed):
    guard = Guard(hosts=("Named.example",), origins=("https://App.example",))
    refusal = guard.refusal(host, origin)
    assert (refusal is None) == allowed, refusal


def test_on_a_server_with_tls_a_host_without_port_is_443():
    guard = Guard(secure=True)
    assert guard.refusal("127.0.0.1", "https://127.0.0.1") is None
    assert guard.refusal("127.0.0.1", "http://127.0.0.1") is not None
