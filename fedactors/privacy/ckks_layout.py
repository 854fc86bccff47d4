"""A sealed model: ciphertext in place of tensors, and what everybody may know of it. No cryptography.

    ckks/precise/KEY/UNIT/COUNT/coefficients   uint64[ciphertexts, 2, degree]   sum_i Enc(f_i w_i), both polynomials of each
    ckks/factor                                float64[1]                       sum_i f_i, with f_i = factor_i / UNIT
    ckks/tensors                               uint8[n]                         names, dtypes and shapes of the COUNT values, JSON

A version, an update and the sum of updates are of this one layout. What has to agree stands in the first tensor's name, so that
two models that cannot be added up differ in their layouts already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from fedactors.errors import ModelError
from fedactors.model import Array, Buffer, Layout
from fedactors.privacy.ckks_parameters import PRESETS, CkksParameters
from fedactors.scope import Scope

PREFIX = "ckks/"
FACTOR = "ckks/factor"
TENSORS = "ckks/tensors"


@dataclass(frozen=True)
class SealedLayout:
    """What is known of a sealed model without a key.

    Attributes:
        parameters: of its ciphertexts.
        key: the fingerprint of the key that opens it.
        unit: what factors are divided by, > 0.
        num_parameters: of the model.
        tensors_bytes: of the model's own layout, as it is written down.
    """

    parameters: CkksParameters
    key: str
    unit: float
    num_parameters: int
    tensors_bytes: int

    @property
    def ciphertexts(self) -> int:
        """How many there are."""
        return -(-self.num_parameters // self.parameters.degree)

    @cached_property
    def coefficients(self) -> str:
        """The first tensor's name."""
        return f"{PREFIX}{self.parameters.name}/{self.key}/{self.unit.hex()}/{self.num_parameters}/coefficients"

    @cached_property
    def layout(self) -> Layout:
        """Of the buffers."""
        shape = (self.ciphertexts, 2, self.parameters.degree)
        return Layout.from_specs(
            [
                (self.coefficients, self.parameters.word, shape),
                (FACTOR, "float64", (1,)),
                (TENSORS, "uint8", (self.tensors_bytes,)),
            ]
        )

    def words(self, buffer: Buffer) -> Array:
        """The coefficients of a buffer: uint32 or uint64[ciphertexts, 2, degree], a view."""
        return self.layout.views(buffer)[self.coefficients]

    def factor(self, buffer: Buffer) -> npt.NDArray[np.float64]:
        """The sum of the factors in a buffer: float64[1], a view."""
        return self.layout.views(buffer)[FACTOR]

    def tensors(self, buffer: Buffer) -> npt.NDArray[np.uint8]:
        """The model's own layout in a buffer, as it is written down: a view."""
        return self.layout.views(buffer)[TENSORS]

    def plain(self, buffer: Buffer) -> Layout:
        """The model's own layout.

        Raises:
            ModelError: it is not written down there, or of another model.
        """
        try:
            specs = json.loads(self.tensors(buffer).tobytes())
            layout = Layout.from_specs([(name, dtype, tuple(shape)) for name, dtype, shape in specs])
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(f"the sealed model's list of tensors cannot be read: {error}") from error
        if layout.num_parameters != self.num_parameters:
            raise ModelError(f"the sealed model has {self.num_parameters:,} values and a list of {layout.num_parameters:,}")
        return layout


def written(plain: Layout) -> bytes:
    """A model's own layout as a sealed one holds it."""
    return json.dumps(plain.specs, separators=(",", ":")).encode()


def sealed(plain: Layout, parameters: CkksParameters, key: str, unit: float) -> SealedLayout:
    """How a model of this layout is sealed."""
    return SealedLayout(parameters, key, unit, plain.num_parameters, len(written(plain)))


def is_sealed(layout: Layout) -> bool:
    """Whether a model says that it is sealed by CKKS."""
    return layout.tensors[0].name.startswith(PREFIX)


def read(layout: Layout) -> SealedLayout:
    """What is known of a sealed model.

    Raises:
        ModelError: this is no layout of one.
    """
    first = layout.tensors[0]
    try:
        _, preset, key, unit, count, _ = first.name.split("/")
        found = SealedLayout(PRESETS[preset], key, float.fromhex(unit), int(count), layout.tensors[-1].size)
        if found.num_parameters > 0 and 0 < found.unit < float("inf") and found.layout.specs == layout.specs:
            return found
    except (ValueError, KeyError, OverflowError, ModelError):
        pass
    raise ModelError(f"the model is not sealed with CKKS as it should be; its first tensor is {first!s:.200}")


@dataclass(frozen=True, slots=True)
class SealedScope(Scope):
    """What of a model travels where all of it is ciphertext: learners have chosen before they sealed.

    Attributes:
        preset: by which it is to be sealed.
    """

    preset: str = "precise"

    @override
    def num_parameters(self, layout: Layout) -> int:
        return read(layout).num_parameters

    @override
    def problem(self, layout: Layout) -> str | None:
        try:
            found = read(layout)
        except ModelError as error:
            return f"{error}: the learner that gave it has no key, or another release of fedactors"
        if found.parameters.name != self.preset:
            return f"the model is sealed with preset {found.parameters.name!r}, and secure.options.preset is {self.preset!r}"
        return None
