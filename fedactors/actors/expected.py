"""What the weights that answer a task must be, as far as that is known before any memory is taken for them. Pure.

Where there is a model, they have its layout and travel in the run's form, or as they are if the form is optional. Where there is
none, they are the first: their sender declares the layout, within a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fedactors.errors import ModelError, UpdateRefused
from fedactors.form import IDENTITY, Form, Travelling
from fedactors.model import Buffer, Layout
from fedactors.protocol import PushOpening
from fedactors.task import Refusal


@dataclass(frozen=True, slots=True)
class Expected:
    """What the weights that answer a task travel as.

    Attributes:
        model: the layout of the weights.
        form: in which they travel.
        layout: of what travels.
    """

    model: Layout
    form: Form
    layout: Layout

    @classmethod
    def as_they_are(cls, model: Layout) -> Expected:
        """The weights themselves."""
        return cls(model, IDENTITY, model)

    @classmethod
    def from_opening(cls, opening: PushOpening, model: Layout | None, travelling: Travelling, model_bytes_max: int) -> Expected:
        """What comes after an opening.

        Args:
            opening: of the push.
            model: the global model's layout; None while there is none.
            travelling: the form that updates may travel in.
            model_bytes_max: of a model that is declared.

        Raises:
            UpdateRefused: it fits nothing that weights may travel as, or what it declares is no layout, or too large a one.
        """
        for expected in _forms(opening, model, travelling, model_bytes_max):
            if opening.layout_digest == expected.layout.digest and opening.total_bytes == expected.layout.nbytes:
                return expected
        packed = "" if travelling.form == IDENTITY else ", packed or not"
        raise UpdateRefused(Refusal.LAYOUT, f"names, shapes or dtypes differ from the global model's{packed}")

    def refusal(self, buffer: Buffer, *, refuse_not_finite: bool) -> UpdateRefused | None:
        """Why what came cannot be taken; None if it can."""
        if (problem := self.form.problem(buffer, self.model)) is not None:
            return UpdateRefused(Refusal.FORM, problem)
        tensor = self.form.first_not_finite(buffer, self.model) if refuse_not_finite else None
        return None if tensor is None else UpdateRefused(Refusal.NOT_FINITE, f"tensor {tensor!r} holds NaN or an infinity")


def _forms(opening: PushOpening, model: Layout | None, travelling: Travelling, model_bytes_max: int) -> Iterator[Expected]:
    """What the weights may travel as."""
    if model is None:
        yield Expected.as_they_are(_declared(opening, model_bytes_max))
        return
    yield Expected(model, travelling.form, travelling.layout(model))
    if travelling.form.optional:
        yield Expected.as_they_are(model)


def _declared(opening: PushOpening, model_bytes_max: int) -> Layout:
    try:
        layout = Layout.from_specs(opening.specs or ())
    except ModelError as error:
        raise UpdateRefused(Refusal.LAYOUT, str(error)) from error
    if layout.nbytes > model_bytes_max:
        limit = f"limits.model_bytes_max = {model_bytes_max:,}"
        raise UpdateRefused(Refusal.LAYOUT, f"the model has {layout.nbytes:,} bytes, more than {limit}")
    return layout
