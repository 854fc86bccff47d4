"""What is served, asked without a socket."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import safetensors.numpy

from fedactors.access.tokens import TokenBook
from fedactors.dashboard import app as module
from fedactors.dashboard.app import COOKIE, PAGE, STATIC, WORD, dashboard
from fedactors.dashboard.chronicle import Chronicle
from fedactors.dashboard.feed import Feed
from fedactors.dashboard.guard import Guard
from fedactors.protocol import Verb
from tests.dashboard.support import BOOK, OBSERVER, OPERATOR, Told, read
from tests.observe.story import whole_run

HERE = "http://127.0.0.1:4460"
ORIGIN = {"origin": HERE}


@asynccontextmanager
async def browser(book: TokenBook | None = None):
    """(client, source): a page of a run that is over."""
    source = Told()
    source.tell(*whole_run())
    source.end()
    feed = Feed(source, Chronicle("digits", 2))
    await feed.follow()
    transport = httpx.ASGITransport(app=dashboard(feed, Guard(None if book is None else lambda: book), lambda: b"x 1\n"))
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        yield client, source


async def word(client) -> dict[str, str]:
    """The headers of an order of the page."""
    return {WORD: (await client.get("/api/me")).json()["word"], "origin": HERE}


async def test_the_page_and_everything_that_it_names_is_served_from_here():
    async with browser() as (client, _):
        page = await client.get("/")
        assert page.status_code == 200
        for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.text):
            assert (await client.get(path)).status_code == 200, path
        assert not re.findall(r"""(?:src|href)=["']https?:""", page.text)


async def test_no_script_stands_in_the_page_and_none_comes_from_elsewhere():
    async with browser() as (client, _):
        answer = await client.get("/")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|javascript:", answer.text)


def test_every_file_of_the_page_is_served():
    files = {path.name for path in PAGE.iterdir()}
    assert files == {*STATIC, "index.html", "login.html"}


async def test_events_are_told_and_go_on_where_the_browser_was():
    async with browser() as (client, _):
        answer = await client.get("/api/events")
        assert answer.headers["content-type"].startswith("text/event-stream")
        kinds = [read(message.encode()) for message in answer.text.split("\n\n") if message]
        assert [kind for kind, _, _ in kinds] == ["", "rounds", "state", "versions", "over"]
        later = await client.get("/api/events", headers={"last-event-id": kinds[1][1]})
        assert "event: rounds" not in later.text
        assert "event: rounds" in (await client.get("/api/events", headers={"last-event-id": "nonsense"})).text


async def test_a_foreign_name_that_leads_here_is_not_served():
    async with browser() as (client, _):
        answer = await client.get("/", headers={"host": "evil.example:4460"})
        assert answer.status_code == 421


async def test_the_model_trail_is_listed_and_a_version_is_a_file(tmp_path):
    async with browser() as (client, _):
        (one,) = (await client.get("/api/versions")).json()["versions"]
        assert (one["version"], one["learners"], one["metrics"]) == (1, 3, {"loss": None})
        answer = await client.get("/api/versions/1.safetensors")
        assert "version-1.safetensors" in answer.headers["content-disposition"]
        assert safetensors.numpy.load(answer.content)["w"].tolist() == [0.0, 1.0]
        assert (await client.get("/api/versions/2.safetensors")).text == "version 2 was evicted"


async def test_a_download_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    async with browser() as (client, _):
        await client.get("/api/versions/1.safetensors")
        await client.get("/api/versions/2.safetensors")
    assert list(tmp_path.iterdir()) == []


async def test_an_order_of_the_page_reaches_the_controller():
    async with browser() as (client, source):
        for verb in ("pause", "resume", "stop"):
            assert (await client.post("/api/order", json={"verb": verb}, headers=await word(client))).status_code == 204
        assert [verb for verb, _ in source.orders] == [Verb.PAUSE, Verb.RESUME, Verb.STOP]
        source.refuses = "the federation was stopped already"
        answer = await client.post("/api/order", json={"verb": "stop"}, headers=await word(client))
        assert (answer.status_code, answer.text) == (409, "the federation was stopped already")


@pytest.mark.parametrize("body", ['{"verb": "abort"}', '{"verb": "close"}', "{}", "nonsense", "[]", "{" * 10_000])
async def test_an_order_that_is_none_is_refused(body):
    async with browser() as (client, source):
        answer = await client.post("/api/order", content=body, headers=await word(client))
        assert answer.status_code == 400
        assert source.orders == []


async def test_an_order_of_another_site_is_refused():
    async with browser() as (client, source):
        known = await word(client)
        for headers in (
            {},
            {"origin": HERE},
            {WORD: known[WORD]},
            known | {"origin": "http://evil.example"},
            known | {WORD: "x"},
        ):
            assert (await client.post("/api/order", json={"verb": "stop"}, headers=headers)).status_code == 403
        assert (await client.get("/api/order")).status_code == 405
        assert source.orders == []


async def test_with_tokens_one_logs_in_to_see_anything(monkeypatch):
    monkeypatch.setattr(module, "WRONG_TOKEN_S", 0.0)
    async with browser(BOOK) as (client, _):
        assert (await client.get("/")).headers["location"] == "/login"
        assert "Token of an operator" in (await client.get("/login")).text
        for path in ("/api/me", "/api/events", "/api/versions", "/api/versions/1.safetensors", "/api/configuration"):
            assert (await client.get(path)).status_code == 401, path
        wrong = await client.post("/login", data={"token": "wrong"}, headers=ORIGIN)
        assert (wrong.headers["location"], COOKIE in client.cookies) == ("/login#wrong", False)
        right = await client.post("/login", data={"token": OPERATOR}, headers=ORIGIN)
        assert right.headers["location"] == "/"
        assert {"HttpOnly", "SameSite=strict"} <= set(right.headers["set-cookie"].split("; "))
        assert (await client.get("/api/me")).json()["may_order"] is True
        assert (await client.post("/logout", headers=await word(client))).status_code == 204
        assert (await client.get("/api/me")).status_code == 401


async def test_no_other_site_logs_a_browser_in():
    async with browser(BOOK) as (client, _):
        for headers in ({}, {"origin": "http://evil.example"}, {"origin": "null"}):
            assert (await client.post("/login", data={"token": OPERATOR}, headers=headers)).status_code == 403
        assert COOKIE not in client.cookies


async def test_an_observer_sees_everything_and_orders_nothing():
    async with browser(BOOK) as (client, source):
        await client.post("/login", data={"token": OBSERVER}, headers=ORIGIN)
        assert (await client.get("/api/configuration")).text == source.configuration
        assert (await client.get("/api/me")).json()["may_order"] is False
        assert (await client.post("/api/order", json={"verb": "stop"}, headers=await word(client))).status_code == 403
        assert source.orders == []


def test_the_script_of_plotly_is_in_its_package():
    assert module.plotly_script().stat().st_size > 1_000_000
    assert isinstance(module.plotly_script(), Path)


async def test_wrong_tokens_take_time(monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    async with browser(BOOK) as (client, _):
        monkeypatch.setattr(asyncio, "sleep", sleep)
        await client.post("/login", data={"token": "wrong"}, headers=ORIGIN)
    assert waited == [1.0]
