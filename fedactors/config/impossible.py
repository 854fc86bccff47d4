"""Combinations that are well written and cannot work."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from fedactors.aggregation import Weighting
from fedactors.config import listening, unsound, unsound_compression, unsound_secure, unsound_shards
from fedactors.config.plugging import Key, slots
from fedactors.config.tables import Config
from fedactors.config.training_tables import OpenTable
from fedactors.config.unsound_dp import problems as problems_of_dp
from fedactors.config.unsound_masking import problems as problems_of_masking
from fedactors.errors import ConfigError
from fedactors.plugins import as_written

MISSPELT = 0.85
"""A key of [train] or [evaluate] this near to a known one (difflib's ratio) is taken for a slip, not for a learner's option."""


def problems(config: Config, *, listens: bool = True) -> Iterator[tuple[Key, str]]:
    """Everything that keeps this configuration from running: (key, sentence with the remedy) pairs.

    Args:
        config: to look at.
        listens: whoever reads it runs a controller, for which more has to be at hand than for a client of one.

    Raises:
        ExtraMissing: a plug-in needs a package that is not installed.
    """
    yield from _store(config)
    for slot in slots(config).values():
        yield from slot.problems()
    yield from _weighting(config)
    yield from unsound.problems(config)
    yield from problems_of_dp(config)
    yield from unsound_compression.problems(config)
    yield from unsound_secure.problems(config)
    yield from unsound_shards.problems(config)
    yield from problems_of_masking(config)
    yield from listening.problems(config, listens=listens)
    yield from _numbers(config)
    yield from _tensors(config)
    yield from _misspelt("train", config.train)
    yield from _misspelt("evaluate", config.evaluate)


def _store(config: Config) -> Iterator[tuple[Key, str]]:
    if config.store.url is not None and "://" not in config.store.url:
        yield ("store", "url"), f"store.url = {as_written(config.store.url)} is not of the form scheme://place, as in memory://"


def _weighting(config: Config) -> Iterator[tuple[Key, str]]:
    try:
        Weighting(config.aggregation.weighting)
    except ConfigError as error:
        yield ("aggregation", "weighting"), str(error)


def _numbers(config: Config) -> Iterator[tuple[Key, str]]:
    learners, liveness, metric = config.learners, config.liveness, config.stop.metric
    if learners.min > learners.count:
        yield ("learners", "min"), f"learners.min = {learners.min} is more than learners.count = {learners.count}"
    min_updates = config.protocol.options.get("min_updates")
    if isinstance(min_updates, int) and min_updates > learners.count:
        said = f"a round that needs min_updates = {min_updates} never ends with learners.count = {learners.count}"
        yield ("protocol", "options", "min_updates"), said
    if learners.count > config.limits.learners_max:
        limit = f"limits.learners_max = {config.limits.learners_max}"
        yield ("learners", "count"), f"learners.count = {learners.count} is more than {limit}; raise the limit"
    if liveness.heartbeat_s * 2 > liveness.lost_after_s:
        said = f"liveness.lost_after_s = {liveness.lost_after_s} is less than two heartbeats of {liveness.heartbeat_s} s"
        yield ("liveness", "lost_after_s"), f"{said}: one late message would lose a learner"
    if metric is not None and metric.target is None and metric.patience is None:
        yield ("stop", "metric"), "stop.metric needs a target, a patience, or both"
    if metric is not None and config.evaluate.every == 0:
        yield ("evaluate", "every"), "evaluate.every = 0 means that nothing is evaluated, but stop.metric waits for a metric"


def _tensors(config: Config) -> Iterator[tuple[Key, str]]:
    """What no tensor's name can change; the rest is known once there is a model."""
    model, remedy = config.model, "leave out what is to be learnt together"
    if "*" in model.local or (model.shared and set(model.shared) <= set(model.local)):
        yield ("model", "local"), f"with model.local = {as_written(model.local)} no tensor travels: {remedy}"
    if "*" in model.frozen:
        yield ("model", "frozen"), f"with model.frozen = {as_written(model.frozen)} no tensor is combined: {remedy}"


def _misspelt(table: str, keys: OpenTable) -> Iterator[tuple[Key, str]]:
    for option in keys.options:
        near = get_close_matches(option, type(keys).model_fields, n=1, cutoff=MISSPELT)
        if near:
            said = f"[{table}] has no key {option!r}; did you mean {near[0]!r}?"
            yield (table, option), f"{said} (an option for the learner's code needs a name less like it)"
