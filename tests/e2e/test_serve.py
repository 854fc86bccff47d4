"""`fedactors serve`: three federations in a real process, of which two come to grief; kill -9, and the same command again."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from textwrap import dedent

import pytest

from fedactors.driver.saved_runs import State, look
from tests.e2e.support import STEADY, events, fedactors, interrupt, results, started, wait_for

pytestmark = pytest.mark.e2e

ROUNDS = 30


@pytest.fixture
def place(tmp_path):
    """A directory with three federations: one is well, one is misspelt, and one has a store on a disk that is full."""
    (tmp_path / "learner.py").write_text(dedent(STEADY))
    (tmp_path / "federations" / "full").mkdir(parents=True)
    for name, file, store in (
        ("good", "good.toml", ""),
        ("misspelt", "misspelt.toml", "stop.roundz = 3"),
        ("full", "full/federation.toml", "store = { url = 'file:///dev/full/store' }"),
    ):
        text = f"""
            name = "{name}"
            seed = 1
            controller.address = "grpc://{tmp_path}/{name}.sock"
            learners = {{ entry = "{tmp_path}/learner.py:Steady", options = {{ sleep_s = 0.03 }} }}
            stop.rounds = {ROUNDS}
            {store}
            """
        (tmp_path / "federations" / file).write_text(dedent(text))
    return tmp_path


def ls(place):
    """How each federation stands."""
    done = fedactors("federations", "ls", "--json", "--address", f"grpc://{place}/desk.sock", cwd=place)
    assert done.returncode == 0, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)}


def test_one_of_three_is_well_goes_on_after_a_kill_and_comes_to_its_end(place):
    good, serve = place / "runs" / "good", ("serve", "federations", "--admin", f"grpc://{place}/desk.sock")
    with ExitStack() as exits:
        first = exits.enter_context(started(*serve, cwd=place, name="first"))
        learner = exits.enter_context(started("learner", "federations/good.toml", "--id", "anna", cwd=place, name="learner"))
        wait_for(lambda: sum(event["kind"] == "round_committed" for event in events(good)) > 3, what="rounds")
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert look(good).state is State.RESUMABLE
        second = exits.enter_context(started(*serve, cwd=place, name="second"))
        assert learner.wait(30) == 0
        wait_for(lambda: look(good).state is State.FINISHED, what="the end")
        told = ls(place)
        interrupt(second)
        assert second.wait(20) == 1, "two have failed"
    assert {name: one["condition"] for name, one in told.items()} == {"good": "finished", "misspelt": "failed", "full": "failed"}
    assert told["good"]["rounds"] == ROUNDS == len(results(good)["rounds"])
    assert "federations/misspelt.toml:7: [stop] has no key 'roundz'; did you mean 'rounds'?" in told["misspelt"]["why"]
    assert "/dev/full/store" in told["full"]["why"]
    assert sum(event["kind"] == "resumed" for event in events(good)) == 1
    *_, last = (place / "second.out").read_text().partition("federation  state")
    assert [line.split()[:3] for line in last.splitlines()[1:] if line.startswith(("full", "good", "misspelt"))] == [
        ["full", "failed", "0/30"],
        ["good", "finished", "30/30"],
        ["misspelt", "failed", "0"],
    ]
    lines = [json.loads(line) for line in (good / "logs" / "controller.jsonl").read_text().splitlines()]
    assert {"joined", "order", "round_committed", "federation_finished"} <= {line["event"] for line in lines}
    assert {line["federation"] for line in lines} == {"good"}
