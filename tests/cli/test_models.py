"""`fedactors models`, at runs that are over and at one that goes on."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from textwrap import dedent

import numpy as np
import pytest
import safetensors.numpy

from fedactors import Federation
from fedactors.journal import FileJournal, Opened
from tests.cli.steady import LEARNER, refused, said, up


def table(*arguments: object) -> list[str]:
    """Its head and its lines."""
    lines = said("models", *arguments).splitlines()
    assert max(map(len, lines)) <= 100
    return lines


@pytest.fixture(scope="module")
def run(place):
    return up(place, "run")


# ---------------------------------------------------------------------------------------------------------------- ls, get, diff


def test_versions_are_a_table_with_where_they_come_from(run):
    head, *lines = table("ls", run)
    assert head.split() == ["version", "round", "committed", "size", "digest", "learners", "metrics"]
    assert [line.split()[:2] for line in lines] == [["0", "-"], ["1", "1"], ["2", "2"]]
    assert lines[2].endswith("  2  mean 3")
    versions = json.loads(said("models", "ls", run, "--json"))
    part = {"num_examples": 10, "staleness": 0}
    assert versions[1]["facts"]["contributors"] == {"learner-0": part, "learner-1": part}
    assert len({version["digest"] for version in versions}) == 3


def test_a_version_is_a_file_that_is_not_written_over_unless_that_is_said(run, tmp_path):
    file = tmp_path / "model.safetensors"
    assert said("models", "get", run, "-o", file).startswith(f"version 2 is in {file}  (9 parameters, ")
    np.testing.assert_array_equal(safetensors.numpy.load_file(file)["layer.weight"], np.full((3, 2), 3, np.float32))
    assert "exists already; name another file, or write over it with --force" in refused(2, "models", "get", run, "-o", file)
    said("models", "get", run, "--version", 1, "-o", file, "--force")
    np.testing.assert_array_equal(safetensors.numpy.load_file(file)["layer.bias"], np.ones(3, np.float32))


def test_a_version_that_is_not_kept_is_an_error_that_names_those_that_are(run, tmp_path):
    wanted = refused(1, "models", "get", run, "--version", 7, "-o", tmp_path / "model")
    assert "no model of version 7" in wanted
    assert "kept are versions 0, 1, 2" in wanted
    assert not list(tmp_path.iterdir())


def test_two_versions_are_compared_tensor_by_tensor(run):
    head, bias, weight, total = table("diff", run, 1, 2)
    assert head.split("  ")[0] == "tensor"
    assert bias.split() == ["layer.bias", "float32[3]", "1", "1"]
    assert weight.split() == ["layer.weight", "float32[3,", "2]", "1", "0.5"]
    assert total.split() == ["all", "together", "9", "values", "1", "0.5774"]
    found = json.loads(said("models", "diff", run, 0, 1, "--json"))
    assert found["total"]["max_abs"] == 1.0
    assert found["tensors"][0] == {"name": "layer.bias", "dtype": "float32", "shape": [3], "max_abs": 1.0, "relative_l2": None}


@pytest.mark.parametrize("words", [["3"], ["run", "a", "b"], ["run", "1", "2", "3"]])
def test_a_comparison_needs_two_versions(words):
    assert "name a run and the numbers of two versions" in refused(2, "models", "diff", *words)


# ------------------------------------------------------------------------------------------------------------ initial = "file:"


@pytest.mark.parametrize("rule", ["fedavg", "scaffold"])
def test_a_federation_starts_from_a_version_of_another_one(place, rule):
    first = up(place, f"{rule}-1", f"aggregation.rule={rule}")
    said("models", "get", first, "--version", 1, "-o", place / f"{rule}.safetensors")
    second = up(place, f"{rule}-2", f"aggregation.rule={rule}", f"initial=file:{rule}.safetensors", "stop.rounds=1")
    for version in (0, 1):
        said("models", "get", second, "--version", version, "-o", place / f"{rule}-{version}.safetensors")
    given, started = (safetensors.numpy.load_file(place / f"{rule}{name}.safetensors") for name in ("", "-0"))
    assert list(given) == list(started) == ["layer.bias", "layer.weight"]
    for name, array in given.items():
        np.testing.assert_array_equal(started[name], array)
    trained = safetensors.numpy.load_file(place / f"{rule}-1.safetensors")
    np.testing.assert_allclose(trained["layer.bias"], given["layer.bias"] + 1)


# ------------------------------------------------------------------------------------------------------------- where they are not


def test_neither_or_both_of_a_run_and_an_address_are_refused(run):
    for words in ([], [run, "--address", "grpc://127.0.0.1:1"]):
        assert "name RUN, the directory of a run, or a controller with --address" in refused(2, "models", "ls", *words)


def test_a_directory_without_a_run_is_refused_and_left_alone(tmp_path):
    assert "there is no run in" in refused(2, "models", "ls", tmp_path)
    (tmp_path / "config.toml").write_text('name = "x"\n')
    assert "has no version: there is no model store in" in refused(1, "models", "ls", tmp_path)
    (tmp_path / "config.toml").write_text('name = "x"\n[store]\nurl = "memory://"\n')
    assert "kept its versions in memory, and they are gone; its last one is in" in refused(1, "models", "ls", tmp_path)
    (tmp_path / "config.toml").write_text('name = "x"\n[store]\nurl = "redis://127.0.0.1:1/0"\n')
    assert "has no journal to tell whether its controller is at work" in refused(1, "models", "ls", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_of_a_run_that_goes_on_its_controller_has_to_be_asked(run):
    plan = {"protocol.name": "synchronous", "aggregation.rule": "fedavg", "aggregation.combine": None}
    with closing(FileJournal(run / "journal", Opened("steady", 1, plan), resume=True)):
        assert "is going on; ask its controller with --address" in refused(1, "models", "ls", run)


async def test_a_controller_at_work_is_asked_for_what_it_keeps(place, tmp_path):
    config = {"learners": {"count": 1}, "stop": {"rounds": 3}, "aggregation": {"rule": "scaffold"}, "train": {"learning_rate": 1}}
    namespace: dict[str, type] = {}
    exec(dedent(LEARNER), namespace)
    at = ["--address", f"grpc://{tmp_path}/s.sock"]
    async with asyncio.timeout(60), Federation(config, addresses=[at[1]]) as federation:
        assert await asyncio.to_thread(said, "models", "ls", *at) == "there is no version yet\n"
        federation.add_learner(namespace["Steady"])
        await federation.run()
        lines = await asyncio.to_thread(table, "ls", *at)
        assert [line.split()[0] for line in lines] == ["version", "0", "1", "2", "3"]
        assert lines[-1].endswith("mean 4")
        await asyncio.to_thread(said, "models", "get", *at, "-o", tmp_path / "model")
        assert (await asyncio.to_thread(table, "diff", *at, 1, 2))[-1].startswith("all together")
        assert "no model of version 9" in await asyncio.to_thread(refused, 1, "models", "get", "--version", 9, *at, "-o", "x")
    assert sorted(safetensors.numpy.load_file(tmp_path / "model")) == ["layer.bias", "layer.weight"]
