"""The plug-ins that a configuration names, built from its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from fedactors import plugins
from fedactors.config.table import Options
from fedactors.config.tables import Config
from fedactors.errors import ConfigError, ExtraMissing
from fedactors.form import AS_IT_IS, IDENTITY, Form, Forms, FormSpec
from fedactors.scope import Scope

if TYPE_CHECKING:
    from fedactors.aggregation.base import Rule
    from fedactors.aggregation.discount import Discount
    from fedactors.privacy.base import SecureAggregation
    from fedactors.scheduling.base import Protocol
    from fedactors.selection.base import Selection
    from fedactors.stop import StopConditions
    from fedactors.storage.base import Storage
    from fedactors.transport.base import Transport

Key: TypeAlias = tuple[str, ...]

RULES = "fedactors.aggregation"
FORMS = "fedactors.compression"

MEMORY = "memory://"
"""The model store where none is named."""

PLACE = "place"
"""The option of a model store that is written in its URL: scheme://place."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of the configuration that names a plug-in.

    Attributes:
        group: entry points that may stand here.
        key: of the name.
        name: as configured.
        options: as configured.
        options_key: of the options, in the table of the name.
    """

    group: str
    key: Key
    name: str
    options: Mapping[str, Any]
    options_key: str = "options"

    def build(self) -> Any:
        """The plug-in.

        Raises:
            ConfigError: as `plugins.build`.
        """
        return plugins.build(self.group, self.name, self.options)

    def problems(self) -> Iterator[tuple[Key, str]]:
        """What keeps this plug-in from being built: (key, in words) pairs.

        Raises:
            ExtraMissing: it needs a package that is not installed.
        """
        try:
            plugin = plugins.load(self.group, self.name)
        except ExtraMissing:
            raise
        except ConfigError as error:
            yield self.key, str(error)
            return
        options = (self.key[0], self.options_key)
        found = plugins.option_problems(plugin, self.name, self.options)
        wrong = [(self.key if option == PLACE else (*options, option or ""), said) for option, said in found]
        yield from wrong
        if not wrong:
            try:
                self.build()
            except ConfigError as error:
                blamed = next((option for option in self.options if option in str(error)), "")
                yield (*options, blamed), str(error)


def slots(config: Config) -> dict[str, Slot]:
    """Every place that names a plug-in, by its table."""
    protocol, selection, aggregation = config.protocol, config.selection, config.aggregation
    scheme, _, place = (config.store.url or MEMORY).partition("://")
    store_options = {**config.store.options, PLACE: place} if place else config.store.options
    combine = Slot(
        RULES, ("aggregation", "combine"), aggregation.combine or "fedavg", aggregation.combine_options, "combine_options"
    )
    found = {
        "protocol": Slot("fedactors.scheduling", ("protocol", "name"), protocol.name, protocol.options),
        "selection": Slot("fedactors.selection", ("selection", "policy"), selection.policy, selection.options),
        "aggregation": Slot(RULES, ("aggregation", "rule"), aggregation.rule, aggregation.options),
        "combine": combine,
        "store": Slot("fedactors.storage", ("store", "url"), scheme, store_options),
    }
    if config.secure.method is not None:
        found["secure"] = Slot("fedactors.privacy", ("secure", "method"), config.secure.method, config.secure.options)
    if config.compression.updates is not None:
        found["compression"] = Slot(FORMS, ("compression", "updates"), config.compression.updates, config.compression.options)
    return found


def build_protocol(config: Config) -> Protocol:
    """The scheduling protocol that [protocol] names."""
    built: Protocol = slots(config)["protocol"].build()
    return built


def build_selection(config: Config) -> Selection:
    """The selection policy that [selection] names."""
    built: Selection = slots(config)["selection"].build()
    return built


def build_rule(config: Config) -> Rule:
    """The aggregation rule that [aggregation] names, over what [model] does not freeze: a server optimiser over a combining rule
    over clipped updates, or over what differential privacy lets be known of them.
    """
    from fedactors.aggregation.frozen import Frozen
    from fedactors.aggregation.scaffold import Scaffold
    from fedactors.aggregation.server import ServerOptimiser, ServerStep
    from fedactors.config.masking import masked_rule
    from fedactors.config.sealing import sealed_rule

    if (sums := sealed_rule(config) or masked_rule(config)) is not None:
        return sums
    rule: Rule = slots(config)["aggregation"].build()
    if isinstance(rule, ServerOptimiser):
        rule = ServerStep(rule, _clipped(config, slots(config)["combine"].build()))
    elif isinstance(rule, Scaffold):
        rule = replace(rule, learners=rule.learners or config.learners.count)
    else:
        rule = _clipped(config, rule)
    return Frozen(rule, tuple(config.model.frozen)) if config.model.frozen else rule


def _clipped(config: Config, rule: Rule) -> Rule:
    from fedactors.aggregation.clipped import Clipped

    if config.dp.mechanism == "central":
        from fedactors.config.differential import private

        return private(config, rule)
    return rule if config.aggregation.clip_norm is None else Clipped(rule, config.aggregation.clip_norm)


def build_discount(config: Config) -> Discount:
    """The staleness discount that [aggregation] names.

    Raises:
        ConfigError: there is none of that name, or an option is wrong.
    """
    from fedactors.aggregation.discount import DISCOUNTS

    name, options = config.aggregation.discount, config.aggregation.discount_options
    if name not in DISCOUNTS:
        hint = plugins.did_you_mean(name, DISCOUNTS)
        raise ConfigError(f"no staleness discount named {name!r}{hint} (known: {', '.join(DISCOUNTS)})")
    for _, problem in plugins.option_problems(DISCOUNTS[name], name, options):
        raise ConfigError(problem)
    return DISCOUNTS[name](**plugins.checked(DISCOUNTS[name], options))


def scope(config: Config) -> Scope:
    """What travels and what is combined, as [model] says, and whether the rule needs control variates."""
    model, rule = config.model, slots(config)["aggregation"].build()
    return Scope(tuple(model.local), tuple(model.shared), tuple(model.frozen), rule.variates)


def build_secure(config: Config) -> SecureAggregation | None:
    """The method of secure aggregation that [secure] names; None where none is."""
    slot = slots(config).get("secure")
    built: SecureAggregation | None = None if slot is None else slot.build()
    return built


def build_form(config: Config) -> Form:
    """The form in which updates may travel, as [compression] names it, or [secure] has it."""
    from fedactors.config.masking import masked_form
    from fedactors.config.sealing import sealed_form

    if (protected := sealed_form(config) or masked_form(config)) is not None:
        return protected
    slot = slots(config).get("compression")
    built: Form = IDENTITY if slot is None else slot.build()
    return built


def form_spec(config: Config) -> FormSpec:
    """The same as learners are told of it: all of its options are said."""
    from fedactors.config.masking import masked_form_spec

    if (masked := masked_form_spec(config)) is not None:
        return masked
    slot = slots(config).get("compression")
    if slot is None:
        return AS_IT_IS
    form = slot.build()
    return FormSpec(slot.name, {field.name: getattr(form, field.name) for field in fields(form)})


def known_forms() -> Forms:
    """The forms that a learner of this installation knows."""
    from fedactors.config.masking import with_masking

    return with_masking(Forms(tuple(plugins.names(FORMS)), partial(plugins.build, FORMS)))


def build_storage(config: Config) -> Storage:
    """The model store that [store] names; not opened."""
    built: Storage = slots(config)["store"].build()
    return built


def build_transport(scheme: str, options: Options | None = None) -> Transport:
    """The transport of an address's scheme.

    Raises:
        ConfigError: there is none of that name, or an option is wrong.
    """
    built: Transport = plugins.build("fedactors.transport", scheme, options or {})
    return built


def load_entry(config: Config) -> Any:
    """What [learners] entry names: a Learner class, or a function that returns a learner.

    Raises:
        ConfigError: none is named, or it does not exist.
        LearnerFailed: importing it raised.
    """
    return plugins.load_learner(find_entry(config), config.base_dir)


def find_entry(config: Config) -> str:
    """The learners' entry, after a look whether it is there; nothing of it is run.

    Raises:
        ConfigError: none is named, or its file does not exist.
    """
    if config.learners.entry is None:
        raise ConfigError('no learner is named; write entry = "learner.py:MyLearner" in [learners]')
    plugins.find_learner(config.learners.entry, config.base_dir)
    return config.learners.entry


def stop_conditions(config: Config) -> StopConditions:
    """The stop conditions that [stop] holds."""
    from fedactors.config.differential import budget
    from fedactors.stop import MetricTarget, StopConditions

    stop, metric = config.stop, config.stop.metric
    target = None if metric is None else MetricTarget(**metric.model_dump())
    return StopConditions(stop.rounds, stop.updates, stop.duration_s, target, budget(config))
