"""`adieu token`: what it prints, a server with the same key takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from adieu.server.hub import TokenRefusedError
from adieu.server.tokens import TokenReader, make_token

SECRET = "0123456789abcdef0123456789abcdef"


def token(*arguments, key=None, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "adieu", "token", *arguments],
        input=key,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, **environment},
    )
    assert SECRET not in done.stderr
    return done


def test_a_secret_from_a_variable_a_file_or_stdin(tmp_path):
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    options = ("--name", "ada", "--room", "lab", "--room", "hall", "--for", "15m", "--can", "kick", "--audience", "x")
    for done in (
        token(*options, ADIEU_JWT_KEY=SECRET),
        token(*options, "--key", str(file)),
        token(*options, "--key", "-", key=SECRET),
    ):
        assert done.returncode == 0, done.stderr
        grant = TokenReader([SECRET], audience="x")(done.stdout.strip())
        assert (grant.user, grant.rooms, grant.can) == ("ada", {"lab", "hall"}, {"kick"})
        assert 890 < grant.expires_in <= 901
        with pytest.raises(TokenRefusedError):
            TokenReader([SECRET], audience="y")(done.stdout.strip())


@pytest.mark.parametrize("kind", ["rsa", "P-256", "P-384", "P-521", "Ed25519"])
def test_a_private_key_signs_for_its_public_key(kind):
    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
    if kind == "rsa":
        key = rsa.generate_private_key(65537, 2048)
    else:
        key = ed25519.Ed25519PrivateKey.generate() if kind == "Ed25519" else ec.generate_private_key(curves[kind]())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    made = make_token(private, user="ada", rooms=["*"], seconds=60)
    assert TokenReader([public])(made).rooms is None
    with pytest.raises(TokenRefusedError, match="expired"):
        TokenReader([public], clock=lambda: time.time() + 62)(made)
    with pytest.raises(ValueError, match="give the private key"):
        make_token(public, user="ada", rooms=["lab"], seconds=60)


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (["--name", "ada", "--room", "lab"], None, "there is no key: give --key FILE, or set ADIEU_JWT_KEY"),
        (["--name", "ada", "--room", "lab", "--key", "/no"], None, "/no"),
        (["--name", "ada", "--room", "lab", "--key", "-"], "short", "a secret of 5 bytes is too short"),
        (["--name", "a" * 129, "--room", "lab", "--key", "-"], SECRET, "129 characters"),
        (["--name", "ada", "--room", "lab", "--for", "3x"], None, "'3x' is not a time"),
        (["--name", "ada", "--room", "lab", "--for", "0h"], None, "'0h' is not a time"),
        (["--name", "ada", "--room", "lab", "--key", "-"], "-----BEGIN PRIVATE KEY-----\nx", "not a private key"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, key, said):
    done = token(*arguments, key=key, ADIEU_JWT_KEY="")
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_a_key_that_cannot_be_read_is_named():
    done = token("--key", "/no-such-file", "--name", "ada", "--room", "lab")
    assert (done.returncode, done.stderr) == (
        2,
        "adieu token: the key /no-such-file cannot be read: No such file or directory\n",
    )
