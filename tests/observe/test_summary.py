from __future__ import annotations

from pathlib import Path

from fedactors.observe.summary import summary
from fedactors.record import FinalModel, Results
from tests.observe.story import record


def test_a_summary_says_why_it_ended_what_it_reached_and_where_everything_is(tmp_path: Path) -> None:
    for name in ("results.json", "events.jsonl"):
        (tmp_path / name).touch()
    rounds = tuple(record(number, ["a"], 1_500_000, 6_000_000, duration_s=1.5) for number in (1, 2))
    final = FinalModel(2, {"accuracy": 0.95, "loss": 0.2}, "model.safetensors", "0123456789abcdef" * 4)
    assert summary(Results("digits", 7, "2 rounds are done", False, rounds, final), tmp_path).splitlines() == [
        "digits      finished: 2 rounds are done",
        "rounds      2 rounds in 3.5 s",
        "mean round  1.5 s  (dispatch 0.004 s, train 0.8 s, combine 0.002 s, evaluate 0.1 s)",
        "traffic     3.0 MB up, 12.0 MB down",
        "metrics     loss 0.2  accuracy 0.95",
        f"model       {tmp_path}/model.safetensors  (version 2, sha256 0123456789ab)",
        f"results     {tmp_path}/results.json",
        f"events      {tmp_path}/events.jsonl",
    ]


def test_a_run_without_a_round_has_a_summary_too(tmp_path: Path) -> None:
    said = summary(Results("digits", 7, "nobody came", True, (), None), tmp_path)
    assert said.splitlines() == ["digits  failed: nobody came", "rounds  0 rounds in 0 s"]
