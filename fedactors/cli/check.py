"""`fedactors check`: would this configuration run?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedactors.cli import options

if TYPE_CHECKING:
    from fedactors.config import Config
    from fedactors.config.plugin_tables import AggregationTable


@click.command(short_help="Read a configuration, build everything it names, start nothing.")
@options.file
@options.overrides
@options.debug
def check(file: Path, overrides: tuple[str, ...]) -> None:
    """Read FILE, build every plug-in and import the learner's code that it names, and show what would run."""
    from fedactors import config as configuration
    from fedactors.errors import ConfigError

    config = configuration.read(file, overrides)
    if config.learners.entry is not None:
        configuration.load_entry(config)
    if config.initial_file is not None and not config.initial_file.is_file():
        raise ConfigError(f"initial names {config.initial_file}, but there is no such file")
    _show(file, config)


def _show(file: Path, config: Config) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = _rows(config)
    console = Console(highlight=False)
    if not console.is_terminal:
        click.echo("\n".join([*(f"{label:<12}  {text}" for label, text in rows), f"{file} is well"]))
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, Text(text))
    console.print(grid, Text(f"{file} is well", style="green"))


def _rows(config: Config) -> list[tuple[str, str]]:
    learners, aggregation = config.learners, config.aggregation
    exact = "the same bits whatever the order of arrival" if aggregation.deterministic else "in order of arrival"
    cut = f", in {aggregation.shards} shards" if aggregation.shards > 1 else ""
    code = learners.entry or "started elsewhere"
    return [
        ("federation", f"{config.name}  (seed {config.seed})"),
        ("learners", f"{learners.count}, at least {learners.min}  ({code}{_listed(learners.options)})"),
        *_ray(config),
        ("address", config.controller.address or "a Unix socket of its own"),
        *_access(config),
        ("initial", "from a learner" if config.initial_file is None else str(config.initial_file)),
        ("protocol", config.protocol.name + _listed(config.protocol.options)),
        ("selection", config.selection.policy + _listed(config.selection.options)),
        *_secure(config),
        *_masking(config),
        ("aggregation", f"{_rule(aggregation)}  (weighted by {aggregation.weighting}, {exact}{cut})"),
        *_dp(config),
        ("compression", (config.compression.updates or "updates travel as they are") + _listed(config.compression.options)),
        ("store", (config.store.url or "the run directory, or memory") + _listed(config.store.options)),
        ("train", _listed(config.train.model_dump(exclude_none=True), before="")),
        ("evaluate", _listed(config.evaluate.model_dump(exclude_none=True), before="")),
        ("stop", _listed(config.stop.model_dump(exclude_none=True), before="")),
    ]


def _ray(config: Config) -> list[tuple[str, str]]:
    """Where learners work, and what each of them needs there, where that is Ray."""
    if config.runtime.engine != "ray":
        return []
    table = config.ray
    memory = "" if table.memory_bytes_per_learner is None else f", {table.memory_bytes_per_learner:,} bytes"
    where = table.address or "the cluster of RAY_ADDRESS, or one that ends with the run"
    return [("ray", f"{where}  ({table.cpus_per_learner:g} CPUs, {table.gpus_per_learner:g} GPUs{memory} a learner at work)")]


def _dp(config: Config) -> list[tuple[str, str]]:
    """What differential privacy comes to, where there is some."""
    from fedactors.config.differential import in_words

    return [] if config.dp.mechanism is None else [("dp", in_words(config))]


def _secure(config: Config) -> list[tuple[str, str]]:
    """How the models are sealed, and what that costs; nothing where they are not."""
    from fedactors.config import seal, updates_expected
    from fedactors.observe.figures import size
    from fedactors.privacy.ckks_cost import estimate

    if (method := seal(config)) is None:
        return []
    parameters, updates = method.parameters, updates_expected(config)
    cost = estimate(parameters, updates)
    bits = parameters.modulus.bit_length()
    weight = f"{size(cost.update_bytes)} an update, {size(cost.round_bytes)} a round of {updates}"
    times = f"about {cost.learner_s:.1f} s of a learner, {cost.controller_s:.2f} s of the controller"
    strength = f"degree {parameters.degree:,}, {bits} bits: 128-bit secure; the controller has no key"
    return [("secure", f"ckks, {method.preset}  ({strength})"), ("cost", f"of a million parameters: {weight}; {times}")]


def _masking(config: Config) -> list[tuple[str, str]]:
    """How updates are masked, and what that costs; nothing where they are not."""
    from fedactors.config.masking import cohort_max, masked_form
    from fedactors.observe.figures import size
    from fedactors.privacy.masking.cost import estimate

    if (form := masked_form(config)) is None:
        return []
    learners = cohort_max(config)
    cost, holders = estimate(form, learners), form.holders(learners)
    stay = f"{form.needed(learners)} of {holders} {'neighbours' if holders < learners else 'learners'} must stay"
    weight = f"{size(cost.update_bytes)} an update"
    times = f"about {cost.learner_s:.2f} s of a learner, {cost.controller_s:.2f} s of the controller"
    dropped = f"and {cost.drop_s:.2f} s for each learner that drops out"
    error, factor = form.fixed_point(learners).step / 2, max(form.factor_max // 100, 1)
    exact = f"differences up to {form.clip:g}, exact to {error / factor:.0e} where updates have a factor of {factor:,}"
    return [
        ("secure", f"masking  ({form.bits} bits, {stay}; the controller sees sums alone)"),
        ("precision", exact),
        ("cost", f"of a million parameters: {weight}; {times} {dropped}"),
    ]


def _access(config: Config) -> list[tuple[str, str]]:
    """Whom a controller would serve, and over what, where other processes can reach it."""
    from fedactors.access.audit import Audit
    from fedactors.config import build_guard, listening_transport
    from fedactors.config.listening import TLS_SCHEMES
    from fedactors.transport import Address

    if config.controller.address is None:
        return []
    address = Address.parse(config.controller.address)
    listening_transport(config, address.scheme).check()
    build_guard(config, Audit())
    way = "TLS 1.3" if address.scheme in TLS_SCHEMES else "not encrypted"
    access = config.access
    return [("access", f"learners: {access.learners}, operators: {access.operators}  ({way})")]


def _rule(table: AggregationTable) -> str:
    """The rule with what it steps over, what is clipped before it, and what stale updates lose."""
    parts = [table.rule + _listed(table.options)]
    if table.combine is not None:
        parts.append(f"over {table.combine}{_listed(table.combine_options)}")
    if table.clip_norm is not None:
        parts.append(f"of updates clipped to norm {table.clip_norm}")
    if table.discount != "constant":
        parts.append(f"{table.discount} discount{_listed(table.discount_options)}")
    return ", ".join(parts)


def _listed(options: Mapping[str, Any], before: str = ", ") -> str:
    from fedactors.plugins import as_written

    return "".join([before if options else "", ", ".join(f"{key} = {as_written(value)}" for key, value in options.items())])
