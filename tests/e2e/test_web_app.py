"""Two federations in one starlette application: one is cancelled mid-round, the other is unharmed, and nothing leaks."""

from __future__ import annotations

import argparse
import asyncio
import gc
import shlex
import sys
import threading
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.docs.test_code_blocks import blocks

pytestmark = pytest.mark.e2e

EXAMPLE = Path(__file__).parents[2] / "examples" / "web_app"
PATIENCE_S = 20.0


@pytest.fixture
def application(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLE))
    from app import app

    yield app
    for name in ("app", "clinic"):
        del sys.modules[name]


@asynccontextmanager
async def served(application):
    """A client of the application, within its lifespan."""
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://here") as client,
    ):
        yield client


async def until(client, name, condition):
    """How a federation stands once the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition(run := (await client.get(f"/federations/{name}")).json()):  # noqa: ASYNC110  # HTTP tells when asked
            await asyncio.sleep(0.01)
    return run


async def until_gone(before):
    """Nothing more is held than before. A thread that is at work ends after its task."""
    async with asyncio.timeout(PATIENCE_S):
        while left := held() - before:
            gc.collect()
            await asyncio.sleep(0.05)
    return left


def held():
    """What this process holds: tasks, files and sockets by what they are, threads by name."""
    files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    kinds = [str(file.readlink()).partition(":[")[0] for file in files]
    tasks = [task.get_name().rstrip("0123456789") for task in asyncio.all_tasks()]
    return Counter(kinds) + Counter(tasks) + Counter(thread.name for thread in threading.enumerate())


def body(tmp_path, name, **train):
    return {"controller": {"address": f"grpc://{tmp_path}/{name}.sock"}, "train": {"epochs": 5, **train}, "stop": {"rounds": 5}}


async def test_one_of_two_federations_is_cancelled_mid_round_and_the_other_is_unharmed(application, tmp_path):
    async with served(application) as client:
        await client.post("/federations/alone", json=body(tmp_path, "alone"))
        alone = await until(client, "alone", lambda run: run["state"] == "finished")
        before = held()
        await client.post("/federations/first", json=body(tmp_path, "first", pause_s=0.1))
        await client.post("/federations/second", json=body(tmp_path, "second", pause_s=0.05))
        await until(client, "second", lambda run: run["rounds"])
        assert held()["socket"] > before["socket"]
        cancelled = (await client.delete("/federations/first")).json()
        assert cancelled["state"] == "cancelled"
        assert len(cancelled["rounds"]) < 5
        assert (await client.get("/federations/first")).status_code == 404
        second = await until(client, "second", lambda run: run["state"] == "finished")
        assert second == alone
        assert len(second["rounds"]) == 5
        assert not await until_gone(before)
        assert not list(tmp_path.iterdir())


def as_curl_reads(line: str) -> argparse.Namespace:
    """A command line of curl: method X, body d, and url."""
    curl = argparse.ArgumentParser("curl")
    curl.add_argument("-X", default="GET")
    curl.add_argument("-d")
    curl.add_argument("url")
    return curl.parse_args(shlex.split(line)[1:])


async def test_the_readme_s_requests_start_show_and_cancel_a_federation(application):
    (block,) = [text for language, text in blocks(EXAMPLE / "README.md") if language == "text"]
    assert "uvicorn.run(app, port=8000)" in (EXAMPLE / "app.py").read_text(encoding="utf-8")
    answers = []
    async with served(application) as client:
        for line in block.splitlines():
            given = as_curl_reads(line)
            answers.append(await client.request(given.X, given.url.removeprefix("localhost:8000"), content=given.d))
    assert [answer.status_code for answer in answers] == [201, 200, 200]
    assert answers[-1].json()["state"] == "cancelled"


async def test_the_application_s_end_cancels_what_runs(application, tmp_path):
    before = held()
    async with served(application) as client:
        await client.post("/federations/long", json=body(tmp_path, "long", pause_s=0.2))
        again = await client.post("/federations/long")
        assert again.status_code == 409
        task = application.state.runs["long"].task
        await asyncio.sleep(0)
    assert task.cancelled()
    assert not await until_gone(before)
