"""What [dp] cannot be kept with, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from fedactors.aggregation import Rule
from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.fedbuff import FedBuff
from fedactors.aggregation.server import ServerOptimiser
from fedactors.aggregation.weighting import Share
from fedactors.config import differential
from fedactors.config.plugging import Key, slots
from fedactors.config.tables import Config
from fedactors.errors import ConfigError, ExtraMissing
from fedactors.plugins import as_written
from fedactors.scheduling.base import Protocol
from fedactors.selection.uniform import Uniform

NEEDS_MECHANISM = ("clip_norm", "noise_multiplier", "epsilon_max", "adaptive", "cohort", "noise_seed", "amplification")
CENTRAL_ONLY = ("adaptive", "cohort", "amplification")


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with [dp]: (key, sentence with the remedy) pairs.

    Raises:
        ExtraMissing: the accountant, or the noise's generator, is not installed.
    """
    if config.dp.mechanism is None:
        for name in NEEDS_MECHANISM:
            if getattr(config.dp, name) not in {None, False}:
                said = f"dp.{name} = {as_written(getattr(config.dp, name))} changes nothing without a mechanism"
                yield ("dp", name), f"{said}: write dp.mechanism = 'central' or 'local'"
        return
    try:
        rule, combine, protocol, selection = (
            slots(config)[table].build() for table in ("aggregation", "combine", "protocol", "selection")
        )
    except ConfigError:
        return  # told already
    wrong = list(_numbers(config))
    if config.dp.mechanism == "central":
        wrong += [*_central(config, rule, combine, protocol), *_draw(config, selection, protocol)]
    else:
        wrong += _local(config, rule, protocol)
    yield from wrong
    if not wrong:
        yield from _budget(config)


def _numbers(config: Config) -> Iterator[tuple[Key, str]]:
    table = config.dp
    if table.clip_norm is None:
        yield ("dp", "clip_norm"), f"dp.mechanism = '{table.mechanism}' needs dp.clip_norm, beyond which an update is shortened"
    if table.noise_multiplier is None and (table.epsilon_max is None or config.stop.rounds is None):
        said = "the noise follows from dp.epsilon_max together with stop.rounds, and is given by dp.noise_multiplier"
        yield ("dp", "noise_multiplier"), f"{said}: write the first two, or the last"
    if table.delta * config.learners.count >= 1:
        said = f"dp.delta = {table.delta:g} lets a mechanism tell all of one in {config.learners.count} learners"
        yield ("dp", "delta"), f"{said}: write less than {1 / config.learners.count:g}, such as {0.1 / config.learners.count:.1g}"


def _central(config: Config, rule: Rule, combine: Rule, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    aggregation, steps = config.aggregation, isinstance(rule, ServerOptimiser)
    combines, name = (combine, aggregation.combine or "fedavg") if steps else (rule, aggregation.rule)
    if not isinstance(combines, FedAvg | FedBuff):
        said = f"{name} {_reason(name, combines)}, so that no noise for one learner's share makes it private"
        remedy = "use fedavg or fedbuff, a server optimiser over one of them, or dp.mechanism = 'local'"
        yield ("aggregation", "combine" if steps and aggregation.combine else "rule"), f"{said}: {remedy}"
    if aggregation.weighting != Share.PARTICIPANTS:
        said = f"weighting = {aggregation.weighting!r} lets a learner choose its own share, which noise has to hide"
        yield ("aggregation", "weighting"), f"{said}: write weighting = 'participants', or leave it out"
    if aggregation.clip_norm is not None:
        yield ("aggregation", "clip_norm"), "updates are clipped by dp.clip_norm already: take aggregation.clip_norm out"
    if config.secure.method is not None:
        said = f"the controller cannot clip what secure.method = {config.secure.method!r} keeps from it"
        yield ("dp", "mechanism"), f"{said}: write dp.mechanism = 'local'"
    if protocol.streams and int(getattr(protocol, "updates", 1)) == 1:
        said = f"{config.protocol.name} releases every update by itself, with noise for one alone"
        yield ("protocol", "name"), f"{said}: use the protocol buffered with more updates, synchronous, or dp.mechanism = 'local'"
    if getattr(protocol, "late_updates", "refuse") == "keep":
        said = "a late update counts in a round in which its learner is asked again, and a learner may count once"
        yield ("protocol", "options", "late_updates"), f'{said}: write late_updates = "refuse"'


def _reason(name: str, rule: Rule) -> str:
    if rule.variates:
        return "releases control variates besides the updates"
    if rule.keeps_updates:
        return "chooses among updates instead of adding them up"
    if rule.across_rounds:
        return "releases a learner's update in more than one version"
    return "does not add up updates of equal shares" if name != "fednova" else "divides by what learners say of their steps"


def _draw(config: Config, selection: object, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    if not config.dp.amplification:
        return
    key = ("dp", "amplification")
    if not isinstance(selection, Uniform):
        said = f"selection.policy = {config.selection.policy!r} does not draw learners with equal chances, in secret"
        yield key, f"{said}: take amplification out, or use the policy uniform"
    elif protocol.streams:
        said = f"{config.protocol.name} takes whoever is free, which is no secret draw"
        yield key, f"{said}: take amplification out, or use the protocol synchronous"


def _local(config: Config, rule: Rule, protocol: Protocol) -> Iterator[tuple[Key, str]]:
    for name in CENTRAL_ONLY:
        if getattr(config.dp, name) not in {None, False}:
            yield ("dp", name), f"dp.{name} is for dp.mechanism = 'central', where a controller sees updates: take it out"
    if rule.variates:
        said = f"{config.aggregation.rule} sends control variates, from which updates follow without their noise"
        yield ("aggregation", "rule"), f"{said}: use a rule without them, as fedavg or fedadam"
    if protocol.streams and config.dp.noise_multiplier is None:
        said = f"with {config.protocol.name} a learner may give any number of updates in a round, so no noise follows from rounds"
        yield ("dp", "noise_multiplier"), f"{said}: write dp.noise_multiplier"
    if protocol.streams and config.dp.epsilon_max is not None:
        said = f"with {config.protocol.name} each learner spends at its own pace, which the controller does not see"
        yield ("dp", "epsilon_max"), f"{said}: take it out, and start learners with --dp-epsilon-max {config.dp.epsilon_max:g}"


def _budget(config: Config) -> Iterator[tuple[Key, str]]:
    """What only the accountant can tell."""
    from fedactors.dp.noise import SECURE

    try:
        SECURE.release(0)
        spending = differential.budget(config)
        adapts = differential.adaptive(config)
        if adapts is not None:
            adapts.sum_multiplier(differential.noise_multiplier(config))
    except ExtraMissing:
        raise
    except ConfigError as error:
        yield ("dp", "adaptive" if "count_noise" in str(error) else "epsilon_max"), str(error)
        return
    if spending is not None and (why := spending.exhausted_after(0)) is not None:
        said = f"the first round would exceed dp.epsilon_max ({why})"
        yield ("dp", "epsilon_max"), f"{said}: give more noise, or allow for a greater epsilon"
