"""The form in which an update travels: what a learner makes of its new weights, and what the controller makes them of again.

    learner                                              controller
    packed = form.pack(update, base, model, seed)  ────▶ form.problem(packed, model)              before the update counts
                                                         form.unpack(packed, base, model, out)     when it is folded

`model` is the global model's layout, `base` the version that training started from, which both sides have. What travels has a
layout of its own that follows from the form and the model's, so that everything between the two, from the spool to the journal,
carries it as it carries any weights. Versions always travel as they are. A form that leaves something out may have its learner
hold that back for the next update: the residual.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from typing_extensions import override

from fedactors.errors import ConfigError
from fedactors.model import Array, Buffer, Layout

FORM_NAME_CHARS_MAX = 64
"""Of a form's name."""
FORMS_MAX = 64
"""Forms that one learner knows."""

Residual: TypeAlias = dict[str, Array]
"""What a learner holds back, by names of the form's own; every number in it is finite."""

_NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class Form(ABC):
    """A form. Implementations are frozen dataclasses whose fields are their options; pure, and the same on both sides."""

    needs_base: ClassVar[bool] = False
    """True where unpacking needs the base: the controller keeps every version that a learner trains from."""

    opens: ClassVar[bool] = True
    """False where the rule folds what travels, and nothing is unpacked."""

    optional: ClassVar[bool] = True
    """False where no update may travel as it is: a learner that does not know the form cannot take part."""

    @abstractmethod
    def layout(self, model: Layout) -> Layout:
        """What travels of an update to a model of this layout.

        Raises:
            ModelError: no update to such a model can travel in this form.
        """

    @abstractmethod
    def pack(self, update: Buffer, base: Buffer, model: Layout, seed: int) -> Buffer:
        """An update as it travels: uint8[self.layout(model).nbytes], a new buffer or, unchanged, the update's own.

        Args:
            update: uint8[model.nbytes], the new weights.
            base: uint8[model.nbytes], what they were trained from.
            model: the global model's layout.
            seed: the task's, of what is random; the same seed gives the same bits.

        Raises:
            ModelError: this update cannot travel in this form; it may travel as it is if the form is `optional`.
        """

    @abstractmethod
    def unpack(self, packed: Buffer, base: Buffer, model: Layout, out: Buffer) -> None:
        """Fill `out` with the new weights. What was packed had no `problem`.

        Args:
            packed: uint8[self.layout(model).nbytes], read-only.
            base: uint8[model.nbytes], what they were trained from; anything where the form does not need it.
            model: the global model's layout.
            out: uint8[model.nbytes]; its padding may be left as it is.
        """

    def nothing_held_back(self, model: Layout) -> Residual | None:  # noqa: ARG002  # most forms hold nothing back
        """The residual of a learner that has sent nothing; None where the form has none."""
        return None

    def pack_with(self, update: Buffer, base: Buffer, model: Layout, seed: int, residual: Residual) -> Buffer:  # noqa: ARG002
        """As `pack`, with what was held back as far as it can travel now; what does not is in the residual afterwards."""
        return self.pack(update, base, model, seed)

    def give_back(self, packed: Buffer, model: Layout, residual: Residual) -> None:  # noqa: B027  # as above
        """Add to the residual what was packed and did not count."""

    def problem(self, packed: Buffer, model: Layout) -> str | None:  # noqa: ARG002  # most forms can unpack any bits
        """Why something that came from afar cannot be unpacked, in words; None if it can."""
        return None

    def first_not_finite(self, packed: Buffer, model: Layout) -> str | None:
        """A tensor that unpacks to NaN or an infinity, by its name in what travels; None if every value comes out finite."""
        return self.layout(model).first_not_finite(packed)


@dataclass(frozen=True, slots=True)
class Identity(Form):
    """The new weights as they are: nothing is packed, copied or unpacked."""

    opens: ClassVar[bool] = False

    @override
    def layout(self, model: Layout) -> Layout:
        return model

    @override
    def pack(self, update: Buffer, base: Buffer, model: Layout, seed: int) -> Buffer:
        return update

    @override
    def unpack(self, packed: Buffer, base: Buffer, model: Layout, out: Buffer) -> None:
        out[:] = packed


IDENTITY = Identity()


@dataclass(frozen=True, slots=True)
class FormSpec:
    """What a controller says of the form that it wishes for.

    Attributes:
        name: of the form; empty: updates travel as they are.
        options: of the form.
    """

    name: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: _NO_OPTIONS)


AS_IT_IS = FormSpec()


def _unknown(name: str, _: Mapping[str, Any]) -> Form:
    raise ConfigError(f"no form named {name!r} is known here")


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms that one side knows.

    Attributes:
        names: of all but the identity.
        make: a form by its name and options; ConfigError where there is none.
    """

    names: tuple[str, ...] = ()
    make: Callable[[str, Mapping[str, Any]], Form] = _unknown

    def wished(self, spec: FormSpec) -> Form:
        """The form that a controller wishes for.

        Raises:
            ConfigError: it is not known here, or not with these options.
        """
        return self.make(spec.name, spec.options) if spec.name else IDENTITY


NO_FORMS = Forms()


class Travelling:
    """A form and the layout that it gives the model at hand, which is worked out once."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self._model: Layout | None = None
        self._layout: Layout | None = None

    def layout(self, model: Layout) -> Layout:
        """What travels of an update to a model of this layout."""
        if self._layout is None or self._model is not model:
            self._model, self._layout = model, self.form.layout(model)
        return self._layout
