"""What does not go together with versions that the controller cannot read, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from fedactors.aggregation.fedavg import FedAvg
from fedactors.aggregation.server import ServerOptimiser
from fedactors.config.plugging import Key, slots
from fedactors.config.sealing import seal
from fedactors.config.tables import Config
from fedactors.errors import ConfigError


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with [secure] beyond its method's own options: (key, sentence with the remedy) pairs."""
    try:
        if seal(config) is None:
            return
    except ConfigError:
        return  # told already
    yield from _rule(config)
    yield from _factors(config)
    yield from _tensors(config)


def _rule(config: Config) -> Iterator[tuple[Key, str]]:
    """Sums of ciphertexts make weighted means, and nothing else."""
    key, name = ("aggregation", "rule"), config.aggregation.rule
    try:
        rule = slots(config)["aggregation"].build()
    except ConfigError:
        return  # told already
    if isinstance(rule, FedAvg):
        return
    if isinstance(rule, ServerOptimiser):
        why = f"{name} steps along what was combined, which it would have to read"
    elif rule.variates:
        why = f"{name} gives the model and its control variates shares of their own, which a ciphertext does not tell apart"
    elif rule.keeps_updates:
        why = f"{name} compares the updates of a round, which it would have to read"
    else:
        why = f"{name} is not the plain weighted mean of a round's updates"
    yield key, f"ckks adds ciphertexts up, and {why}: use rule = 'fedavg', or take secure.method out"


def _factors(config: Config) -> Iterator[tuple[Key, str]]:
    """A learner scales its weights before it seals them: what comes later cannot change its share."""
    table = config.aggregation
    if table.discount != "constant":
        said = (
            f"an update's share is sealed with it, before anybody knows how stale it will be, and discount = {table.discount!r}"
        )
        yield ("aggregation", "discount"), f"{said} would change it: use 'constant', or take secure.method out"
    if table.clip_norm is not None:
        said = "the norm of an update that is sealed cannot be measured by the controller"
        yield ("aggregation", "clip_norm"), f"{said}: take clip_norm out, or secure.method"
    if not table.refuse_not_finite:
        said = "NaN and infinities cannot be sealed, so that learners refuse them before they send"
        yield ("aggregation", "refuse_not_finite"), f"{said}: leave refuse_not_finite on, or take secure.method out"


def _tensors(config: Config) -> Iterator[tuple[Key, str]]:
    if config.model.frozen:
        said = "a ciphertext holds values of many tensors, so that the controller cannot keep some of them as they are"
        yield ("model", "frozen"), f"{said}: name those in model.local, or take secure.method out"
    if config.initial_file is not None:
        said = f"initial = {config.initial!r} would show version 0 to the controller, before there is a ciphertext"
        yield ("initial",), f'{said}: have a learner\'s get_weights() load it and write initial = "learner"'
