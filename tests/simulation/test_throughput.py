from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from fedactors import plugins
from fedactors.cli import main
from fedactors.simulation.throughput import measure


@pytest.mark.parametrize("name", plugins.names("fedactors.scheduling"))
def test_every_protocol_is_kept_busy_to_the_last_event(name):
    figures = measure(name, plugins.build("fedactors.scheduling", name, {}), learners=20, events=2_000)
    assert figures.events == 2_000
    assert figures.commands > 1_000
    assert figures.rounds > 10
    assert figures.seconds > 0
    assert 0 < figures.bytes_per_learner < 20_000


def test_a_synchronous_round_takes_two_events_for_each_learner_and_two_more():
    figures = measure("synchronous", plugins.build("fedactors.scheduling", "synchronous", {}), learners=49, events=10_000)
    assert figures.rounds == pytest.approx(10_000 / (2 * 49 + 2), abs=2)


def test_figures_are_written_and_compared_with(tmp_path):
    file = tmp_path / "figures.json"
    arguments = ["bench", "scheduler", "--protocol", "synchronous", "--learners", "5", "--events", "500"]
    CliRunner().invoke(main, [*arguments, "--json", str(file)], standalone_mode=False, catch_exceptions=False)
    (figures,) = json.loads(file.read_text())
    assert (figures["protocol"], figures["learners"], figures["events"]) == ("synchronous", 5, 500)
    done = CliRunner().invoke(main, [*arguments, "--compare", str(file)], standalone_mode=False, catch_exceptions=False)
    assert "events/s before" in done.output
