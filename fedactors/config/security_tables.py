"""The configuration's tables about who may reach a controller, and who may read along."""

from __future__ import annotations

from typing import Literal

from fedactors.config.table import Table


class TlsTable(Table):
    """TLS of addresses grpcs://host:port and tcps://host:port. Paths start at the configuration file.

    `fedactors certs` makes such files.

    Attributes:
        ca: PEM file with the authority that signs the federation's certificates. Clients trust controllers whom it has signed,
            and a controller clients.
        certificate: the controller's, in PEM. What clients show is named on their command line.
        key: its private key, in PEM, not encrypted.
        client_certificates: whether clients must show a certificate that `ca` has signed, whatever else they show: required or
            off. By default required where [access] asks somebody for one. All three files may be replaced while the controller
            runs: the next connection has the new ones.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    client_certificates: Literal["required", "off"] | None = None


class AccessTable(Table):
    """How callers show who they are: by a token, by a certificate, or not at all ("open").

    Who is in the controller's process, or may open its Unix socket (which is its owner's alone), need show nothing.

    Attributes:
        learners: of learners, each of which may take part under its own id only.
        operators: of operators, who give orders, and of observers, who look and fetch models.
        tokens: the list of tokens, which `fedactors tokens` writes. Read again when it changes: a revoked token ends what it is
            used for within seconds.
    """

    learners: Literal["token", "certificate", "open"] = "open"
    operators: Literal["token", "certificate", "open"] = "open"
    tokens: str = "tokens.json"

    @property
    def asked(self) -> frozenset[str]:
        """By what somebody has to show who it is."""
        return frozenset({self.learners, self.operators}) - {"open"}
