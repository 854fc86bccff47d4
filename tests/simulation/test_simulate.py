from __future__ import annotations

import json
import signal
import time
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from fedactors import config as configuration
from fedactors.cli import main
from fedactors.cli.exit_codes import ExitCode
from fedactors.cli.progress import ProgressLine
from fedactors.simulation import simulate
from fedactors.simulation.comparison import Curve
from fedactors.simulation.costs import Progress
from fedactors.simulation.population import Population

ALIKE = Population(epoch_s=10.0, spread=0.0, delay_s=1.0, examples_min=100, examples_max=100)


def config(**tables):
    return configuration.from_mapping({"seed": 5, "learners": {"count": 4}, "stop": {"rounds": 3}, **tables})


class Steps:
    """Adds one to its weight; a share of them is what it reports as accuracy."""

    num_train_examples = num_test_examples = 10

    def __init__(self, context):
        self.context = context

    def get_weights(self):
        return {"w": np.zeros(1)}

    def set_weights(self, weights):
        pass

    def train(self, weights, params):
        return {"w": weights["w"] + 1}, {}

    def evaluate(self, weights, params):
        return {"accuracy": weights["w"][0] / 10}


def test_a_round_takes_as_long_as_its_slowest_learner_with_its_way():
    simulated = simulate(config(), ALIKE)
    assert [record.duration_s for record in simulated.results.rounds] == pytest.approx([12.0, 14.0, 14.0])
    assert len(simulated.results.rounds) == 3


def test_stragglers_make_every_synchronous_round_slow():
    stragglers = Population(epoch_s=10.0, spread=0.0, delay_s=1.0, straggler_fraction=0.25, straggler_factor=5.0)
    assert simulate(config(), stragglers).results.rounds[0].duration_s == pytest.approx(52.0)


def test_a_simulation_is_the_same_each_time_it_is_run():
    population = Population(straggler_fraction=0.3, failure_rate=0.2)
    one, two = (simulate(config(stop={"rounds": 10}), population) for _ in range(2))
    assert one.results == two.results
    assert (one.virtual_s, one.costs.messages) == (two.virtual_s, two.costs.messages)


def test_a_day_passes_in_seconds():
    began_s = time.perf_counter()
    simulated = simulate(config(stop={"duration_s": 86_400.0}), Population(epoch_s=600.0))
    assert simulated.virtual_s >= 86_400.0
    assert time.perf_counter() - began_s < 60


def test_learners_that_vanish_come_back_and_the_run_reaches_its_end():
    simulated = simulate(config(stop={"rounds": 30}), Population(failure_rate=0.4, away_s=60.0))
    assert not simulated.results.failed
    assert simulated.results.rounds[-1].round == 30
    cohorts = {len(record.cohort) for record in simulated.results.rounds}
    assert len(cohorts) > 1, "some rounds were without those who had vanished"


def test_learners_really_train_where_an_entry_is_given():
    simulated = simulate(config(), ALIKE, entry=Steps)
    assert [record.metrics["accuracy"] for record in simulated.results.rounds] == pytest.approx([0.1, 0.2, 0.3])


def test_a_curve_tells_when_a_target_was_reached():
    curve = Curve.of("synchronous", simulate(config(), ALIKE, entry=Steps), "accuracy")
    first, second, _ = curve.points
    assert curve.reached_s(0.15) == second[0] > first[0] > 0
    assert curve.reached_s(0.9) is None
    assert curve.reached_s(0.1, "min") == first[0]


def test_half_a_thousand_learners_take_part():
    simulated = simulate(config(learners={"count": 500}, stop={"rounds": 2}), Population())
    assert {len(record.cohort) for record in simulated.results.rounds} == {500}


def test_the_population_is_drawn_as_it_is_described():
    profiles = Population(epoch_s=10.0, spread=0.3, straggler_fraction=0.2, straggler_factor=4.0).draw(20_000, seed=1)
    assert profiles.stragglers.sum() == 4_000
    assert np.median(profiles.epoch_s[~profiles.stragglers]) == pytest.approx(10.0, rel=0.02)
    assert np.median(profiles.epoch_s[profiles.stragglers]) == pytest.approx(40.0, rel=0.02)
    assert np.log(profiles.epoch_s[~profiles.stragglers]).std() == pytest.approx(0.3, rel=0.03)
    assert profiles.examples.min() >= 50
    assert profiles.examples.max() <= 500


@pytest.mark.parametrize(
    ("protocol", "rounds", "updates"),
    [
        ({"name": "synchronous"}, 3, 12),
        ({"name": "semi_synchronous"}, 3, 12),
        ({"name": "asynchronous"}, 10, 10),
        ({"name": "buffered", "options": {"updates": 3}}, 4, 12),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else None,
)
def test_a_run_stops_by_the_number_of_updates_whatever_the_protocol(protocol, rounds, updates):
    results = simulate(config(protocol=protocol, stop={"updates": 10}), Population()).results
    assert not results.failed
    assert results.stop_reason == f"{updates} updates are combined in {rounds} rounds; the limit is 10"
    assert (len(results.rounds), sum(record.totals.accepted for record in results.rounds)) == (rounds, updates)


@pytest.mark.parametrize("protocol", ["synchronous", "semi_synchronous", "asynchronous", "buffered"])
def test_more_learners_than_are_told_of_one_by_one_give_the_same_run(protocol):
    population = Population(failure_rate=0.1, away_s=30.0)
    tables = {"learners": {"count": 20}, "protocol": {"name": protocol}, "stop": {"updates": 100}}
    told, untold = (
        simulate(config(**tables, limits={"detail_learners_max": limit}), population).results.rounds for limit in (20, 1)
    )
    assert [record.totals for record in told] == [record.totals for record in untold]
    assert [(record.started_at, record.duration_s, record.phases) for record in told] == [
        (record.started_at, record.duration_s, record.phases) for record in untold
    ]
    assert all(len(record.cohort) == record.totals.learners for record in told)
    assert all(not record.cohort and not record.learners for record in untold if record.totals.learners > 1)


def test_of_a_large_round_no_learner_has_events_of_its_own():
    kinds = Counter[str]()
    tables = {"learners": {"count": 20}, "stop": {"rounds": 3}, "limits": {"detail_learners_max": 19}}
    simulate(config(**tables), ALIKE, observers=[lambda event: kinds.update([event.kind])])
    assert kinds["learner_joined"] == 20
    assert (kinds["update_accepted"], kinds["learner_evaluated"]) == (0, 0)
    assert (kinds["round_began"], kinds["round_committed"], kinds["round_ended"]) == (3, 3, 3)


def test_who_watches_sees_the_progress_and_can_end_the_simulation_with_what_there_is():
    seen = []

    def watch(progress):
        seen.append(progress)
        return progress.rounds < 3

    simulated = simulate(config(learners={"count": 500}, stop={"rounds": 1_000_000}), ALIKE, watch=watch)
    assert simulated.results.failed
    assert simulated.results.stop_reason == "interrupted"
    assert len(simulated.results.rounds) >= 2
    assert seen[-1].updates == 500 * seen[-1].rounds
    assert [progress.virtual_s for progress in seen] == sorted(progress.virtual_s for progress in seen)


def test_what_a_simulation_cost_is_told():
    simulated = simulate(config(), ALIKE)
    assert simulated.updates == 12
    assert 0 < simulated.costs.events < simulated.costs.messages
    assert simulated.costs.messages_per_s > simulated.costs.events_per_s > 0
    assert simulated.costs.peak_bytes > 10_000_000
    assert simulated.costs.learner_bytes >= 0


def test_the_command_line_shows_a_table_and_writes_figures_and_a_plot(tmp_path):
    path = tmp_path / "federation.toml"
    path.write_text('seed = 1\n[learners]\nentry = "learner.py:Steps"\ncount = 3\n[stop]\nrounds = 2\n')
    (tmp_path / "learner.py").write_text("")
    plot, figures = tmp_path / "plot.png", tmp_path / "figures.json"
    arguments = ["simulate", str(path), "--idle", "--learners", "20", "--plot", str(plot), "--json", str(figures)]
    done = CliRunner().invoke(main, arguments, standalone_mode=False, catch_exceptions=False)
    assert "20 virtual learners" in done.output
    (measured,) = json.loads(figures.read_text())
    assert (measured["federation"], measured["rounds"]) == ("federation", 2)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_more_learners_than_connections_are_allowed_take_part_in_a_simulation(tmp_path):
    path = tmp_path / "federation.toml"
    path.write_text("seed = 1\n[learners]\ncount = 3\n[limits]\nlearners_max = 4\n[stop]\nrounds = 1\n")
    done = CliRunner().invoke(main, ["simulate", str(path), "--learners", "6"], standalone_mode=False, catch_exceptions=False)
    assert "6 virtual learners" in done.output
    assert "bytes/learner" in done.output
    assert done.return_value is None


def test_ctrl_c_ends_a_simulation_with_what_there_is(tmp_path, monkeypatch):
    path, figures = tmp_path / "federation.toml", tmp_path / "figures.json"
    path.write_text("seed = 1\n[learners]\ncount = 100\n[stop]\nrounds = 1_000_000\n")
    goes_on = ProgressLine.__call__

    def interrupted(line, progress):
        if progress.rounds and not line.interrupted:
            signal.raise_signal(signal.SIGINT)
        return goes_on(line, progress)

    monkeypatch.setattr(ProgressLine, "__call__", interrupted)
    done = CliRunner().invoke(main, ["simulate", str(path), "--json", str(figures)], catch_exceptions=False)
    assert done.exit_code == ExitCode.INTERRUPTED
    (measured,) = json.loads(figures.read_text())
    assert (measured["stop_reason"], measured["rounds"] > 0) == ("interrupted", True)


def test_the_second_ctrl_c_is_pythons(capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has background work ignore it
    with ProgressLine("digits", 10) as line:
        assert line(Progress(1, 4, 60.0, 1.0))
        signal.raise_signal(signal.SIGINT)
        assert not line(Progress(1, 4, 60.0, 1.0))
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capsys.readouterr().err == "", "stderr is no terminal, and ten seconds have not passed"


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr("fedactors.cli.progress.LINE_EVERY_S", 0.0)
    with ProgressLine("digits", 10) as line, ProgressLine("quiet", None, quiet=True) as quiet:
        line(Progress(1, 4, 60.0, 1.0))
        quiet(Progress(1, 4, 60.0, 1.0))
    assert capsys.readouterr().err == "digits: 1/10 rounds, 4 updates, 1 min 00 s of virtual time in 1.0 s\n"
