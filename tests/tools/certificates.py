"""Writes into a folder what a server with TLS needs: server.crt and server.key for the name localhost, the certificate
ca.pem of the authority that signed it, and that of another one, other.pem.

Run by the tests, with the Python of target-postgres' environment.
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(subject, key, issuer, issuer_key, is_authority):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def main(folder):
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "other", "localhost")}
    for name in ("ca", "other"):
        (folder / f"{name}.pem").write_bytes(certificate(name, keys[name], name, keys[name], True))
    (folder / "server.crt").write_bytes(certificate("localhost", keys["localhost"], "ca", keys["ca"], False))
    text = keys["localhost"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(text)


main(pathlib.Path(sys.argv[1]))
