"""A run's figures as curves, and that TensorBoard reads what was written."""

from __future__ import annotations

import dataclasses
import math
import struct

import numpy as np
import pytest

from fedactors.observe.scalars import scalars, train_metrics
from fedactors.observe.tensorboard import TensorBoardWriter
from fedactors.record import LearnerRecord, Totals
from fedactors.task import METRICS_MAX
from tests.observe.story import Story, record, whole_run


def figures(event) -> dict[str, float]:
    return {point.name: point.value for point in scalars(event)}


def ended(**changes):
    return Story().event("round_ended", record=dataclasses.replace(record(3, ["a"]), **changes).to_map())


def test_a_round_s_end_adds_its_metrics_times_traffic_and_counts():
    events = whole_run()
    (last,) = [event for event in events if event.kind == "round_ended" and event.body["record"]["round"] == 2]
    assert figures(last) == {
        "metrics/loss": 0.25,
        "metrics/accuracy": 0.75,
        "seconds/dispatch": 0.004,
        "seconds/train": 0.8,
        "seconds/combine": 0.002,
        "seconds/evaluate": 0.1,
        "seconds/round": 1.0,
        "bytes/up": 12_000,
        "bytes/down": 12_000,
        "updates/accepted": 2,
        "updates/refused": 0,
        "updates/examples": 0,
    }
    assert {(point.step, point.unix_time_s) for point in scalars(last)} == {(2, last.unix_time_s)}
    assert sum(bool(scalars(event)) for event in events) == 2


def test_refusals_are_told_by_reason_and_privacy_where_it_is_accounted():
    found = figures(ended(totals=Totals(refused={"late": 2, "layout": 1}), epsilon=1.5))
    assert (found["updates/refused"], found["refused/late"], found["refused/layout"]) == (3, 2, 1)
    assert found["privacy/epsilon"] == 1.5


def part(examples: int, refused: str | None = None, **metrics: float) -> LearnerRecord:
    return LearnerRecord(examples=examples, bytes_up=1, train_metrics=metrics, refused=refused)


def test_losses_of_training_are_weighted_by_the_examples_of_updates_that_count():
    parts = {"b": part(30, loss=1.0), "a": part(10, loss=3.0, extra=7.0), "c": part(1000, "late", loss=99.0)}
    assert train_metrics(parts) == {"loss": 1.5, "extra": 7.0}
    assert figures(ended(learners=parts))["train/loss"] == 1.5
    assert train_metrics({"a": part(0, loss=1.0), "b": part(0, loss=2.0)}) == {"loss": 1.5}
    assert math.isnan(train_metrics({"a": part(1, loss=math.nan)})["loss"])


def test_learners_cannot_make_curves_without_end():
    parts = {f"l{n}": part(1, **{f"m{n}-{k}": 0.0 for k in range(METRICS_MAX)}) for n in range(3)}
    assert len(train_metrics(parts)) == METRICS_MAX


def every_name() -> set[str]:
    """Of a round that has something of everything."""
    totals = Totals(refused={"late": 1})
    return set(figures(ended(learners={"a": part(1, loss=1.0)}, metrics={"loss": 1.0}, totals=totals, epsilon=1.0)))


def masked_crc(data: bytes) -> int:
    """CRC-32C, bit by bit, rotated and offset as the record format has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data: bytes):
    while data:
        (length,), (crc,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        assert crc == masked_crc(data[:8])
        body, (crc,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert crc == masked_crc(body)
        yield body
        data = data[16 + length :]


def written(directory, events):
    writer = TensorBoardWriter(directory)
    for event in events:
        writer(event)
    writer.close()


def test_every_scalar_is_read_back_from_the_event_file(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event as FileEvent

    events = whole_run()
    written(tmp_path / "curves", events)
    (file,) = (tmp_path / "curves").iterdir()
    head, *rest = map(FileEvent.FromString, records(file.read_bytes()))
    assert (head.file_version, "tfevents" in file.name) == ("brain.Event:2", True)
    found = [(one.summary.value[0].tag, one.summary.value[0].simple_value, one.step, one.wall_time) for one in rest]
    points = [point for event in events for point in scalars(event)]
    assert len(points) == 24
    assert found == [(p.name, float(np.float32(p.value)), p.step, p.unix_time_s) for p in points]


def test_tensorboard_itself_shows_the_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    written(tmp_path, whole_run(rounds=3))
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in shown.Scalars("metrics/accuracy")] == [
        (step, pytest.approx(1 - 0.5 / step)) for step in (1, 2, 3)
    ]
    assert len(shown.Tags()["scalars"]) == 12


def test_a_round_is_in_the_file_at_once(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    (file,) = tmp_path.iterdir()
    before = file.stat().st_size
    writer(ended(metrics={"loss": 0.5}))
    assert before > 0
    assert b"metrics/loss" in file.read_bytes()[before:]
    writer.close()
