"""Certificates for a federation's TLS: one authority, and leaves that it signs for controllers, learners and operators.

Keys are ECDSA on P-256: gRPC's TLS takes no Ed25519. A leaf says what it is for (its extended key usage: a learner's certificate
passes for no controller's) and whose it is: the names and addresses of a controller, or the URI of a client (`access.names`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedactors.errors import ConfigError

CLOCKS_DIFFER = timedelta(minutes=5)
"""A certificate holds from so long before it was made, for machines whose clocks are behind."""
COMMON_NAME_CHARS_MAX = 64
"""X.509's own limit; the name in full is in the subject's alternative names."""

Key: TypeAlias = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, of an authority or a leaf."""

    certificate: x509.Certificate
    key: Key

    @property
    def certificate_pem(self) -> bytes:
        """For everybody."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """A secret, not encrypted."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(encoding, form, serialization.NoEncryption())


def read_pair(certificate_pem: bytes, key_pem: bytes) -> KeyPair:
    """What `certificate_pem` and `key_pem` wrote.

    Raises:
        ConfigError: it is something else, or the key is another's.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"these are no certificate and its unencrypted private key in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigError("the private key is not the certificate's; give the two that were made together")
    return KeyPair(certificate, key)


def make_authority(name: str, days: int, now: datetime) -> KeyPair:
    """A new authority, which signs itself and may sign leaves, and no further authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = _usage(key_cert_sign=True, crl_sign=True, digital_signature=False)
    builder = _builder(_subject(name), _subject(name), key, days, now).add_extension(
        x509.BasicConstraints(True, 0), critical=True
    )
    return KeyPair(builder.add_extension(usage, critical=True).sign(key, hashes.SHA256()), key)


def make_server(authority: KeyPair, hosts: Sequence[str], days: int, now: datetime) -> KeyPair:
    """A controller's leaf: it is reached under these names and addresses, of which there is one at least."""
    return _leaf(authority, hosts[0], [_host(host) for host in hosts], ExtendedKeyUsageOID.SERVER_AUTH, days, now)


def make_client(authority: KeyPair, name: str, uri: str, days: int, now: datetime) -> KeyPair:
    """A client's leaf: the URI is who it is."""
    return _leaf(authority, name, [x509.UniformResourceIdentifier(uri)], ExtendedKeyUsageOID.CLIENT_AUTH, days, now)


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether this authority has signed the certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def named_in(certificate: x509.Certificate) -> list[str]:
    """The names, addresses and URIs that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names]


def _leaf(
    authority: KeyPair, name: str, names: Sequence[x509.GeneralName], use: x509.ObjectIdentifier, days: int, now: datetime
) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(_subject(name), issuer.subject, key, days, now)
        .add_extension(x509.BasicConstraints(False, None), critical=True)
        .add_extension(_usage(key_cert_sign=False, crl_sign=False, digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(by, critical=False)
    )
    return KeyPair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: int, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:COMMON_NAME_CHARS_MAX])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except UnicodeError:
        raise ConfigError(f"{host!r} is neither a host's name nor an IP address") from None


def _usage(*, key_cert_sign: bool, crl_sign: bool, digital_signature: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
