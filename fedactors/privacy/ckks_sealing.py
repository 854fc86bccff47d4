"""A learner's side of CKKS: what it does to versions before it trains, and to updates before they leave it."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from typing_extensions import override

from fedactors.errors import ConfigError, ModelError
from fedactors.model import GlobalModel, Layout, Weights
from fedactors.privacy.ckks_cipher import CkksCipher
from fedactors.privacy.ckks_key import CkksKey
from fedactors.privacy.ckks_layout import SealedLayout, is_sealed, read, sealed, written
from fedactors.privacy.ckks_parameters import PRESETS
from fedactors.privacy.ckks_values import flattened, unflattened
from fedactors.privacy.sealing import Sealing, SealingSpec


class CkksSealing(Sealing):
    """Sealing with one key. One thread at a time.

    An update is Enc(f w) with f = factor / unit. The unit is fixed by version 0, as the sum of factors that is expected of a
    commit, so that sums of f are about 1 whatever learners count by.
    """

    def __init__(self, key: CkksKey, reference: float | None = None, updates: int = 1, *, by_examples: bool = False) -> None:
        """Seal with a key.

        Args:
            key: whose preset decides the parameters.
            reference: the mean factor that is expected; None: as many examples as the giver of version 0 has.
            updates: expected in a commit.
            by_examples: updates count by their examples.
        """
        self._key = key
        self._parameters = PRESETS[key.preset]
        self._reference = reference
        self._updates = updates
        self._by_examples = by_examples
        self._cipher = CkksCipher(self._parameters, key.secret)

    @property
    def preset(self) -> str:
        """Of the key's parameters."""
        return self._key.preset

    @classmethod
    def agreed(cls, key: CkksKey, spec: SealingSpec) -> Self:
        """What a controller asks for, if it is for this key; else ConfigError."""
        options: dict[str, Any] = dict(spec.options)
        preset, reference, updates = options.get("preset"), options.get("reference"), options.get("updates")
        if spec.method != "ckks":
            raise ConfigError(f"the federation seals by {spec.method!r}, and this learner's key is for 'ckks'")
        if preset != key.preset:
            raise ConfigError(
                f"the federation seals with CKKS preset {preset!r:.40}, and this learner's key is for {key.preset!r}"
            )
        if not (reference is None or (isinstance(reference, float) and 0 < reference < np.inf)):
            raise ConfigError(f"the federation asks for the reference {reference!r:.40}; it is a number above 0")
        if not isinstance(updates, int) or updates < 1:
            raise ConfigError(f"the federation asks for sums of {updates!r:.40} updates; it is a number from 1 on")
        return cls(key, reference, updates, by_examples=spec.weighting == "examples")

    @override
    def initial(self, weights: Weights, num_examples: int) -> Weights:
        mean = self._reference or float((num_examples if self._by_examples else 1) or 1)
        plain = Layout.of(weights)
        into = sealed(plain, self._parameters, self._key.fingerprint, mean * self._updates)
        return self._sealed(plain, weights, 1.0, into)

    @override
    def update(self, weights: Weights, factor: float, base: GlobalModel) -> Weights:
        into = self._readable(base.layout)
        return self._sealed(into.plain(base.buffer), weights, factor / into.unit, into)

    @override
    def opened(self, model: GlobalModel) -> GlobalModel:
        found = self._readable(model.layout)
        layout, factor = found.plain(model.buffer), float(found.factor(model.buffer)[0])
        if not 0 < factor < np.inf:
            raise ModelError(f"the sealed model's factors sum to {factor}; a version's are above 0")
        values = np.empty(found.ciphertexts * self._parameters.degree)
        self._cipher.decrypt(found.words(model.buffer), values.reshape(found.ciphertexts, -1))
        np.divide(values, factor, out=values)
        if not max(-np.min(values), np.max(values)) <= 1.01 * self._parameters.weight_max:
            raise ModelError("the sealed model opens to noise: an update was out of range, or the model was tampered with")
        return GlobalModel(model.version, layout, unflattened(layout, values))

    def _readable(self, layout: Layout) -> SealedLayout:
        if not is_sealed(layout):
            raise ModelError("the model is not sealed, and this learner shall see sealed ones only")
        found = read(layout)
        if found.key != self._key.fingerprint:
            raise ModelError(f"the model is sealed with the CKKS key {found.key:.64}, and this one is {self._key.fingerprint}")
        return found

    def _sealed(self, plain: Layout, weights: Weights, factor: float, into: SealedLayout) -> Weights:
        parameters = self._parameters
        if not 0 <= factor <= parameters.factor_max:
            said = (
                f"the update's factor is {factor:g} times the sum that is expected of a commit; up to {parameters.factor_max:g}"
            )
            raise ModelError(f"{said} can be sealed: write the mean factor as secure.options.reference")
        values = np.empty(into.ciphertexts * parameters.degree)
        flattened(plain, weights, values, parameters.weight_max)
        np.multiply(values, factor, out=values)
        buffer = np.zeros(into.layout.nbytes, np.uint8)
        self._cipher.encrypt(values.reshape(into.ciphertexts, -1), into.words(buffer))
        into.factor(buffer)[0] = factor
        into.tensors(buffer)[:] = np.frombuffer(written(plain), np.uint8)
        return into.layout.views(buffer)
