"""The few lines of HTTP that Prometheus reads from."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import httpx
import pytest

from fedactors.access.tokens import TokenBook
from fedactors.dashboard import scraping
from fedactors.dashboard.metering import metrics_of
from fedactors.dashboard.scraping import scraped
from fedactors.dashboard.where import Where
from fedactors.errors import AddressError
from fedactors.system import Federation
from tests.dashboard.support import BOOK, OBSERVER
from tests.dashboard.test_app import browser


def served(tokens=None):
    return scraped(lambda: b"x 1\n", "text/plain", Where("127.0.0.1", 0, tokens))


async def test_figures_are_read_at_their_path_alone():
    async with served() as url, httpx.AsyncClient() as client:
        answer = await client.get(url)
        assert (answer.status_code, answer.text) == (200, "x 1\n")
        assert (await client.get(url.replace("/metrics", "/"))).status_code == 404
        assert (await client.post(url)).status_code == 404
        assert (await client.get(url, headers={"host": "evil.example"})).status_code == 421


async def test_with_tokens_an_observer_s_is_shown(tmp_path):
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps(BOOK.to_map()))
    async with served(file) as url, httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 401
        assert (await client.get(url, headers={"authorization": f"Bearer {OBSERVER}"})).status_code == 200
        file.write_text(json.dumps(TokenBook().to_map()))
        assert (await client.get(url, headers={"authorization": f"Bearer {OBSERVER}"})).status_code == 401


@pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"GET " + b"x" * 20_000, b"\xff\x00\r\n\r\n"])
async def test_nonsense_ends_its_own_connection_and_nothing_else(said):
    async with served() as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(said)
        writer.write_eof()
        await reader.read()
        writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(url)).status_code == 200


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has hung up, in good order or not."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_who_says_nothing_is_hung_up_on_and_too_many_are_turned_away(monkeypatch):
    monkeypatch.setattr(scraping, "ASKING_TIMEOUT_S", 0.05)
    monkeypatch.setattr(scraping, "CONNECTIONS_MAX", 1)
    async with served() as url:
        port = urlsplit(url).port
        silent, writer = await asyncio.open_connection("127.0.0.1", port)
        another, second = await asyncio.open_connection("127.0.0.1", port)
        assert await ended(another)
        assert await ended(silent)
        writer.close()
        second.close()


async def test_a_place_that_is_taken_is_one_clear_error():
    async with served() as url:
        with pytest.raises(AddressError, match=r"the metrics cannot be served at 127\.0\.0\.1:"):
            await scraped(bytes, "text/plain", Where("127.0.0.1", urlsplit(url).port)).__aenter__()


async def test_a_federation_s_figures_are_served_while_it_lives():
    async with Federation({"name": "x"}) as federation:
        async with metrics_of(federation, Where("127.0.0.1", 0)) as url, httpx.AsyncClient() as client:
            text = (await client.get(url)).text
        assert 'fedactors_federation_info{name="x"} 1.0' in text
        assert 'fedactors_mailbox_depth{actor="scheduler"} 0.0' in text


async def test_the_page_serves_them_too():
    async with browser() as (client, _):
        assert (await client.get("/metrics")).text == "x 1\n"
