"""Fixtures of the server's tests."""

from __future__ import annotations

import asyncio

import pytest

from adieu.server.bridge import Bridge
from unit.server import bench


@pytest.fixture(params=["one hub", "replicas"])
def each_hub(request, monkeypatch):
    """A test of the hub runs with one, and with the replicas of two servers, and must see no difference."""
    if request.param == "replicas":
        monkeypatch.setattr(bench, "make_hub", bench.Cluster)
    return request.param


@pytest.fixture
def until(monkeypatch):
    """Waits until something is true of the hub, looking after each of its turns."""
    turned = asyncio.Event()
    flush = Bridge.flush
    monkeypatch.setattr(Bridge, "flush", lambda self: (flush(self), turned.set()))

    async def wait(condition):
        async with asyncio.timeout(10):
            while not condition():
                turned.clear()
                await turned.wait()

    return wait


@pytest.fixture
def certificate(tmp_path):
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file
