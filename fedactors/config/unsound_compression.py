"""What compressed updates do not go together with, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from fedactors.compression.top_k import TopK
from fedactors.config.plugging import Key, build_form, build_rule
from fedactors.config.tables import Config
from fedactors.errors import ConfigError

BY_COORDINATE = {"median", "trimmed_mean", "bulyan"}
"""Rules that compare what updates say of one coordinate."""


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with [compression] beyond its form's own options: (key, sentence with the remedy) pairs."""
    name, key = config.compression.updates, ("compression", "updates")
    if name is None:
        return
    try:
        rule, form = build_rule(config), build_form(config)
    except ConfigError:
        return  # told already
    if config.secure.method is not None:
        said = f"{config.secure.method} adds up what it cannot read, and so cannot unpack what is packed as {name}"
        yield key, f"{said}: take updates = {name!r} out, or secure.method"
    if rule.variates:
        said = f"{config.aggregation.rule} needs learners' control variates to grow by what they send, and {name} rounds that"
        yield key, f"{said}: take updates = {name!r} out, or use a rule without control variates, as fedavg"
    by_coordinate = next((word for word in _rules(config) if word in BY_COORDINATE), None)
    if isinstance(form, TopK) and by_coordinate is not None:
        said = f"{by_coordinate} looks at each coordinate by itself, and with top_k most learners leave most of them as they were"
        yield key, f"{said}, so that nothing would move: use another form, as int8, or a rule for whole updates, as krum"


def _rules(config: Config) -> tuple[str, str]:
    """The names of the rule and of what it may step over."""
    return config.aggregation.rule, config.aggregation.combine or "fedavg"
