"""docs/relays.md is played: a tree of processes, in which a relay is killed in the middle of a round."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.docs.test_code_blocks import ROOT, blocks, words
from tests.e2e.support import environment, events, interrupt, wait_for, wait_for_event

PAGE = ROOT / "docs" / "relays.md"
(COMMANDS,) = [text for language, text in blocks(PAGE) if language == "bash"]
(FEDERATION,) = [text for language, text in blocks(PAGE) if language == "toml"]
LEARNER = """
import time

import numpy as np


class Line:
    '''Slow enough to be caught at work; it has as many examples as its index says.'''

    def __init__(self, context):
        self.num_train_examples = 10 * (1 + context.index)

    def get_weights(self):
        return {"w": np.zeros(4, np.float32)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        time.sleep(0.2)
        return {"w": weights["w"] + 1}, {}

    def evaluate(self, weights, params):
        return {"w": float(weights["w"][0]), "num_examples": 1}
"""


@pytest.fixture
def start(tmp_path):
    """Starts a line of the page in a process that does not outlive the test; ports are sockets there, and waits are shorter."""
    (tmp_path / "line.py").write_text(LEARNER)
    (tmp_path / "federation.toml").write_text(FEDERATION + "\n[liveness]\nheartbeat_s = 0.2\nlost_after_s = 1.0\n")
    with ExitStack() as exits:

        def started(line: str) -> subprocess.Popen:
            command = [
                sys.executable,
                "-m",
                "fedactors",
                *words(line.replace("127.0.0.1:", f"{tmp_path}/").replace("--away-s 10", "--away-s 2")),
            ]
            said = exits.enter_context((tmp_path / f"{len(list(tmp_path.glob('*.out')))}.out").open("w"))
            process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=said, stderr=said)
            exits.callback(process.wait)
            exits.callback(process.kill)
            return process

        yield started


@pytest.mark.e2e
def test_a_relay_that_is_killed_costs_its_share_of_a_round_and_its_learners_go_elsewhere(start, tmp_path):
    run, lines = tmp_path / "runs" / "tree", COMMANDS.splitlines()
    processes = [start(line) for line in lines[:3]]
    wait_for(lambda: all((tmp_path / name).exists() for name in ("4450", "4451", "4452")), what="listening")
    processes += [start(line) for line in lines[3:]]
    _, victim, *_, driver = processes
    wait_for_event(run, "round_committed", round=2)
    begun = len([event for event in events(run) if event["kind"] == "round_began"])
    wait_for(lambda: len([event for event in events(run) if event["kind"] == "round_began"]) > begun, what="a round")
    victim.send_signal(signal.SIGKILL)
    wait_for_event(run, "learner_departed", learner="relay-0", how="lost")
    wait_for_event(run, "update_accepted", learner="relay-1", num_examples=100)
    interrupt(driver)
    assert [process.wait(timeout=20) for process in processes if process not in (victim, driver)] == [0] * 6

    ended = [event["record"] for event in events(run) if event["kind"] == "round_ended"]
    assert [record["round"] for record in ended] == list(range(1, len(ended) + 1)), "no round is lost"
    shares = [record["totals"]["examples"] for record in ended]
    assert (shares[0], min(shares), shares[-1]) == (100, 70, 100), "all four, those of relay-1 alone, and all four again"
    abandoned = [event["round"] for event in events(run) if event["kind"] == "round_abandoned"]
    assert set(abandoned) <= {len(ended) + 1}, "but that which the driver was stopped in"
    assert len([record for record in ended if "relay-0" in record["cohort"] and record["totals"]["accepted"] == 1]) <= 1
