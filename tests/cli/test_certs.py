"""`fedactors certs`: what it writes, for whom, and over what it does not write."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from fedactors.access.certificates import named_in, signed_by
from tests.cli.steady import refused, said

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.fixture
def certs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said("certs", "init", "--name", "ours")
    return tmp_path / "certs"


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def use(path):
    return list(certificate(path).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_an_authority_signs_leaves_and_no_further_authority(certs):
    authority = certificate(certs / "ca.pem")
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    said("certs", "server", "localhost")
    assert signed_by(certificate(certs / "server.pem"), authority)
    assert not signed_by(authority, certificate(certs / "server.pem"))


def test_a_controller_s_certificate_names_its_hosts_and_is_for_a_server_alone(certs):
    said("certs", "server", "fed.example.org", "bücher.example", "10.0.0.7", "::1", "--days", "30")
    made = certificate(certs / "server.pem")
    assert named_in(made) == ["fed.example.org", "xn--bcher-kva.example", "10.0.0.7", "::1"]
    assert use(certs / "server.pem") == [SERVER]
    left = made.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert made.not_valid_before_utc < datetime.now(UTC)


@pytest.mark.parametrize(
    ("arguments", "file", "uri"),
    [
        (["learner", "hospital-1"], "learners/hospital-1", "fedactors://learner/hospital-1"),
        (["learner", "../é x"], "learners/..%2F%C3%A9 x", "fedactors://learner/..%2F%C3%A9%20x"),
        (["operator", "ada"], "operators/ada", "fedactors://operator/ada"),
        (["operator", "olga", "--role", "observer"], "operators/olga", "fedactors://observer/olga"),
    ],
)
def test_a_client_s_certificate_says_who_it_is_and_stays_in_its_folder(certs, arguments, file, uri):
    said("certs", *arguments)
    assert named_in(certificate(certs / f"{file}.pem")) == [uri]
    assert use(certs / f"{file}.pem") == [CLIENT]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(certs / f"{file}.pem", certs / f"{file}.key")


def test_private_keys_are_their_owner_s_alone(certs):
    said("certs", "learner", "anna")
    assert {path.stat().st_mode & 0o777 for path in certs.rglob("*.key")} == {0o600}
    assert certs.stat().st_mode & 0o777 == 0o700


def test_nothing_is_written_over_without_force(certs):
    said("certs", "server", "localhost")
    before = (certs / "server.pem").read_bytes()
    assert "is there already; write over it with --force" in refused(2, "certs", "server", "localhost")
    assert "is there already" in refused(2, "certs", "init")
    assert (certs / "server.pem").read_bytes() == before
    said("certs", "server", "localhost", "--force")
    assert certificate(certs / "server.pem").serial_number != x509.load_pem_x509_certificate(before).serial_number


def test_show_lists_whose_certificates_there_are_and_how_long_they_hold(certs):
    said("certs", "learner", "anna", "--days", "10")
    head, ca, anna = said("certs", "show").splitlines()
    assert head.split() == ["file", "for", "of", "days", "left"]
    assert ca.split()[-2:] == ["itself", "3649"]
    assert anna.split() == ["certs/learners/anna.pem", "fedactors://learner/anna", "CN=ours", "9"]


def test_what_is_wrong_is_said_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "`fedactors certs init --dir certs` makes one" in refused(2, "certs", "server", "localhost")
    assert "`fedactors certs init` makes the first one" in refused(2, "certs", "show")
    said("certs", "init")
    said("certs", "init", "--dir", "other")
    (tmp_path / "certs" / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    assert "the private key is not the certificate's" in refused(2, "certs", "learner", "anna")
    assert "name it with letters and digits" in refused(2, "certs", "learner", "a\nb")
    (tmp_path / "x.pem").write_text("no")
    assert "x.pem holds no certificate in PEM" in refused(2, "certs", "show", "x.pem")
