"""Who gets in over real sockets, and what those get who do not: nothing but a refusal."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime

import numpy as np
import pytest

from fedactors import config as configuration
from fedactors.access.audit import Audit
from fedactors.access.callers import Role
from fedactors.access.token_file import change
from fedactors.access.tokens import new_token
from fedactors.config import Credentials
from fedactors.errors import AccessDenied, ConfigError, StreamClosed, Unreachable
from fedactors.learner import LearnerClient
from fedactors.protocol import FETCH, PUSH, SESSION, AdminClient, FetchRequest, PushOpening, Verb
from fedactors.protocol.blob_wire import encode_fetch, encode_opening
from fedactors.system import Federation
from fedactors.task import TrainReport
from fedactors.transport import Address
from tests.transport.certificates import LONG_AGO, Certificates

pytestmark = pytest.mark.e2e

OPEN_S = 5.0
NEVER_S = 0.6
"""How long those try who are not let into TLS: they hear of no refusal, but of an end."""
ENDS_S = 10.0
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
SAID_BY_THE_FEDERATION = (b"guarded", b"federation", b"learner", b"token", b"grpc")


class Adder:
    """A learner whose weights grow."""

    def get_weights(self):
        return {"w": np.zeros(4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {"w": weights["w"] + 1}, {"num_examples": 3}

    def evaluate(self, weights, params):
        return {"num_examples": 1, "mean": float(weights["w"].mean())}


class Guarded:
    """A federation behind TLS, and those who would like to get in."""

    def __init__(self, folder, access, scheme="grpcs"):
        self.folder, self.authority, self.audit_file = folder, Certificates(folder), folder / "audit.jsonl"
        self.authority.server()
        self.tokens = {name: self.add(role, name) for role, name in TOKENS}
        tls = {"ca": "ca.pem", "certificate": "server.pem", "key": "server.key"}
        self.config = configuration.from_mapping(
            {
                "name": "guarded",
                "seed": 1,
                "base_dir": str(folder),
                "controller": {"address": f"{scheme}://127.0.0.1:0"},
                "learners": {"count": 2, "min": 2},
                "stop": {"rounds": 1},
                "tls": tls,
                "access": access,
            }
        )

    def add(self, role, name):
        token = new_token()
        change(self.folder / "tokens.json", lambda book: (book.add(role, name, token, datetime.now(UTC)), None))
        return token

    def revoke(self, name):
        change(self.folder / "tokens.json", lambda book: book.revoke(name, datetime.now(UTC)))

    @asynccontextmanager
    async def running(self):
        with closing(Audit(self.audit_file)) as audit:
            async with Federation(self.config, audit=audit) as federation:
                (self.address,) = federation.addresses
                yield federation

    def audited(self, did):
        lines = map(json.loads, self.audit_file.read_text().splitlines())
        return [line for line in lines if line["did"] == did]

    @asynccontextmanager
    async def channel(self, credentials):
        channel = configuration.connect_to(self.address, credentials)
        try:
            yield channel
        finally:
            await channel.close()

    def shows(self, name="", *, token=None, certificate=None):
        """Credentials with the token of this name."""
        files = certificate or {}
        given = self.tokens[name] if name else token or ""
        return Credentials(self.authority.ca, files.get("certificate"), files.get("key"), given)

    async def refusal(self, credentials, call=lambda admin: admin.status(), open_s=OPEN_S):
        """The error of an operator's call."""
        async with self.channel(credentials) as channel:
            with pytest.raises((AccessDenied, Unreachable)) as caught:
                await call(AdminClient(channel, open_timeout_s=open_s))
        return caught.value

    async def join_refusal(self, credentials, learner):
        async with self.channel(credentials) as channel:
            with pytest.raises((AccessDenied, Unreachable)) as caught:
                await LearnerClient(Adder(), learner, channel).run()
        return caught.value


TOKENS = [(Role.LEARNER, "anna"), (Role.LEARNER, "bert"), (Role.OBSERVER, "olga"), (Role.OPERATOR, "otto")]
BY_TOKEN = {"learners": "token", "operators": "token"}
BY_CERTIFICATE = {"learners": "certificate", "operators": "certificate"}


@pytest.fixture(params=["grpcs", "tcps"])
def guarded(tmp_path, request):
    return Guarded(tmp_path, BY_TOKEN, request.param)


@pytest.fixture(params=["grpcs", "tcps"])
def mutual(tmp_path, request):
    return Guarded(tmp_path, BY_CERTIFICATE, request.param)


def learns_nothing(seen: bytes) -> bool:
    return not any(word in seen.lower() for word in SAID_BY_THE_FEDERATION)


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110  # what is waited for is in a file, or inside of a client
        await asyncio.sleep(0.02)


async def raw(address: Address, say: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """What a port says to bytes, up to its end or for a moment."""
    host, _, port = address.place.rpartition(":")
    seen = b""
    try:
        reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
        writer.write(say)
        async with asyncio.timeout(NEVER_S):
            while piece := await reader.read(4096):
                seen += piece
    except (OSError, TimeoutError):
        return seen
    finally:
        if "writer" in locals():
            writer.transport.abort()
    return seen


# ----------------------------------------------------------------------------------------------------------- from outside of TLS


@pytest.mark.parametrize(
    "say", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", H2_PREFACE, bytes(range(256)) * 8], ids=["nothing", "http", "h2", "noise"]
)
async def test_a_port_scanner_learns_that_there_is_tls_and_nothing_else(guarded, say):
    async with guarded.running():
        assert learns_nothing(await raw(guarded.address, say))


async def test_a_tls_client_without_a_certificate_learns_nothing_where_one_is_demanded(mutual):
    context = ssl.create_default_context(cafile=mutual.authority.ca)
    context.set_alpn_protocols(["h2"])
    async with mutual.running():
        assert await raw(mutual.address, H2_PREFACE, context) == b""


async def test_http_2_without_credentials_is_answered_with_nothing_of_the_federation(guarded):
    context = ssl.create_default_context(cafile=guarded.authority.ca)
    context.set_alpn_protocols(["h2"])
    async with guarded.running():
        seen = await raw(guarded.address, H2_PREFACE, context)
    assert learns_nothing(seen.replace(b"it speaks HTTP/2, as gRPC does: write grpc:// in the address", b""))


@pytest.mark.parametrize("who", ["nobody", "stranger", "expired", "a server"])
async def test_a_client_certificate_that_does_not_hold_opens_nothing(mutual, tmp_path, who):
    (tmp_path / "strange").mkdir()
    stranger = Certificates(tmp_path / "strange")
    certificate = {
        "nobody": lambda: None,
        "stranger": lambda: stranger.client(Role.OPERATOR, "otto"),
        "expired": lambda: mutual.authority.client(Role.OPERATOR, "otto", now=LONG_AGO),
        "a server": lambda: mutual.authority.server("otto", name="otto"),
    }[who]()
    async with mutual.running():
        refusal = await mutual.refusal(mutual.shows(certificate=certificate), open_s=NEVER_S)
    assert isinstance(refusal, Unreachable)
    assert "--certificate" in str(refusal)


async def test_a_controller_with_a_wrong_authority_is_not_spoken_to(guarded, tmp_path):
    (tmp_path / "strange").mkdir()
    stranger = Certificates(tmp_path / "strange")
    async with guarded.running():
        refusal = await guarded.refusal(Credentials(ca=stranger.ca, token=guarded.tokens["otto"]))
    assert isinstance(refusal, AccessDenied)
    assert not guarded.audit_file.read_text()


# -------------------------------------------------------------------------------------------------------- without a valid token


@pytest.mark.parametrize("what", ["none", "unknown", "revoked", "a hash"])
async def test_without_a_valid_token_every_method_answers_with_the_same_refusal(guarded, what):
    guarded.revoke("otto")
    entry = json.loads((guarded.folder / "tokens.json").read_text())["tokens"][-1]
    token = {"none": "", "unknown": new_token(), "revoked": guarded.tokens["otto"], "a hash": entry["sha256"]}[what]
    refusals = set()
    async with guarded.running(), guarded.channel(guarded.shows(token=token)) as channel:
        for method in (SESSION, FETCH, PUSH, "/fedactors.v1.Admin/GetStatus", "/fedactors.v1.Admin/Order", "/no.such/Method"):
            with pytest.raises(AccessDenied) as caught:
                await channel.open(method, timeout_s=OPEN_S)
            refusals.add(str(caught.value))
    assert len(refusals) == 1
    assert "show a valid token, by --token-file or in FEDACTORS_TOKEN" in refusals.pop()


async def test_a_revoked_token_ends_the_session_that_it_has_opened(guarded):
    async with guarded.running(), guarded.channel(guarded.shows("anna")) as channel:
        client = asyncio.create_task(LearnerClient(Adder(), "anna", channel).run())
        async with asyncio.timeout(ENDS_S):
            await until(lambda: guarded.audited("joined"))
            guarded.revoke("anna")
            with pytest.raises(AccessDenied):
                await client
    (ended,) = guarded.audited("ended")
    assert (ended["who"], ended["why"]) == ("learner 'anna'", "its token was revoked")
    assert guarded.audited("refused")[-1]["why"].startswith("the revoked token")


# --------------------------------------------------------------------------------------------------------- with the wrong token


async def test_a_learner_s_token_opens_no_operator_s_call(guarded):
    calls = [
        lambda admin: admin.status(),
        lambda admin: admin.order(Verb.ABORT),
        lambda admin: admin.download(),
        lambda admin: admin.versions(),
        lambda admin: anext(admin.watch()),
    ]
    async with guarded.running() as federation:
        for call in calls:
            refusal = await guarded.refusal(guarded.shows("anna"), call)
            assert "learner 'anna' may not call" in str(refusal)
        assert (await federation.admin.status())["phase"] == "waiting"


async def test_an_observer_looks_and_gives_no_orders(guarded):
    async with guarded.running() as federation, guarded.channel(guarded.shows("olga")) as channel:
        admin = AdminClient(channel)
        assert (await admin.status())["phase"] == "waiting"
        assert await admin.versions() == []
        for verb in Verb:
            with pytest.raises(AccessDenied, match="role operator"):
                await admin.order(verb)
        assert (await federation.admin.status())["phase"] == "waiting"


async def test_an_operator_s_token_makes_no_learner(guarded):
    async with guarded.running():
        assert "role learner" in str(await guarded.join_refusal(guarded.shows("otto"), "otto"))


async def test_a_learner_cannot_be_another_one(guarded):
    async with guarded.running():
        refusal = await guarded.join_refusal(guarded.shows("anna"), "bert")
        assert "the credential is that of learner 'anna', not of a learner 'bert'" in str(refusal)
        assert [line["who"] for line in guarded.audited("refused")] == ["learner 'anna'"]
        assert not guarded.audited("joined")


async def test_a_learner_cannot_use_the_session_of_another_one(guarded):
    """Even if it has got hold of the other's session token."""
    async with (
        guarded.running(),
        guarded.channel(guarded.shows("anna")) as hers,
        guarded.channel(guarded.shows("bert")) as his,
    ):
        client = LearnerClient(Adder(), "anna", hers)
        running = asyncio.create_task(client.run())
        async with asyncio.timeout(ENDS_S):
            await until(lambda: client._token)
        opening = PushOpening(client._token, "t", bytes(16), None, 16, TrainReport(1))
        requests = {FETCH: encode_fetch(FetchRequest(client._token, 0)), PUSH: encode_opening(opening)}
        for method, request in requests.items():
            stream = await his.open(method, timeout_s=OPEN_S)
            await stream.send(request)
            with pytest.raises(StreamClosed, match="unknown token"):
                await stream.receive()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# ----------------------------------------------------------------------------------------------------------- with the right one


async def one_round(guarded, shows):
    """Both learners join, an operator starts, and the final model comes back."""
    async with (
        guarded.running(),
        guarded.channel(shows(Role.LEARNER, "anna")) as hers,
        guarded.channel(shows(Role.LEARNER, "bert")) as his,
        guarded.channel(shows(Role.OPERATOR, "otto")) as ottos,
        asyncio.timeout(30),
    ):
        learners = [asyncio.create_task(LearnerClient(Adder(), name, way).run()) for name, way in (("anna", hers), ("bert", his))]
        admin = AdminClient(ottos)
        await admin.order(Verb.START)
        async for _ in admin.follow():
            pass
        _, layout, buffer = await admin.download()
        await admin.order(Verb.CLOSE)
        await asyncio.gather(*learners)
    return layout.views(buffer)["w"]


async def test_learners_and_an_operator_with_tokens_train_a_round(guarded):
    weights = await one_round(guarded, lambda _, name: guarded.shows(name))
    np.testing.assert_array_equal(weights, np.ones(4, np.float32))
    assert {line["who"] for line in guarded.audited("joined")} == {"learner 'anna'", "learner 'bert'"}
    assert [line["verb"] for line in guarded.audited("ordered")] == ["start", "close"]
    assert [(line["who"], line["by"]) for line in guarded.audited("downloaded")] == [("operator 'otto'", "token")]
    written = guarded.audit_file.read_text()
    assert not any(token in written for token in guarded.tokens.values())


async def test_learners_and_an_operator_with_certificates_train_a_round(mutual):
    weights = await one_round(mutual, lambda role, name: mutual.shows(certificate=mutual.authority.client(role, name)))
    np.testing.assert_array_equal(weights, np.ones(4, np.float32))
    assert {line["by"] for line in mutual.audited("joined")} == {"certificate"}


async def test_no_secret_is_in_the_log_of_a_day_of_refusals(guarded, caplog):
    caplog.set_level("DEBUG")
    async with guarded.running():
        await guarded.refusal(guarded.shows("anna"))
        await guarded.join_refusal(guarded.shows("anna"), "bert")
        for _ in range(30):
            await guarded.refusal(guarded.shows(token="fedactors_guess"))
    assert len(guarded.audited("refused")) <= 23
    assert guarded.audited("refused")[-1]["unwritten"] >= 9
    assert "fedactors_guess" not in caplog.text + guarded.audit_file.read_text()
    assert not any(token in caplog.text for token in guarded.tokens.values())


def test_a_socket_of_ones_own_needs_no_credentials(tmp_path):
    """By the mode of its file; so `fedactors up` needs no ceremony."""
    guarded = Guarded(tmp_path, BY_TOKEN)
    path = tmp_path / "s.sock"

    async def status():
        async with Federation(guarded.config, addresses=[f"grpc://{path}"]):
            guarded.address = Address.parse(f"grpc://{path}")
            async with guarded.channel(Credentials()) as channel:
                return await AdminClient(channel).status()

    assert asyncio.run(status())["phase"] == "waiting"


@pytest.mark.parametrize("scheme", ["grpc", "tcp"])
def test_a_token_is_not_shown_in_the_clear(scheme):
    with pytest.raises(
        ConfigError, match=rf"not shown to {scheme}://10\.0\.0\.7:4450.*write {scheme}s://10\.0\.0\.7:4450"
    ) as caught:
        configuration.connect_to(Address.parse(f"{scheme}://10.0.0.7:4450"), Credentials(token="secret"))
    assert "secret" not in f"{caught.value} {Credentials(token='secret')!r}"
