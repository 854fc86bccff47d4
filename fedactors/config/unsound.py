"""Rules, weightings, discounts and protocols that do not go together, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from fedactors.aggregation import Rule
from fedactors.aggregation.server import ServerOptimiser
from fedactors.aggregation.weighting import Share
from fedactors.config.plugging import Key, build_discount, slots
from fedactors.config.tables import Config
from fedactors.errors import ConfigError

PLAIN = {Share.EXAMPLES, Share.PARTICIPANTS}
"""Weightings that a rule without weights may be left with: the default, and what it does anyway."""


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with [aggregation] beyond its plug-ins' own options: (key, sentence with the remedy) pairs."""
    try:
        build_discount(config)
    except ConfigError as error:
        wrong_name = "no staleness discount" in str(error)
        yield ("aggregation", "discount" if wrong_name else "discount_options"), str(error)
    try:
        rule, combine = (slots(config)[table].build() for table in ("aggregation", "combine"))
        per_commit = _updates_per_commit(config)
    except ConfigError:
        return  # told already
    yield from _composition(config, rule, combine)
    steps = isinstance(rule, ServerOptimiser)
    name = (config.aggregation.combine or "fedavg") if steps else config.aggregation.rule
    yield from _share(config, combine if steps else rule, name)
    yield from _enough(config, combine if steps else rule, name, per_commit)


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


def _enough(config: Config, rule: Rule, name: str, per_commit: int | None) -> Iterator[tuple[Key, str]]:
    key = ("aggregation", "combine" if name != config.aggregation.rule else "rule")
    if rule.updates_min > config.learners.count:
        said = (
            f"{name} with these options needs {rule.updates_min} updates in a round, and learners.count = {config.learners.count}"
        )
        yield key, f"{said}: have more learners, or fear fewer wild updates"
    elif per_commit is not None and rule.keeps_updates and per_commit < max(rule.updates_min, 2):
        protocol, needed = config.protocol.name, max(rule.updates_min, 3)
        said = f"{name} compares the updates of one commit, at least {needed}, and {protocol} commits every {per_commit}"
        yield key, f"{said}: use the protocol buffered with updates = {needed} or more, or synchronous"


def _updates_per_commit(config: Config) -> int | None:
    """How many updates a commit has where learners are not waited for; None where a commit is a cohort's."""
    protocol = slots(config)["protocol"].build()
    return int(getattr(protocol, "updates", 1)) if getattr(protocol, "streams", False) else None
