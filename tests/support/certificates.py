"""Certificates with every fault that a deployed server's can have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files in PEM. The file may hold a chain."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class _Signer:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


class Certificates:
    """Makes them in a folder: signed by a CA of its own, or by themselves.

    Attributes:
        ca: the CA's certificate, a file in PEM.
    """

    def __init__(self, folder: Path, name: str = "Lab CA") -> None:
        self._folder = folder
        self._count = 0
        self._root = _Signer(_named(name), ec.generate_private_key(ec.SECP256R1()))
        self.ca = folder / f"{name.replace(' ', '-')}.pem"
        self.ca.write_bytes(_pem(_sign(self._root, self._root, ca=True)))

    def signed(self, *names: str, begins: timedelta = -DAY, ends: timedelta = DAY) -> Certificate:
        """One for these names or addresses, signed by the CA; `begins` and `ends` from now."""
        subject = _Signer(_named(names[0]), ec.generate_private_key(ec.SECP256R1()))
        return self._write(subject, _sign(subject, self._root, names, begins, ends))

    def self_signed(self, *names: str) -> Certificate:
        """One that has signed itself."""
        subject = _Signer(_named(names[0]), ec.generate_private_key(ec.SECP256R1()))
        return self._write(subject, _sign(subject, subject, names))

    def _write(self, subject: _Signer, certificate: x509.Certificate) -> Certificate:
        self._count += 1
        files = Certificate(self._folder / f"{self._count}.pem", self._folder / f"{self._count}.key")
        files.cert.write_bytes(_pem(certificate))
        files.key.write_bytes(
            subject.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return files


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _sign(
    subject: _Signer,
    by: _Signer,
    names: tuple[str, ...] = (),
    begins: timedelta = -DAY,
    ends: timedelta = DAY,
    *,
    ca: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(by.name, subject.name, subject.key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(subject.key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    return builder.sign(by.key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
