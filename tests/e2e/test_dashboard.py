"""The dashboard in a browser: one run, from its first rounds to its end by the page's own button."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.e2e.support import project, results, started, wait_for

pytestmark = pytest.mark.e2e

CONFIG = """
    name = "steady"
    seed = 1

    [learners]
    entry = "learner.py:Steady"
    count = 3
    options = { sleep_s = 0.1 }

    [stop]
    rounds = 10_000
"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
PATIENCE_MS = 20_000
"""A browser on a busy machine; on a quiet one the whole test takes a few seconds."""
PHONE = {"width": 390, "height": 844}


def browser() -> str:
    """The browser of this machine."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert found, f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium"
    return found


def url_of(output) -> str:
    """Of the page, as the command line says it."""
    said = wait_for(lambda: re.search(r"^dashboard: (\S+)$", output.read_text(), re.MULTILINE), what="the page's URL")
    return said[1]


def test_a_browser_sees_rounds_as_they_go_and_stops_the_run(tmp_path):
    path, heard = project(tmp_path, CONFIG), []
    expect.set_options(timeout=PATIENCE_MS)
    with (
        started("up", path, "--in-process", "--run-dir", "run", "--dashboard", "0", cwd=tmp_path) as process,
        sync_playwright() as play,
        play.chromium.launch(executable_path=browser(), args=SETTINGS) as chromium,
    ):
        page = chromium.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.goto(url_of(tmp_path / "fedactors.out"))
        expect(page.locator("#name")).to_have_text("steady")
        expect(page.locator("#state")).to_have_text(re.compile(r"training round \d+"))
        expect(page.locator("#learners tbody tr")).to_have_count(3)
        expect(page.locator("#metrics [role=img][aria-label^='mean by round'] svg").first).to_be_visible(timeout=10_000)
        expect(page.locator("#timeline svg").first).to_be_visible()

        seen = page.locator("#rounds").inner_text()
        expect(page.locator("#rounds")).not_to_have_text(seen)

        page.locator("#pause").click()
        expect(page.locator("#state")).to_have_text("paused")
        page.locator("#pause").click()
        expect(page.locator("#state")).not_to_have_text("paused")

        with page.expect_download() as download:
            page.locator("#versions a").first.click()
        assert download.value.suggested_filename.endswith(".safetensors")

        page.set_viewport_size(PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "a phone need not scroll sideways"

        page.locator("#stop").click()
        page.locator("#confirm-stop").click()
        expect(page.locator("#state")).to_have_text("finished: stop on the dashboard")
        expect(page.locator("#live")).to_contain_text("the end")
        assert process.wait(timeout=20) == 0
    assert heard == []
    assert results(tmp_path / "run")["stop_reason"] == "stop on the dashboard"
