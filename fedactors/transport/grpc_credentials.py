"""Certificates as gRPC takes them.

What gRPC for Python can do, and what is done about it:

* It cannot be told a least version of TLS. It is told instead, in `grpc_core`, of no cipher suite of TLS 1.2 that a certificate
  could serve, so that nothing below 1.3 is negotiated.
* It either demands client certificates or does not look at them: there is nothing between.
* It asks for a listener's certificate before each handshake, in a thread of its own, and takes None for "as before": `Changing`
  says so until a file has changed. A client's certificate is read when a connection is made.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from fedactors.transport.grpc_core import grpc
from fedactors.transport.tls import Changing, TlsFiles, check_listening


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Of a client, as the files are now.

    Raises:
        AddressError: they cannot be used.
    """
    files.check()
    return grpc.ssl_channel_credentials(_read(files.ca), _read(files.key), _read(files.certificate))


def server_credentials(files: TlsFiles, *, demands_certificates: bool) -> grpc.ServerCredentials:
    """Of a listener; files that change take effect with the next connection.

    Raises:
        AddressError: they cannot be used.
    """
    check_listening(files, demands_certificates=demands_certificates)
    changed = Changing(files, configuration).changed
    fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", changed)  # its types do not know of None
    return grpc.dynamic_ssl_server_credentials(configuration(files), fetch, demands_certificates)


def configuration(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    """What a listener shows and whom it trusts, as the files are now."""
    assert files.certificate is not None, "a listener without a certificate was to be refused"
    assert files.key is not None
    return grpc.ssl_server_certificate_configuration([(files.key.read_bytes(), files.certificate.read_bytes())], _read(files.ca))


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
