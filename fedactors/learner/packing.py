"""One learner's updates in the form in which they travel, and what they leave out. Pure.

pack       an update; what the learner has held back goes along as far as it can
settle     whether it counts: what it had sent is held back again if not
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from fedactors.errors import ModelError
from fedactors.form import IDENTITY, Form, Residual
from fedactors.model import Buffer, GlobalModel, Layout
from fedactors.task import TaskId


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An update as it travels.

    Attributes:
        layout: of the buffer.
        buffer: uint8[layout.nbytes].
        form: of what is in it.
        why_not: why it travels as it is, in words, although another form is wished for; None where it does not.
    """

    layout: Layout
    buffer: Buffer
    form: Form
    why_not: str | None = None


class Packing:
    """The form that a controller wishes for, at work from a learner's joining to its leaving.

    `settle` may be called while another thread is in `pack`: what is to be held back again waits for the next update.

    Attributes:
        form: which.
    """

    def __init__(self, form: Form = IDENTITY) -> None:
        self.form = form
        self._residual: Residual | None = None
        self._sent: dict[TaskId, Buffer] = {}  # what is not settled, where something is held back
        self._returned: deque[Buffer] = deque()

    def pack(self, task: TaskId, update: Buffer, model: GlobalModel, seed: int) -> Packed:
        """The update that answers a task, trained from this version; as it is where the form cannot carry it and need not.

        Raises:
            ModelError: the form cannot carry it, and nothing travels in another.
        """
        try:
            residual = self._held_back(model.layout)
            given = (update, model.buffer, model.layout, seed)
            packed = self.form.pack(*given) if residual is None else self.form.pack_with(*given, residual)
        except ModelError as error:
            if not self.form.optional:
                raise
            return Packed(model.layout, update, IDENTITY, str(error))
        if residual is not None:
            self._sent[task] = packed
        return Packed(self.form.layout(model.layout), packed, self.form)

    def settle(self, task: TaskId, accepted: bool) -> None:
        """Whether the update that answered this task counts; one that was settled before, or never packed, changes nothing."""
        sent = self._sent.pop(task, None)
        if sent is not None and not accepted:
            self._returned.append(sent)

    def _held_back(self, layout: Layout) -> Residual | None:
        if self._residual is None:
            self._residual = self.form.nothing_held_back(layout)
        while self._residual is not None and self._returned:
            self.form.give_back(self._returned.popleft(), layout, self._residual)
        return self._residual
