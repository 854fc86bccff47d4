"""One learner's updates in the form in which they travel. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fedactors.errors import ModelError
from fedactors.form import IDENTITY, Form
from fedactors.model import Buffer, GlobalModel, Layout


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An update as it travels.

    Attributes:
        layout: of the buffer.
        buffer: uint8[layout.nbytes].
        why_not: why it travels as it is, in words, although another form is wished for; None where it does not.
    """

    layout: Layout
    buffer: Buffer
    why_not: str | None = None


class Packing:
    """The form that a controller wishes for, at work.

    Attributes:
        form: which.
    """

    def __init__(self, form: Form = IDENTITY) -> None:
        self.form = form

    def pack(self, update: Buffer, model: GlobalModel, seed: int) -> Packed:
        """An update that was trained from this version; as it is where the form cannot carry it and need not.

        Raises:
            ModelError: the form cannot carry it, and nothing travels in another.
        """
        try:
            packed = self.form.pack(update, model.buffer, model.layout, seed)
            return Packed(self.form.layout(model.layout), packed)
        except ModelError as error:
            if not self.form.optional:
                raise
            return Packed(model.layout, update, str(error))
