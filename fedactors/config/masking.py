"""What the configuration says of masked updates: for the controller, and for its learners."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

from fedactors import plugins
from fedactors.config.plugging import build_protocol, build_secure
from fedactors.config.tables import Config
from fedactors.errors import ConfigError
from fedactors.form import Forms, FormSpec
from fedactors.privacy.masking.form import NAME, MaskedForm
from fedactors.privacy.masking.method import Masking
from fedactors.privacy.masking.terms import Factor

if TYPE_CHECKING:
    from fedactors.actors.messages import ToMaskBroker
    from fedactors.aggregation.base import Rule
    from fedactors.runtime import Actor

PACKAGE = "cryptography"

FACTORS: tuple[Factor, ...] = get_args(Factor)
"""Weightings that give whole numbers."""


def masking(config: Config) -> Masking | None:
    """The method by which updates are masked; None where they are not."""
    method = None if config.secure.method is None else build_secure(config)
    return method if isinstance(method, Masking) else None


def masked_form(config: Config) -> MaskedForm | None:
    """In which masked updates travel; None where they are not masked."""
    method = masking(config)
    factor: Factor = next((name for name in FACTORS if name == config.aggregation.weighting), "examples")
    return None if method is None else method.form(factor)


def masked_form_spec(config: Config) -> FormSpec | None:
    """The same as learners are told of it."""
    form = masked_form(config)
    return None if form is None else FormSpec(NAME, {field.name: getattr(form, field.name) for field in fields(form)})


def masked_rule(config: Config) -> Rule | None:
    """The rule that takes fedavg's place where updates are masked; None where they are not."""
    from fedactors.aggregation.masked import MaskedMean

    form = masked_form(config)
    return None if form is None else MaskedMean(form)


def mask_broker(config: Config) -> Callable[[], Actor[ToMaskBroker]] | None:
    """What makes the actor by which learners agree on masks; None where updates are not masked."""
    method, form = masking(config), masked_form(config)
    if method is None or form is None:
        return None
    from fedactors.actors.mask_broker import MaskBroker

    return partial(MaskBroker, form, method.stage_timeout_s)


def with_masking(forms: Forms) -> Forms:
    """These forms, and masking's where a learner has what it takes."""

    def make(name: str, options: Mapping[str, Any]) -> Any:
        return _made(options) if name == NAME else forms.make(name, options)

    return Forms((*forms.names, NAME), make) if is_installed() else forms


def is_installed() -> bool:
    """Whether there is what keys and masks are made with."""
    return find_spec(PACKAGE) is not None


def _made(options: Mapping[str, Any]) -> MaskedForm:
    for _, problem in plugins.option_problems(MaskedForm, NAME, options):
        raise ConfigError(problem)
    return MaskedForm(**plugins.checked(MaskedForm, options))


def cohort_max(config: Config) -> int:
    """The learners of a round, if everybody is there."""
    from fedactors.config.sealing import updates_expected

    chosen = updates_expected(config)
    over = float(getattr(build_protocol(config), "over_selection", 0.0))
    return min(math.ceil(round(chosen * (1 + over), 9)), config.learners.count)
