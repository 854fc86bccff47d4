"""What the configuration says of versions that are sealed: for the controller, and for its learners."""

from __future__ import annotations

import numpy as np

from fedactors.aggregation.base import Rule
from fedactors.aggregation.ckks_sum import CkksSum
from fedactors.config.plugging import build_protocol, build_secure, build_selection, scope
from fedactors.config.tables import Config
from fedactors.form import Form
from fedactors.privacy.ckks import Ckks
from fedactors.privacy.ckks_form import Sealed
from fedactors.privacy.ckks_layout import SealedScope
from fedactors.privacy.sealing import UNSEALED, SealingSpec
from fedactors.scope import Scope
from fedactors.selection.base import Candidate


def seal(config: Config) -> Ckks | None:
    """The method by which versions are sealed; None where they are not."""
    method = None if config.secure.method is None else build_secure(config)
    return method if isinstance(method, Ckks) else None


def kept_scope(config: Config) -> Scope:
    """What of a model travels, as the controller sees it, who cannot look into what is sealed."""
    method = seal(config)
    return scope(config) if method is None else SealedScope(preset=method.preset)


def sealed_rule(config: Config) -> Rule | None:
    """The rule that takes fedavg's place where versions are sealed; None where they are not."""
    method = seal(config)
    return None if method is None else CkksSum(method.parameters)


def sealed_form(config: Config) -> Form | None:
    """What is seen of a sealed update before it counts; None where versions are not sealed."""
    method = seal(config)
    return None if method is None else Sealed(method.parameters)


def sealing_spec(config: Config) -> SealingSpec:
    """What learners are told."""
    method = seal(config)
    if method is None:
        return UNSEALED
    options = {"preset": method.preset, "reference": method.reference, "updates": updates_expected(config)}
    return SealingSpec("ckks", options, config.aggregation.weighting)


def updates_expected(config: Config) -> int:
    """In a commit, if everybody is there: how many the protocol waits for, or the selection policy picks."""
    protocol = build_protocol(config)
    if protocol.streams:
        return int(getattr(protocol, "updates", 1))
    candidates = [Candidate(f"learner-{index}", num_examples=1) for index in range(config.learners.count)]
    selected = build_selection(config).select(candidates, 1, np.random.default_rng(config.seed))
    return len(selected) or len(candidates)
