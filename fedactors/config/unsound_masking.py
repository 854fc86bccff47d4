"""What does not go together with updates that only their sum is known of, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator

from fedactors.config.masking import FACTORS, cohort_max, is_installed, masking
from fedactors.config.plugging import Key, build_protocol
from fedactors.config.tables import Config
from fedactors.errors import ConfigError, ExtraMissing, ModelError
from fedactors.privacy.masking.method import Masking
from fedactors.privacy.masking.terms import HOLDERS_MIN, PEERS_MAX

OUT = "or take secure.method out"


def problems(config: Config) -> Iterator[tuple[Key, str]]:
    """What is wrong with masking beyond its own options: (key, sentence with the remedy) pairs.

    Raises:
        ExtraMissing: there is nothing to make keys with.
    """
    try:
        method = masking(config)
    except ConfigError:
        return  # told already
    if method is None:
        return
    if not is_installed():
        raise ExtraMissing("secure.method = 'masking'", "cryptography", "secure")
    yield from _combination(config)
    yield from _protocol(config)
    yield from _cohort(config, method)


def _combination(config: Config) -> Iterator[tuple[Key, str]]:
    table = config.aggregation
    if table.rule != "fedavg":
        said = (
            f"masking shows the weighted sum of a round's updates and nothing else, which is what fedavg needs, not {table.rule}"
        )
        yield ("aggregation", "rule"), f'{said}: write rule = "fedavg", {OUT}'
    if table.weighting not in FACTORS:
        said = f"masked factors are whole numbers, and weighting = {table.weighting!r} may give others"
        yield ("aggregation", "weighting"), f"{said}: write one of {', '.join(FACTORS)}, {OUT}"
    if table.discount != "constant":
        said = "a masked update cannot be given another share than its learner gave it"
        yield ("aggregation", "discount"), f'{said}: write discount = "constant", {OUT}'
    if table.clip_norm is not None:
        said = "the controller cannot measure the norm of a masked update"
        yield ("aggregation", "clip_norm"), f"{said}: take clip_norm out, {OUT}"
    if config.model.frozen:
        said = "the controller cannot take frozen tensors out of a masked update"
        yield ("model", "frozen"), f"{said}: name them in model.local instead, {OUT}"


def _protocol(config: Config) -> Iterator[tuple[Key, str]]:
    try:
        protocol = build_protocol(config)
    except ConfigError:
        return  # told already
    if protocol.streams:
        said = f"masks cancel in the sum of a cohort that began together, and {config.protocol.name} combines whatever comes"
        yield ("protocol", "name"), f"{said}: use synchronous or semi_synchronous, {OUT}"
    if getattr(protocol, "late_updates", "refuse") == "keep":
        said = "a late update's masks belong to a round that is over"
        yield ("protocol", "options", "late_updates"), f'{said}: write late_updates = "refuse", {OUT}'


def _cohort(config: Config, method: Masking) -> Iterator[tuple[Key, str]]:
    """Whether a round's learners are enough for the threshold, and few enough for words and messages."""
    try:
        if build_protocol(config).streams:
            return
        cohort, min_updates = cohort_max(config), int(getattr(build_protocol(config), "min_updates", 1))
    except ConfigError:
        return  # told already
    form = method.form("participants" if config.aggregation.weighting == "participants" else "examples")
    if cohort < HOLDERS_MIN:
        said = f"the sum of fewer than {HOLDERS_MIN} updates tells its learners each other's, and rounds have {cohort}"
        yield ("learners", "count"), f"{said}: have {HOLDERS_MIN} learners or more in each round, {OUT}"
        return
    if (needed := form.needed(cohort)) > min_updates:
        said = (
            f"with fewer than {needed} of {cohort} learners a round's masks cannot be taken away, and min_updates = {min_updates}"
        )
        yield ("protocol", "options", "min_updates"), f"{said}: write min_updates = {needed}, or another secure.options.threshold"
    if form.holders(cohort) > PEERS_MAX:
        said = f"each of {cohort} learners would share masks with all others, and {PEERS_MAX - 1} are the most"
        yield ("secure", "options", "neighbours"), f"{said}: write neighbours = 100, or fewer learners in a round"
    try:
        form.fixed_point(cohort)
    except ModelError as error:
        yield ("secure", "options", "factor_max"), str(error)
