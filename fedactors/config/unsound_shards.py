"""What does not go together with a model in shards, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from fedactors.config.plugging import Key, build_rule, slots
from fedactors.config.tables import Config
from fedactors.errors import ConfigError

KEY: Key = ("aggregation", "shards")


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with [aggregation] shards: (key, sentence with the remedy) pairs."""
    if config.aggregation.shards == 1:
        return
    if config.secure.method is not None:
        said = f"{config.secure.method} opens or carries on the sum of whole updates, and a shard knows a part of it"
        yield KEY, f"{said}: leave shards at 1, or take secure.method out"
        return
    if config.compression.updates is not None:
        said = f"an update that travels as {config.compression.updates} is unpacked as a whole, and shards are there for models"
        yield KEY, f"{said} that are too large for that: leave shards at 1, or take compression.updates out"
    try:
        rule = build_rule(config)
    except ConfigError:
        return  # told already
    if not rule.elementwise:
        yield _whole(config)


def _whole(config: Config) -> tuple[Key, str]:
    """Who looks at whole updates."""
    table = config.aggregation
    if config.dp.mechanism == "central":
        who, remedy = "dp.mechanism = 'central' clips each update by its norm", "leave shards at 1"
    elif table.clip_norm is not None:
        who, remedy = f"clip_norm = {table.clip_norm} is of a whole update", "leave shards at 1, or take clip_norm out"
    else:
        name = table.rule if table.combine is None or not _combines(config) else table.combine
        who, remedy = f"{name} looks at whole updates", "leave shards at 1, or use a rule by coordinates, as fedavg or median"
    return KEY, f"{who}, and a shard of a model in {table.shards} sees a part of each: {remedy}"


def _combines(config: Config) -> bool:
    """Whether it is the rule that `combine` names which looks at whole updates."""
    return not slots(config)["combine"].build().elementwise
