"""The Redis store at real servers: what it keeps, and what it says of servers that are away, full, shut or forgetful."""

import asyncio
import json
import logging
import ssl
import sys

import numpy as np
import pytest
import trustme

from fedactors import plugins
from fedactors.errors import ConfigError, ExtraMissing, StoreError
from fedactors.model import GlobalModel, Layout
from fedactors.storage import Home, LearnerModel
from fedactors.storage.redis import RedissStorage, RedisStorage
from fedactors.testing import check_large_model, check_many_learners, check_store
from tests.storage.redis_servers import serving, tls_before

LAYOUT = Layout.from_specs([("w", "uint8", (1000,))])
HOME = Home("digits")


def model(version, layout=LAYOUT):
    return GlobalModel(version, layout, np.full(layout.nbytes, version, np.uint8))


@pytest.fixture(scope="module")
def shared():
    with serving() as server:
        yield server


@pytest.fixture
def server(shared):
    """A server with nothing on it."""
    with shared.client as client:
        client.flushall()
    return shared


@pytest.fixture
async def opened(server):
    stores = []

    async def make(**options):
        stores.append(RedisStorage(**{"place": server.place, "chunk_bytes": 300, **options}))
        await stores[-1].open(HOME)
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


def chunks(server):
    with server.client as client:
        return sorted(client.keys("fedactors:{digits}:chunk:*"))


async def said_on_opening(store):
    with pytest.raises(StoreError) as caught:
        await store.open(HOME)
    return str(caught.value)


@pytest.mark.parametrize("lineage_length", [0, 3])
async def test_redis_conforms(server, lineage_length):
    def make():
        return RedisStorage(lineage_length=lineage_length, place=server.place, chunk_bytes=64)

    await check_store(make, lineage_length=lineage_length, survives_reopening=True, home=HOME)


async def test_a_model_of_several_megabytes_comes_back(server):
    await check_large_model(lambda: RedisStorage(place=server.place), 40_000_001, home=HOME)


async def test_every_key_begins_with_the_federation_s_name_and_others_are_left_alone(opened, server):
    with server.client as client:
        client.set("theirs", "1")
    store = await opened()
    other = await opened(namespace="other")
    for one in (store, other):
        await one.put(model(0))
    await store.expunge()
    assert await other.versions() == [0]
    with server.client as client:
        prefixes = {key.decode().partition("}")[0] for key in client.scan_iter()}
        assert prefixes == {"theirs", "fedactors:{digits", "fedactors:{other"}
        assert client.get("theirs") == b"1"


async def test_evicted_and_erased_models_leave_no_chunks(opened, server):
    store = await opened(lineage_length=1)
    for number in range(3):
        await store.put(model(number))
        await store.put(LearnerModel("a", number, 0, LAYOUT, model(number).buffer))
    assert len(chunks(server)) == 8
    await store.erase(["a"])
    assert len(chunks(server)) == 4


async def test_a_thousand_learners_have_lineages(server):
    await check_many_learners(lambda: RedisStorage(place=server.place), learners=1_000, survives_reopening=True, home=HOME)


# ------------------------------------------------------------------------------------------------------------- torn and lost


async def test_a_put_that_was_torn_is_never_seen_and_its_chunks_are_removed(opened, server):
    store = await opened()
    await store.put(model(0))
    await store.close()
    with server.client as client:  # what a controller leaves that is killed before its commit
        client.hset("fedactors:{digits}:pending", "dead-1", 4)
        client.set("fedactors:{digits}:chunk:dead-1:0", b"x" * 300)
    store = await opened()
    assert await store.versions() == [0]
    assert not [key for key in chunks(server) if b"dead" in key]
    with server.client as client:
        assert client.hlen("fedactors:{digits}:pending") == 0


async def test_a_controller_whose_namespace_was_opened_by_another_cannot_write(opened):
    first = await opened()
    await first.put(model(0))
    second = await opened()
    for change in (first.put(model(1)), first.describe(0, {"round": 1}), first.expunge()):
        with pytest.raises(StoreError, match=r"another controller has opened fedactors:\{digits\}: at .*; stop one of the two"):
            await change
    await second.put(model(1))
    assert await second.versions() == [0, 1]
    assert (await second.get(1)).buffer[0] == 1


async def test_a_chunk_that_is_gone_is_named(opened, server):
    store = await opened()
    for version in range(2):
        await store.put(model(version))
    gone = chunks(server)[2].decode()
    with server.client as client:
        client.delete(gone)
    with pytest.raises(StoreError, match=f"version 0 is damaged: the key {gone} at .* is missing: it was removed, or evicted"):
        await store.get(0)
    assert (await store.get(1)).buffer[0] == 1


@pytest.mark.parametrize(("harm", "said"), [(b"x" * 300, "is not what was put"), (b"x", "has 1 bytes")])
async def test_a_chunk_that_changed_is_found(opened, server, harm, said):
    store = await opened()
    await store.put(model(0))
    with server.client as client:
        client.set(chunks(server)[0], harm)
    with pytest.raises(StoreError, match=said):
        await store.get(0)


async def test_a_server_that_forgot_everything_takes_no_more_versions(opened, server):
    store = await opened()
    await store.put(model(0))
    with server.client as client:
        client.flushall()
    with pytest.raises(StoreError, match=r"has lost keys of fedactors:\{digits\}:.*set maxmemory-policy to noeviction"):
        await store.put(model(1))


async def test_a_commit_whose_chunks_are_gone_is_refused(opened, server):
    store = await opened()
    shelf = store._desk.library.shelf
    shelf._write_chunks = lambda chunks, batch, buffer: None
    with pytest.raises(StoreError, match="has lost keys"):
        await store.put(model(0))
    assert await (await opened()).versions() == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("format", "2", "is b'2', not b'1'"), ("index", {"0:": "[]"}, "is damaged"), ("index", "x", "refuses")],
)
async def test_a_namespace_with_something_else_in_it_is_refused(server, key, value, said):
    with server.client as client:
        name = "fedactors:{digits}:" + key
        client.hset(name, mapping=value) if isinstance(value, dict) else client.set(name, value)
    assert said in await said_on_opening(RedisStorage(place=server.place))


# ------------------------------------------------------------------------------------------------------- servers with troubles


async def test_a_server_that_comes_back_is_waited_for():
    with serving("--appendonly", "yes") as server:
        store = RedisStorage(place=server.place)
        await store.open(HOME)
        await store.put(model(0))
        server.kill()
        putting = asyncio.create_task(store.put(model(1)))
        await asyncio.sleep(0.3)
        assert not putting.done()
        await asyncio.to_thread(server.start)
        await putting
        assert [(await store.get(version)).buffer[0] for version in (0, 1)] == [0, 1]
        await store.close()


async def test_a_server_that_stays_away_is_named_and_closing_waits_for_nothing():
    with serving() as server:
        impatient, patient = RedisStorage(place=server.place, retry_s=0.2), RedisStorage(place=server.place, namespace="p")
        for store in (impatient, patient):
            await store.open(HOME)
        server.kill()
        with pytest.raises(StoreError, match=r"redis\.sock \(database 0\) does not answer .*, and was waited for 0\.\d s"):
            await impatient.put(model(0))
        putting = asyncio.create_task(patient.put(model(0)))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            await patient.close()
            with pytest.raises(StoreError, match="does not answer"):
                await putting
        await impatient.close()


async def test_a_server_that_is_not_there_is_named_at_once():
    said = await said_on_opening(RedisStorage(place="127.0.0.1:1"))
    assert said.startswith("the model store's server at 127.0.0.1:1 (database 0) does not answer")
    assert said.endswith("start it, or write another [store] url")


async def test_a_full_server_is_said_and_nothing_is_lost():
    with serving("--maxmemory", "6mb", "--maxmemory-policy", "noeviction") as server:
        store = RedisStorage(place=server.place)
        await store.open(HOME)
        large = Layout.from_specs([("w", "uint8", (8_000_000,))])
        await store.put(model(0))
        with pytest.raises(StoreError, match=r"is full: .*; raise its maxmemory, or set lineage_length or max_bytes"):
            await store.put(model(1, large))
        await store.put(model(1))
        assert [(await store.get(version)).buffer[0] for version in await store.versions()] == [0, 1]
        await store.close()


async def test_a_server_that_evicts_models_is_warned_of(caplog):
    caplog.set_level(logging.WARNING, "fedactors.storage")
    with serving("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as server:
        store = RedisStorage(place=server.place)
        await store.open(HOME)
        await store.close()
    assert "server_evicts_models" in caplog.text


async def test_a_password_comes_from_the_environment(monkeypatch):
    with serving("--requirepass", "open sesame") as server:
        assert "does not let us in" in await said_on_opening(RedisStorage(place=server.place))
        closed = RedisStorage(place=server.place, password_env="STORE_PASSWORD")
        assert "the environment variable STORE_PASSWORD, which holds" in await said_on_opening(closed)
        monkeypatch.setenv("STORE_PASSWORD", "open sesam")
        said = await said_on_opening(closed)
        assert "does not let us in" in said
        assert "sesam" not in said
        monkeypatch.setenv("STORE_PASSWORD", "open sesame")
        await closed.open(HOME)
        await closed.close()
        assert "sesame" not in repr(closed)


async def test_a_server_by_tls_must_be_whom_it_says_it_is(server, tmp_path):
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    home = Home("digits", tmp_path)
    async with tls_before(server, context) as port:
        await check_store(lambda: RedissStorage(place=f"127.0.0.1:{port}", ca_file="ca.pem"), survives_reopening=True, home=home)
        for place, ca_file in ((f"127.0.0.1:{port}", "stranger.pem"), (f"localhost:{port}", "ca.pem")):
            with pytest.raises(StoreError, match="certificate verify failed"):
                await RedissStorage(place=place, ca_file=ca_file).open(home)
        with pytest.raises(StoreError, match=r"TLS needs .*absent\.pem, but there is no such file"):
            await RedissStorage(place=f"127.0.0.1:{port}", ca_file="absent.pem").open(home)


# --------------------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "place", ["", "/", "host:port", "host/x", "host:1/-1", "/run/redis.sock?db=x", "/run/r.sock?x=1", "host?db=1"]
)
def test_a_place_that_is_no_server_s_is_refused(place):
    with pytest.raises(ConfigError, match=r"is not a server's; write redis://127\.0\.0\.1:6379/0 or redis:///run/redis\.sock"):
        RedisStorage(place=place)


def test_a_password_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="option password_env") as caught:
        RedisStorage(place="user:secret@host:6379")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("options", [{"namespace": "a{b"}, {"chunk_bytes": 0}, {"timeout_s": 0.0}, {"retry_s": -1.0}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        RedisStorage(**options)


@pytest.mark.parametrize(("options", "said"), [({"place": "/run/r.sock"}, "not encrypted"), ({"cert_file": "c"}, "go together")])
def test_tls_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        RedissStorage(**options)


async def test_facts_of_many_contributors_are_kept(opened):
    store = await opened()
    await store.put(model(0))
    contributors = {f"learner-{index}": index / 7 for index in range(2_000)}
    await store.describe(0, {"contributors": contributors})
    (entry,) = await (await opened()).lineage(None)
    assert entry.facts == json.loads(json.dumps({"contributors": contributors}))


def test_the_extra_that_brings_the_client_is_named_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    for module in [name for name in sys.modules if name.startswith("fedactors.storage.redis")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ExtraMissing, match=r"'rediss' needs the package 'redis', .*: pip install 'fedactors\[redis\]'"):
        plugins.load("fedactors.storage", "rediss")
