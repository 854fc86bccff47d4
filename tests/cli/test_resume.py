"""`--resume`: what it goes on with, and what it refuses."""

from __future__ import annotations

import json

import pytest

from tests.cli.steady import fedactors, said, up

SEED = "was begun with seed = 1; it cannot go on with 9"
STORE = "knows version 2; name the run's own store"


def state(run):
    (found,) = json.loads(said("runs", "ls", run, "--json"))
    return found["state"], found["rounds"], found["rounds_total"]


@pytest.mark.parametrize("verb", ["up", "controller"])
def test_settings_that_are_refused_leave_no_trace(place, verb):
    run = up(place, f"refused-by-{verb}")
    configured = (run / "config.toml").read_text()
    address = ["--address", f"grpc://{run}/s.sock"] if verb == "controller" else []
    for setting, why in {"seed=9": SEED, "store.url=memory://": STORE}.items():
        result = fedactors(verb, "--resume", run, "--set", setting, *address)
        assert result.exit_code == 1
        assert why in result.stderr
        assert (run / "config.toml").read_text() == configured
    assert state(run) == ("finished", 2, 2)


def test_a_finished_run_goes_on_with_more_rounds(place):
    run = up(place, "extended")
    assert "finished: round 2 is committed, the last of 2" in said("up", "--resume", run, "--in-process", "-q")
    said("up", "--resume", run, "--in-process", "-q", "--set", "stop.rounds=4")
    assert state(run) == ("finished", 4, 4)
    versions = json.loads(said("models", "ls", run, "--json"))
    assert [version["facts"].get("round") for version in versions] == [None, 1, 2, 3, 4]
    said("up", "--resume", run, "--in-process", "-q")
    assert state(run) == ("finished", 4, 4)
