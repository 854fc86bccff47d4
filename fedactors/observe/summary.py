"""The end of a run, on a few lines: why it ended, what it reached, where everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from statistics import fmean

from fedactors.observe.figures import counted, duration, metrics, size
from fedactors.record import Phases, Results, RoundRecord

SAVED = {"results": "results.json", "configuration": "config.toml", "events": "events.jsonl", "logs": "logs"}
"""What a run directory may hold beside the model."""


def summary(results: Results, run_dir: Path) -> str:
    """Stop reason, rounds, time, final metrics, each phase's mean, and the files that were saved: one line each."""
    rows = _rows(results, run_dir)
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in rows)


def _rows(results: Results, run_dir: Path) -> list[tuple[str, str]]:
    final = results.final
    rows = [(results.name, f"{'failed' if results.failed else 'finished'}: {results.stop_reason}")]
    rows.append(("rounds", f"{counted(len(results.rounds), 'round')} in {duration(_span_s(results.rounds))}"))
    if results.rounds:
        rows.append(("mean round", _means(results.rounds)))
        rows.append(("traffic", _traffic(results.rounds)))
    if final is not None and final.metrics:
        rows.append(("metrics", metrics(final.metrics)))
    if results.rounds and (epsilon := results.rounds[-1].epsilon) is not None:
        rows.append(("privacy", f"epsilon {epsilon:.4g} is spent, at the configuration's dp.delta"))
    if final is not None and final.model is not None:
        rows.append(("model", f"{run_dir / final.model}  (version {final.version}, sha256 {final.sha256[:12]})"))
    return rows + [(label, str(run_dir / name)) for label, name in SAVED.items() if (run_dir / name).exists()]


def _span_s(rounds: Sequence[RoundRecord]) -> float:
    """From the first round's beginning to the last commit, seconds."""
    if not rounds:
        return 0.0
    begun = [datetime.fromisoformat(record.started_at).timestamp() for record in rounds]
    return max(start + record.duration_s for start, record in zip(begun, rounds, strict=True)) - min(begun)


def _traffic(rounds: Sequence[RoundRecord]) -> str:
    up, down = (sum(getattr(record.totals, name) for record in rounds) for name in ("bytes_up", "bytes_down"))
    return f"{size(up)} up, {size(down)} down"


def _means(rounds: Sequence[RoundRecord]) -> str:
    total = duration(fmean(record.duration_s for record in rounds))
    phases = [
        f"{phase.name.removesuffix('_s')} {duration(fmean(getattr(record.phases, phase.name) for record in rounds))}"
        for phase in fields(Phases)
    ]
    return f"{total}  ({', '.join(phases)})"
