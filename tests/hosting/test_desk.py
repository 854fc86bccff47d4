"""What operators ask of a process with many federations, and who may."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from fedactors.access.callers import Role
from fedactors.access.token_file import change
from fedactors.access.tokens import new_token
from fedactors.config import Credentials, connect_to
from fedactors.errors import AccessDenied, AddressError, ConfigError, FederationFailed, StreamClosed
from fedactors.hosting.counter import Counter
from fedactors.protocol import AdminClient
from fedactors.protocol.federations import Condition, FederationsClient, Standing
from fedactors.transport import Address
from tests.e2e.support import free_port
from tests.hosting.place import conditions, standing, until

NOTHING = {"tokens": None, "certificate": None, "key": None, "insecure": False}


def added(path, role, name):
    """A token, which is added to a list."""
    token = new_token()
    return change(path, lambda book: (book.add(role, name, token, datetime.now(UTC)), token))


@asynccontextmanager
async def asked(address, token=""):
    """An operator's side."""
    channel = connect_to(Address.parse(address), Credentials(token=token))
    try:
        yield channel
    finally:
        await channel.close()


@asynccontextmanager
async def at_work(place, address, tokens=None):
    """The federations of a place, and their desk."""
    counter = Counter.at(address, **NOTHING | {"tokens": tokens})
    async with place.served() as federations, counter.open(federations, place.runs):
        yield federations


async def test_federations_are_listed_added_and_stopped(place):
    place.write("a")
    place.write("broken", more="stop.roundz = 1")
    address = f"grpc://{place.path}/desk.sock"
    async with at_work(place, address) as federations, asked(address) as channel:
        client = FederationsClient(channel)
        await until(lambda: standing(federations, "a").addresses)
        a, broken = await client.standings()
        assert a == Standing("a", Condition.WAITING, (f"memory://{place.path.name}-a",), 0, 3, 0, "", str(place.runs / "a"))
        assert (broken.condition, "has no key 'roundz'" in broken.why) == (Condition.FAILED, True)
        await client.add("b", place.toml("b", rounds=2))
        async with place.learner("b"):
            await until(lambda: conditions(federations)["b"] == "finished")
        await client.stop("a", "enough")
        await until(lambda: conditions(federations)["a"] == "finished")
        assert [(one.name, one.rounds, one.why) for one in await client.standings()][::2] == [
            ("a", 0, "enough"),
            ("broken", 0, broken.why),
        ]
        with pytest.raises(FederationFailed, match="refused to stop a: a is finished already"):
            await client.stop("a", "again")
        with pytest.raises(FederationFailed, match=r"refused to add c: .*has no key 'roundz'"):
            await client.add("c", "stop.roundz = 1")
    did = [json.loads(line) for line in (place.runs / "audit.jsonl").read_text().splitlines()]
    assert [(line["did"], line["name"], "refused" in line, line["who"]) for line in did] == [
        ("added", "b", False, "local"),
        ("stopped", "a", False, "local"),
        ("stopped", "a", True, "local"),
        ("added", "c", True, "local"),
    ]


async def test_an_observer_looks_an_operator_orders_and_nobody_else_does_either(place):
    place.write("a")
    tokens = place.path / "tokens.json"
    observer, operator, learner = (added(tokens, role, "ada") for role in (Role.OBSERVER, Role.OPERATOR, Role.LEARNER))
    address = f"grpc://127.0.0.1:{free_port()}"
    async with at_work(place, address, tokens) as federations:
        await until(lambda: standing(federations, "a").addresses)
        for token in ("", "made-up", learner):
            async with asked(address, token) as channel:
                with pytest.raises(AccessDenied):
                    await FederationsClient(channel).standings()
        async with asked(address, observer) as channel:
            client = FederationsClient(channel)
            assert [one.name for one in await client.standings()] == ["a"]
            with pytest.raises(AccessDenied, match="it takes a credential of the role operator"):
                await client.stop("a", "")
            with pytest.raises(AccessDenied, match="it takes a credential of the role operator"):
                await client.add("b", place.toml("b"))
        async with asked(address, operator) as channel:
            await FederationsClient(channel).stop("a", "enough")
    did = [json.loads(line) for line in (place.runs / "audit.jsonl").read_text().splitlines()]
    assert [(line["did"], line.get("who", "")) for line in did] == [("refused", "")] * 5 + [("stopped", "operator 'ada'")]


async def test_one_federation_is_asked_at_its_own_address(place):
    address = f"grpc://{place.path}/desk.sock"
    async with at_work(place, address), asked(address) as channel:
        with pytest.raises(StreamClosed, match="each federation is asked at its own address"):
            await AdminClient(channel).status()


@pytest.mark.parametrize(
    ("address", "more", "said"),
    [
        ("grpc://0.0.0.0:0", {}, "can be reached from other machines, and nothing is encrypted there"),
        ("grpcs://0.0.0.0:0", {}, "needs a certificate"),
        ("gprc://127.0.0.1:0", {}, "did you mean 'grpc'"),
    ],
)
def test_a_desk_is_no_more_open_than_a_federation_may_be(address, more, said):
    with pytest.raises(ConfigError, match=said):
        Counter.at(address, **NOTHING | more)


async def test_an_address_that_is_taken_ends_it_with_one_line(place):
    address = f"memory://{place.path.name}-taken"
    async with at_work(place, address) as federations:
        with pytest.raises(AddressError, match="in use"):
            async with Counter.at(address, **NOTHING).open(federations, place.runs):
                pass
