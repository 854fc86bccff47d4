"""Where a controller may listen: nowhere that other machines can reach without TLS and credentials."""

import pytest

from fedactors import config as configuration
from fedactors.errors import ConfigError
from fedactors.system import Federation

TLS = {"ca": "ca.pem", "certificate": "server.pem", "key": "server.key"}
TOKENS = {"learners": "token", "operators": "token"}
CERTIFICATES = {"learners": "certificate", "operators": "certificate"}
FAR, NEAR = "grpcs://0.0.0.0:4450", "grpcs://127.0.0.1:4450"


def tables(address, tls=None, access=None, **controller):
    return {"controller": {"address": address, **controller}, "tls": tls or {}, "access": access or {}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (tables(FAR, access=TOKENS), r'needs a certificate: write certificate = "certs/server\.pem" and key = '),
        (tables(NEAR, {"certificate": "a.pem"}), r'write key = "certs/server\.key" in \[tls\]'),
        (tables(FAR, TLS), r'learners show no credential: write learners = "token" or "certificate" in \[access\], or'),
        (tables(FAR, TLS, {"learners": "token"}), 'operators show no credential: write operators = "token"'),
        (tables("grpc://0.0.0.0:1", access=TOKENS), r'nothing is encrypted there: write "grpcs://0\.0\.0\.0:1"'),
        (tables("tcp://0.0.0.0:1", access=TOKENS), r'nothing is encrypted there: write "tcps://0\.0\.0\.0:1"'),
        (tables("tcp://127.0.0.1:1", access=CERTIFICATES), 'certificates are shown over TLS alone; write "tcps://127'),
        (tables("tcps://127.0.0.1:1", access=TOKENS), 'needs a certificate: write certificate = "certs/server.pem"'),
        (tables("grpc://127.0.0.1:1", access=CERTIFICATES), 'certificates are shown over TLS alone; write "grpcs://127'),
        (tables(NEAR, {**TLS, "client_certificates": "off"}, CERTIFICATES), 'write "required", or have them show tokens'),
        (tables(NEAR, {"certificate": "a", "key": "b"}, CERTIFICATES), r'nobody is trusted to have signed them: write ca = '),
        (tables(NEAR, TLS, {"learners": "password"}), "must be 'token', 'certificate' or 'open'"),
    ],
)  # fmt: skip
def test_what_is_not_safe_is_refused_with_what_to_write(given, said):
    with pytest.raises(ConfigError, match=said):
        configuration.from_mapping(given)


@pytest.mark.parametrize(
    "given",
    [
        tables(FAR, TLS, TOKENS),
        tables(FAR, TLS, CERTIFICATES),
        tables(FAR, TLS, {"learners": "certificate", "operators": "token"}),
        tables(FAR, TLS, insecure=True),
        tables(NEAR, TLS),
        tables("grpc://0.0.0.0:1", insecure=True),
        tables("grpc:///run/fed.sock", access=CERTIFICATES),
    ],
)
def test_what_is_safe_or_insisted_on_is_taken(given):
    assert configuration.from_mapping(given).controller.address == given["controller"]["address"]


def test_a_client_needs_neither_certificate_nor_tokens_and_no_plain_text_either():
    assert configuration.from_mapping(tables("grpcs://fed.example.org:1", access=TOKENS), listens=False)
    with pytest.raises(ConfigError, match="nothing is encrypted there"):
        configuration.from_mapping(tables("grpc://fed.example.org:1"), listens=False)


def test_a_place_that_a_program_names_is_looked_at_like_a_configured_one():
    with pytest.raises(ConfigError, match="nothing is encrypted there"):
        Federation({"name": "x"}, addresses=["grpc://0.0.0.0:0"])


async def test_a_list_of_tokens_that_is_missing_is_named_before_anything_listens(tmp_path):
    config = configuration.from_mapping({"access": TOKENS, "base_dir": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"there is no list of tokens .*`fedactors tokens add learner ID"):
        await Federation(config).__aenter__()
