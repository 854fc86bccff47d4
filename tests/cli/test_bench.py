"""`fedactors bench aggregate`: a table of every rule, figures in a file, a comparison with an earlier run."""

import json

import pytest
from click.testing import CliRunner

from fedactors import plugins
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.lanes import IN_PLACE
from fedactors.aggregation.median import Median
from fedactors.cli import main
from fedactors.simulation import bandwidth
from fedactors.simulation.combining import measure

WIDTH_MAX = 105


@pytest.fixture(autouse=True)
def small_memory(monkeypatch):
    """The bandwidth of the smallest array that is read in stretches."""
    monkeypatch.setattr(bandwidth, "ELEMENTS", 2 * bandwidth.STRETCH)


def said(*arguments):
    done = CliRunner().invoke(main, ["bench", "aggregate", *arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output.splitlines()


def test_every_rule_has_a_line_that_fits_a_terminal():
    about, titles, *lines = said("--parameters", "1K", "--updates", "3")
    assert about.startswith("1,000 parameters; 2 threads")
    assert titles.split()[:3] == ["rule", "updates", "ms/update"]
    assert [line.split()[0] for line in lines] == plugins.names("fedactors.aggregation")
    assert max(map(len, [titles, *lines])) < WIDTH_MAX
    updates = {line.split()[0]: int(line.split()[1]) for line in lines}
    assert (updates["fedavg"], updates["bulyan"]) == (3, 7), "a rule that needs more updates gets more"


def test_figures_are_written_and_compared_with(tmp_path):
    file = tmp_path / "figures.json"
    arguments = ["--rule", "fedavg", "--parameters", "2K", "--updates", "4"]
    said(*arguments, "--json", str(file))
    (figures,) = json.loads(file.read_text())
    assert (figures["rule"], figures["parameters"], figures["updates"]) == ("fedavg", 2000, 4)
    figures["bytes_per_s"] = 7e9
    file.write_text(json.dumps([figures]))
    _, titles, line = said(*arguments, "--compare", str(file))
    assert titles.endswith("GB/s before")
    assert line.split()[-2:][0] == "7.0"
    assert len(titles) < WIDTH_MAX
    _, _, line = said(*arguments[:-1], "5", "--compare", str(file))
    assert len(line.split()) == 7, "another number of updates is another point"


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5M", "1G", "many"])
def test_a_number_of_parameters_that_is_none_is_refused(value):
    with pytest.raises(Exception, match="give one above 0, as in 1000, 250K or 1M"):
        said("--parameters", value)


def test_memory_is_counted_in_models_with_updates_and_result():
    """Of 20 updates: fedavg needs the one at hand, two levels of sums and the result; median all of them."""
    folding = measure("fedavg", FedAvg(), 1_000_000, 20, IN_PLACE, 1e10)
    assert folding.peak_models == pytest.approx(4.0, abs=0.4)
    assert folding.bandwidth_share == folding.bytes_per_s / 1e10
    keeping = measure("median", Median(), 500_000, 20, IN_PLACE, 1e10)
    assert 21 <= keeping.peak_models < 26, "all updates, the result and a block"
