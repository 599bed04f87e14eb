"""An authority behind gunicorn and TLS on this machine, for API servers to ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import contenders, fill, processes, server
from .environment import Environment
from .told import tell

_CASE = "authority-introspects-key"


@contextmanager
def serving(environment: Environment) -> Iterator[None]:
    """
    Have an authority fill its tables, listen, and be told of to all processes that are started meanwhile.

    Raises:
        WorkerFailedError: If it does not start.
    """
    environment = replace(environment, contender=_CASE)
    port = server.free_port()
    certificate = _certificate(environment.directory)
    # Whom API servers trust: this app's by OpenSSL's own variable, the toolkit's by that of requests.
    os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = str(certificate)
    tell(issuer=f"https://localhost:{port}/authority", pem=_signing_key())
    processes.fill(environment, [_CASE])
    credentials = fill.read_credentials(environment, contenders.find(_CASE)[0])
    tell(
        credentials=credentials,
        authority_key=credentials["server key"][0],
        toolkit_token=credentials["server token"][0],
    )
    with server.serving(environment, port=port, certificate=certificate):
        yield


def _signing_key() -> dict[str, str]:
    """Return a key in PEM that signs for both, this app's authority and simplejwt."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"private": private.decode(), "public": public.decode()}


def _certificate(directory: Path) -> Path:
    """Return a file with a certificate for ``localhost``, which signs itself, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "authority.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate.public_bytes(Encoding.PEM)
    )
    file.chmod(0o600)
    return file
