"""What [dp] asks for, as the objects that do it."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from fedactors.aggregation.fedbuff import FedBuff
from fedactors.config.tables import Config
from fedactors.plugins import build

if TYPE_CHECKING:
    from fedactors.aggregation.base import Rule
    from fedactors.dp.accountant import Sampling
    from fedactors.dp.budget import PrivacyBudget
    from fedactors.dp.clipping import Adaptive
    from fedactors.dp.local import LocalPrivacy
    from fedactors.dp.noise import Noise
    from fedactors.scheduling.base import Protocol
    from fedactors.selection.base import Selection

ROUNDS_SHOWN_MAX = 100_000
"""Rounds that a budget is said to last at most."""


def settled(config: Config) -> Config:
    """The configuration with what [dp] leaves open: the noise for the budget, and a seed for the secret draw.

    They stay what they are when a run is resumed, whatever its new `stop.rounds` is.
    """
    if config.dp.mechanism is None:
        return config
    found = {"noise_multiplier": noise_multiplier(config)}
    if config.dp.amplification and config.dp.sampling_seed is None:
        found["sampling_seed"] = secrets.randbits(62)
    return config.model_copy(update={"dp": config.dp.model_copy(update=found)})


def noise_multiplier(config: Config) -> float:
    """As configured, or the least that keeps the rounds within the budget."""
    from fedactors.dp.accountant import noise_for

    table, rounds = config.dp, config.stop.rounds
    if table.noise_multiplier is not None:
        return table.noise_multiplier
    assert table.epsilon_max is not None, "refused otherwise"
    assert rounds is not None, "refused otherwise"
    return noise_for(table.epsilon_max, rounds, table.delta, sampling(config)) * _sensitivity(config)


def _sensitivity(config: Config) -> int:
    """How many clip norms a learner can change what is released by: a sum by its part; what it sends, to the opposite."""
    return 2 if config.dp.mechanism == "local" else 1


def budget(config: Config) -> PrivacyBudget | None:
    """What rounds cost, and how much may be spent; None where nothing is accounted by rounds."""
    from fedactors.dp.budget import PrivacyBudget

    table = config.dp
    if table.mechanism is None or (table.mechanism == "local" and _protocol(config).streams):
        return None
    multiplier = noise_multiplier(config) / _sensitivity(config)
    found = PrivacyBudget(multiplier, table.delta, table.epsilon_max, sampling(config))
    found.epsilon(1)  # the library takes a second to import, and a round's cost to work out: not while learners wait
    return found


def private(config: Config, rule: Rule) -> Rule:
    """The rule with central differential privacy, of fedavg or fedbuff."""
    from fedactors.aggregation.private import Private

    table, number = config.dp, cohort(config)
    assert table.clip_norm is not None, "refused otherwise"
    multiplier, adapts = noise_multiplier(config), adaptive(config)
    return Private(
        clip_norm=table.clip_norm,
        noise_multiplier=multiplier if adapts is None else adapts.sum_multiplier(multiplier),
        cohort=number,
        server_learning_rate=rule.server_learning_rate if isinstance(rule, FedBuff) else 1.0,
        adaptive=adapts,
        noise=_noise(config),
    )


def local(config: Config) -> LocalPrivacy | None:
    """What learners are asked to do to their updates; None: nothing."""
    from fedactors.dp.local import LocalPrivacy

    table = config.dp
    if table.mechanism != "local":
        return None
    assert table.clip_norm is not None, "refused otherwise"
    return LocalPrivacy(table.clip_norm, noise_multiplier(config), table.delta)


def adaptive(config: Config) -> Adaptive | None:
    """How the clip norm adapts; None: it stays."""
    from fedactors.dp.clipping import Adaptive, default_count_noise

    table = config.dp.adaptive
    if table is None:
        return None
    count_noise = table.count_noise or default_count_noise(cohort(config), noise_multiplier(config))
    return Adaptive(table.quantile, table.learning_rate, count_noise)


def _noise(config: Config) -> Noise:
    from fedactors.dp.noise import SECURE, SeededNoise

    seed = config.dp.noise_seed
    return SECURE if seed is None else SeededNoise(str(seed))


def cohort(config: Config) -> int:
    """The expected number of updates in a round."""
    if config.dp.cohort is not None:
        return config.dp.cohort
    protocol = _protocol(config)
    if protocol.streams:
        return int(getattr(protocol, "updates", 1))
    return _selection(config).size(config.learners.count)


def sampling(config: Config) -> Sampling:
    """How a round's learners are drawn, where that is to count: the greatest share of those that are here that is ever asked."""
    from fedactors.dp.accountant import WithoutReplacement

    if not config.dp.amplification:
        return None
    selection, protocol = _selection(config), _protocol(config)
    more, least = 1 + float(getattr(protocol, "over_selection", 0.0)), int(getattr(protocol, "min_updates", 1))
    shares = (
        math.ceil(round(max(selection.size(here), least) * more, 9)) / here
        for here in range(config.learners.min, config.limits.learners_max + 1)
    )
    return WithoutReplacement(min(1.0, max(shares)))


def in_words(config: Config) -> str:
    """What [dp] comes to, for people."""
    table, adapts = config.dp, config.dp.adaptive
    follows = "" if adapts is None else f" at first (then quantile {adapts.quantile:g})"
    parts = [f"{table.mechanism}", f"noise {noise_multiplier(config):g}", f"clip {table.clip_norm:g}{follows}", _spending(config)]
    if table.noise_seed is not None:
        parts.append("NOT PRIVATE, for dp.noise_seed makes the noise known")
    return ", ".join(part for part in parts if part)


def _spending(config: Config) -> str:
    """Epsilon at the end, as far as that is known."""
    from fedactors.dp.accountant import rounds_for

    spending, rounds = budget(config), config.stop.rounds
    if spending is None:
        return "accounted by each learner"
    if spending.epsilon_max is not None:
        most = rounds or ROUNDS_SHOWN_MAX
        rounds = rounds_for(spending.epsilon_max, spending.noise_multiplier, spending.delta, spending.sampling, most=most)
    if rounds is None:
        return ""
    after = f"after {rounds} {'round' if rounds == 1 else 'rounds'}"
    return f"epsilon {spending.epsilon(rounds):.3g} {after} at delta {spending.delta:g}"


def _protocol(config: Config) -> Protocol:
    built: Protocol = build("fedactors.scheduling", config.protocol.name, config.protocol.options)
    return built


def _selection(config: Config) -> Selection:
    built: Selection = build("fedactors.selection", config.selection.policy, config.selection.options)
    return built
