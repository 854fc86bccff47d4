"""What a relay can stand in the middle of, and how a federation's configuration reads for one. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from fedactors.config import Config, build_protocol, build_rule
from fedactors.config.plugin_tables import AggregationTable, ProtocolTable, StoreTable
from fedactors.config.training_tables import StopTable
from fedactors.errors import ConfigError
from fedactors.scheduling.rounds import RoundRules


def relayed(config: Config) -> Config:
    """The configuration of a relay's own side: rounds in step that combine by the weighted mean, kept in memory.

    What the parent decides is left out: when rounds begin and end, what is made of updates, and where versions are kept.
    Learners, their limits, credentials and weights, selection, and what bounds a round are the relay's own.

    Raises:
        ConfigError: updates of this federation cannot be combined before they are with its controller.
    """
    for problem in problems(config):
        raise ConfigError(f"a relay cannot stand in the middle of this federation: {problem}")
    kept = {name: getattr(config.aggregation, name) for name in ("weighting", "clip_norm", "deterministic", "refuse_not_finite")}
    bounds = {name: value for name, value in config.protocol.options.items() if name in _BOUNDS}
    rounds = {**bounds, "max_failed_rounds": 1}  # the parent hears of every failure
    return config.model_copy(
        update={
            "aggregation": AggregationTable(**kept),
            "protocol": ProtocolTable(name="synchronous", options=rounds),
            "store": StoreTable(),
            "stop": StopTable().model_copy(update={"rounds": None}),  # read from a file, it would stand for ten rounds
        }
    )


_BOUNDS = {field.name for field in fields(RoundRules)} - {"late_updates"}


def problems(config: Config) -> Iterator[str]:
    """Why a mean of updates would not do what every update by itself does: in words, with the remedy."""
    if config.secure.method is not None:
        said = f"secure.method = {config.secure.method!r} protects updates all the way to the controller"
        yield f"{said}; have learners connect to it, or leave [secure] out"
    if config.dp.mechanism == "central":
        said = "dp.mechanism = 'central' clips each learner's update at the controller, which would see means"
        yield f"{said}; write mechanism = 'local', or have learners connect to the controller"
    if build_rule(config).variates:
        said = f"aggregation.rule = {config.aggregation.rule!r} keeps account of each learner"
        yield f"{said}; write fedavg, or have learners connect to the controller"
    if config.aggregation.rule == "fednova":
        said = "aggregation.rule = 'fednova' divides each update by its learner's own steps"
        yield f"{said}; write fedavg, or have learners connect to the controller"
    if config.aggregation.weighting == "participants" and not build_protocol(config).streams:
        said = "aggregation.weighting = 'participants' counts a relay as one, however many learners it stands for"
        yield f"{said}; write 'examples' or 'batches', or have learners report a metric and write 'metric:NAME'"
