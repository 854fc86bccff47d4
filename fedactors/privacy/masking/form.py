"""The form in which masked updates travel: words, that the controller adds up and never unpacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NoReturn

from typing_extensions import override

from fedactors.form import Form
from fedactors.model import Array, Buffer, Layout
from fedactors.privacy.masking.fixed_point import words_layout
from fedactors.privacy.masking.terms import Terms

NAME = "masking"


@dataclass(frozen=True, slots=True)
class MaskedForm(Terms, Form):
    """What all members of a round must agree on. An update is written by the members of its round, who alone know its masks."""

    opens: ClassVar[bool] = False
    optional: ClassVar[bool] = False

    @override
    def layout(self, model: Layout) -> Layout:
        return words_layout(model, self.bits)

    @override
    def pack(self, update: Buffer, base: Buffer, model: Layout, seed: int, residual: dict[str, Array] | None = None) -> NoReturn:
        raise AssertionError("an update is masked by a member of its round")

    @override
    def unpack(self, packed: Buffer, base: Buffer, model: Layout, out: Buffer) -> NoReturn:
        raise AssertionError("nobody can unpack a masked update")
