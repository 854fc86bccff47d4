from __future__ import annotations

import pytest

from fedactors.observe import figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"), (0.00123, "0.0012 s"), (0.21, "0.21 s"), (0.999, "1.0 s"), (2.06, "2.1 s"), (9.94, "9.9 s"), (9.96, "10 s"),
        (59.4, "59 s"), (59.6, "1 min 00 s"), (65, "1 min 05 s"), (3599.6, "1 h 00 min"), (7620, "2 h 07 min"),
    ],
)  # fmt: skip
def test_a_duration_has_two_figures(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (437_544, "438 kB"), (999_600, "1.0 MB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")],
)
def test_a_size_has_its_unit(nbytes: float, text: str) -> None:
    assert figures.size(nbytes) == text


def test_metrics_begin_with_the_loss_and_end_with_the_count_of_the_rest() -> None:
    assert figures.metrics({"accuracy": 0.91337, "loss": 0.5}) == "loss 0.5  accuracy 0.9134"
    assert figures.metrics({f"m{number}": 1.0 for number in range(8)}).endswith("m5 1  (and 2 more)")
    assert figures.metrics({"loss": float("nan")}) == "loss nan"
    assert figures.metrics({}) == ""
