"""Rules, weightings, discounts and protocols that do not go together, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedactors.aggregation import Rule
from fedactors.aggregation.fedasync import FedAsync
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedstride import FedStride
from fedactors.aggregation.server import ServerOptimiser
from fedactors.aggregation.weighting import Share
from fedactors.config.plugging import Key, build_discount, slots
from fedactors.config.tables import Config
from fedactors.errors import ConfigError
from fedactors.scheduling.base import Protocol
from fedactors.selection.base import Candidate

PLAIN = {Share.EXAMPLES, Share.PARTICIPANTS}
"""Weightings that a rule without weights may be left with: the default, and what it does anyway."""

COMPARED_MIN = 3
"""Updates that a rule must see to tell which of them stands apart: the median of two is their mean."""


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with [aggregation] beyond its plug-ins' own options: (key, sentence with the remedy) pairs."""
    try:
        build_discount(config)
    except ConfigError as error:
        wrong_name = "no staleness discount" in str(error)
        yield ("aggregation", "discount" if wrong_name else "discount_options"), str(error)
    try:
        rule, combine, protocol, _ = (
            slots(config)[table].build() for table in ("aggregation", "combine", "protocol", "selection")
        )
    except ConfigError:
        return  # told already
    yield from _composition(config, rule, combine)
    steps = isinstance(rule, ServerOptimiser)
    name = (config.aggregation.combine or "fedavg") if steps else config.aggregation.rule
    yield from _share(config, combine if steps else rule, name)
    yield from _enough(config, combine if steps else rule, name, protocol)
    yield from _alone(config, rule, protocol)
    yield from _variates(config, rule, combine, protocol)


def _composition(config: Config, rule: Rule, combine: Rule) -> Iterator[tuple[Key, str]]:
    table, key = config.aggregation, ("aggregation", "combine")
    if not isinstance(rule, ServerOptimiser):
        if table.combine is not None or table.combine_options:
            said = (
                f"{table.rule} combines by itself; combine is for the server optimisers fedavgm, fedadagrad, fedadam and fedyogi"
            )
            yield key, f"{said}: take it out, or write rule = {(table.combine or 'fedavg')!r}"
    elif isinstance(combine, ServerOptimiser):
        said = f"{table.rule} cannot step over {table.combine}, which steps by itself and combines nothing"
        yield key, f"{said}: write a rule that combines, as fedavg or median"
    elif combine.across_rounds:
        said = f"{table.rule} steps along what this round's updates say, and the result of {table.combine} is more than that"
        yield key, f"{said}: it would step along earlier rounds again; use {table.combine} as rule, or combine = 'fedbuff'"


def _variates(config: Config, rule: Rule, combine: Rule, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    """Whether control variates keep their meaning: a learner's follow from where its own steps lead from the newest version."""
    table, name = config.aggregation, config.aggregation.rule
    if isinstance(rule, ServerOptimiser) and combine.variates:
        said = f"{name} would step along the control variates of {table.combine} as if they were weights"
        yield ("aggregation", "combine"), f"{said}: use {table.combine} as rule, with its server_learning_rate"
    if not rule.variates:
        return
    if table.clip_norm is not None:
        said = f"{name} needs each learner's whole step, which its control variates follow from, and clip_norm shortens it"
        yield ("aggregation", "clip_norm"), f"{said}: take clip_norm out, or use a rule without control variates, as fedavg"
    if config.model.frozen:
        said = f"{name} would correct the steps of frozen tensors by control variates that are never combined"
        yield ("model", "frozen"), f"{said}: name them in model.local instead, or have learners leave them as they are"
    if protocol.streams:
        said = f"{name} corrects steps that start from one version, and {config.protocol.name} has learners start from many"
        yield ("aggregation", "rule"), f"{said}: use the protocol synchronous or semi_synchronous, or a rule for stale updates"
    if getattr(protocol, "late_updates", "refuse") == "keep":
        said = f"{name} counts what a learner's control variates grew by from the version that it started from"
        yield ("protocol", "options", "late_updates"), f'{said}, which is stale in a later round: write late_updates = "refuse"'


def _share(config: Config, rule: Rule, name: str) -> Iterator[tuple[Key, str]]:
    table = config.aggregation
    if not rule.weighs and table.weighting not in PLAIN:
        said = f"{name} gives every update the same share, so weighting = {table.weighting!r} would change nothing"
        yield ("aggregation", "weighting"), f"{said}: take it out, or use a rule that weighs, as fedavg or geometric_median"
    if not rule.discounts and table.discount != "constant":
        said = f"{name} gives stale updates the same share as others, so discount = {table.discount!r} would change nothing"
        yield ("aggregation", "discount"), f"{said}: take it out, or use a rule that weighs, as fedavg or geometric_median"
    if rule.keeps_updates and not table.refuse_not_finite:
        said = f"{name} puts values in order or measures distances, which NaN has none of"
        yield ("aggregation", "refuse_not_finite"), f"{said}: leave refuse_not_finite on"


def _enough(config: Config, rule: Rule, name: str, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    """Whether a commit has the updates that the rule needs."""
    key = ("aggregation", "combine" if name != config.aggregation.rule else "rule")
    needed, count = _needed(rule), config.learners.count
    if needed > count:
        said = f"{name} with these options needs {needed} updates in a round, and learners.count = {count}"
        yield key, f"{said}: have more learners, or fear fewer wild updates"
    elif not getattr(protocol, "streams", False):
        yield from _enough_in_a_round(config, rule, name, protocol)
    elif rule.keeps_updates and (per_commit := _updates_per_commit(protocol)) < needed:
        said = (
            f"{name} compares the updates of one commit, at least {needed}, and {config.protocol.name} commits every {per_commit}"
        )
        yield key, f"{said}: use the protocol buffered with updates = {needed} or more, or synchronous"


def _enough_in_a_round(config: Config, rule: Rule, name: str, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    """Where a commit is a cohort's: whether a cohort can be too small, or too few of it suffice."""
    begins, suffices, needed = config.learners.min, int(getattr(protocol, "min_updates", 1)), _needed(rule)
    said = f"{name} with these options needs {needed} updates in a round, and"
    if rule.updates_min > begins:
        yield ("learners", "min"), f"{said} the first begins with learners.min = {begins}: write learners.min = {needed}"
    if (cohort := max(_selected(config), suffices)) < needed:
        asked = f"selection.policy = {config.selection.policy!r} takes {cohort} of {config.learners.count} learners"
        yield ("selection", "policy"), f"{said} {asked}: have it take {needed} or more"
    elif getattr(protocol, "round_timeout_s", None) is not None and suffices < rule.updates_min:
        remedy = f"write min_updates = {needed}"
        yield ("protocol", "options", "min_updates"), f"{said} min_updates = {suffices} suffices when it times out: {remedy}"


def _needed(rule: Rule) -> int:
    return max(rule.updates_min, COMPARED_MIN if rule.keeps_updates else 1)


def _selected(config: Config) -> int:
    """How many learners the selection policy picks of all; where it picks nobody because of what they will declare, all."""
    candidates = [Candidate(f"learner-{index}", num_examples=1) for index in range(config.learners.count)]
    selected = slots(config)["selection"].build().select(candidates, 1, np.random.default_rng(config.seed))
    return len(selected) or len(candidates)


def _alone(config: Config, rule: Rule, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    """Whether a version would be one learner's weights, and nothing of anybody else's."""
    if config.learners.count == 1:
        return
    replaced = "each version would be the last learner's weights alone"
    single = getattr(protocol, "streams", False) and _updates_per_commit(protocol) == 1
    if single and isinstance(rule, FedAvg | FedStride):
        said = f"{config.aggregation.rule} is the mean of one commit's updates, and {config.protocol.name} commits each by itself"
        yield ("aggregation", "rule"), f"{said}: {replaced}; use fedasync or fedrec, or the protocol buffered with more updates"
    if isinstance(rule, FedAsync) and rule.alpha == 1 and config.aggregation.discount == "constant":
        said = "fedasync with alpha = 1 keeps nothing of the model that it mixes into"
        yield ("aggregation", "options", "alpha"), f"{said}: {replaced}; give an alpha below 1, or a discount"


def _updates_per_commit(protocol: Protocol) -> int:
    """How many updates a commit has where learners are not waited for."""
    return int(getattr(protocol, "updates", 1))
