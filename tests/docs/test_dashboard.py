"""docs/dashboard.md is played: its pages are served, say what they are said to say, and ask who wants in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from fedactors.dashboard.app import WORD
from fedactors.dashboard.where import HOST, PORT, Where
from tests.cli.steady import fedactors, said
from tests.docs.test_code_blocks import ROOT, blocks, parsed, words
from tests.docs.test_operating import ENDLESS
from tests.e2e.support import free_port, interrupt, started, wait_for, wait_for_event

pytestmark = pytest.mark.e2e

PAGE = ROOT / "docs" / "dashboard.md"
FIRST, LATER, GUARDED = [text.splitlines() for language, text in blocks(PAGE) if language == "bash"]
_, WITH_DASHBOARD = FIRST
OF_RUN, AT_ADDRESS = LATER
OPERATOR, OBSERVER, WITH_TOKENS = GUARDED


@contextmanager
def visitor(port: int, token: str = "") -> Iterator[httpx.Client]:
    """A browser that has come to the page, and has logged in if it has a token."""
    with httpx.Client(base_url=f"http://{HOST}:{port}", follow_redirects=True) as browser:
        wait_for(lambda: answers(browser), what="the page")
        if token:
            browser.post("/login", data={"token": token}, headers={"origin": str(browser.base_url)})
        yield browser


def answers(browser: httpx.Client) -> bool:
    try:
        return browser.get("/login").is_success
    except httpx.TransportError:
        return False


def order(browser: httpx.Client, verb: str) -> int:
    """What comes of a button: the status of the answer."""
    headers = {"origin": str(browser.base_url), WORD: browser.get("/api/me").json()["word"]}
    return browser.post("/api/order", json={"verb": verb}, headers=headers).status_code


def test_the_page_of_a_run_stops_it_and_shows_it_afterwards(place):
    run, port = place / "runs" / "digits", free_port()
    line = words(WITH_DASHBOARD, {"--dashboard": f"--dashboard {HOST}:{port}"})
    bounded = ["--in-process", "--quiet", "--set", "stop.duration_s=30", "--run-dir", run]
    with ThreadPoolExecutor(1) as beside:
        visit = beside.submit(stopped_on_the_page, run, port)
        done = fedactors(*line, *ENDLESS, *bounded)
        visit.result()
    assert done.stderr.startswith(f"dashboard: http://{HOST}:{port}/\n")
    later = [*words(OF_RUN, {"runs/digits-20260101-120000": str(run)}), "--at", str(port)]
    with started(*later, cwd=place, name="later") as process, visitor(port) as browser:
        assert first_news(browser)["note"] == "finished: stop on the dashboard"
        assert not browser.get("/api/me").json()["may_order"]
        interrupt(process)
        assert process.wait(timeout=20) == 0


def stopped_on_the_page(run: Path, port: int) -> None:
    """By its button, once the run has come to something."""
    with visitor(port) as browser:
        wait_for_event(run, "round_committed")
        assert "<title>" in browser.get("/").text
        assert browser.get("/api/me").json()["may_order"]
        assert order(browser, "stop") == 204


def first_news(browser: httpx.Client) -> dict:
    """How the run stands, as a browser is told it first."""
    with browser.stream("GET", "/api/events") as answer, closing(answer.iter_lines()) as lines:
        return json.loads(next(line for line in lines if line.startswith("data: {")).removeprefix("data: "))


def test_who_may_look_and_who_may_order_is_said_by_tokens(place):
    run, at, page, elsewhere = place / "run", free_port(), free_port(), free_port()
    observer, operator = said(*words(OBSERVER)).strip(), said(*words(OPERATOR)).strip()
    line = words(WITH_TOKENS, {"0.0.0.0:4460": f"{HOST}:{page}"})
    here = ["--set", f"controller.address=grpc://{HOST}:{at}", "--run-dir", run]
    with started(*line, *ENDLESS, *here, cwd=place, name="up") as process:
        with visitor(page) as stranger, visitor(page, observer) as otto, visitor(page, operator) as olga:
            assert stranger.get("/").url.path == "/login"
            assert stranger.get("/api/events").status_code == 401
            assert (first_news(otto)["name"], order(otto, "pause")) == ("line", 403)
            wait_for_event(run, "round_committed")
            from_elsewhere(place, at, elsewhere)
            assert order(olga, "stop") == 204
        assert process.wait(timeout=20) == 0


def from_elsewhere(place: Path, at: int, port: int) -> None:
    """The page of a controller at its address; Ctrl-C closes it, and the run does not notice."""
    line = words(AT_ADDRESS, {"127.0.0.1:4450": f"{HOST}:{at}", "--at 8080": f"--at {port}"})
    with started(*line, cwd=place, name="elsewhere") as process, visitor(port) as browser:
        assert first_news(browser)["name"] == "line"
        interrupt(process)
        assert process.wait(timeout=20) == 0


def test_where_no_place_is_named_the_page_is_where_it_is_said_to_be():
    given = parsed(words(WITH_DASHBOARD)).params["dashboard"]
    assert (Where.parse(given).host, Where.parse(given).port) == (HOST, PORT)
    assert f"`http://{HOST}:{PORT}/`" in PAGE.read_text(encoding="utf-8")
    assert words(WITH_TOKENS)[3].endswith(f":{PORT}")
    with pytest.raises(Exception, match="--dashboard-tokens"):
        Where.parse(words(WITH_TOKENS)[3])
