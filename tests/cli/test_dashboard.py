"""`fedactors dashboard` and `--dashboard`: what is refused, and a page that is served."""

from __future__ import annotations

import importlib.util
import re
import signal
import urllib.error
import urllib.request

import pytest

from fedactors.cli.beside import pages
from fedactors.errors import ConfigError
from fedactors.system import Federation
from tests.cli.steady import refused, up
from tests.e2e.support import started, wait_for


def test_a_page_that_others_can_reach_is_refused_without_tokens(place):
    said = refused(3, "up", place / "federation.toml", "--in-process", "--dashboard", "0.0.0.0:0")
    assert "whoever reaches the page can stop the run: have them log in by --dashboard-tokens FILE" in said


def test_a_file_that_was_meant_as_the_federation_s_is_no_place(place):
    said = refused(3, "up", "--dashboard", place / "federation.toml", "x.toml")
    assert "write HOST:PORT, or PORT, or nothing behind FILE" in said


@pytest.mark.parametrize(("how", "said"), [("token", "there is no list of tokens"), ("certificate", "name a list of tokens")])
async def test_the_page_is_no_way_around_the_controller_s_own_credentials(tmp_path, how, said):
    async with Federation({"name": "x"}) as federation:
        access = federation.config.access.model_copy(update={"operators": how})
        federation.config = federation.config.model_copy(update={"access": access, "base_dir": tmp_path})
        with pytest.raises(ConfigError, match=said):
            await pages("0", None, None)(federation).__aenter__()


@pytest.mark.parametrize(("option", "package"), [("dashboard", "uvicorn"), ("metrics", "prometheus_client")])
def test_without_the_extra_one_line_says_which(place, monkeypatch, option, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else name)
    said = refused(2, "up", place / "federation.toml", "--in-process", f"--{option}", "0")
    assert f"pip install 'fedactors[{option}]'" in said


def test_a_run_and_an_address_are_one_too_many(place):
    assert "one of the two" in refused(2, "dashboard")
    assert "one of the two" in refused(2, "dashboard", place, "--address", "grpc://127.0.0.1:1")
    assert "there is no run in" in refused(2, "dashboard", place / "nowhere", "--at", "0")


@pytest.mark.e2e
def test_a_finished_run_is_served_until_ctrl_c(place):
    run = up(place, "served")
    with started("dashboard", run, "--at", "0", cwd=place, name="page") as process:
        said = wait_for(lambda: re.match(r"(http://\S+)  \(Ctrl-C closes it\)", (place / "page.out").read_text()))
        with urllib.request.urlopen(said[1] + "api/events", timeout=10) as events:
            assert b'"note":"finished: round 2 is committed' in events.read()
        with pytest.raises(urllib.error.HTTPError, match="421"):
            urllib.request.urlopen(urllib.request.Request(said[1], headers={"host": "evil.example"}), timeout=10)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
