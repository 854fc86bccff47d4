"""How an upload is looked at for NaN and infinities as it comes in, while a chunk is still in the processor's cache."""

from __future__ import annotations

from typing_extensions import override

from fedactors.model import ALIGNMENT_BYTES, DTYPES, Buffer, Layout, all_finite, is_floating
from fedactors.protocol import BlobReceiver

RUNS_MAX = 1_000
"""A layout of more runs is not looked at chunk by chunk: it would hold up the event loop."""


class LookingReceiver(BlobReceiver):
    """Puts chunks into a buffer and looks at the values of each.

    It says only that everything is finite. Where it cannot, because something is not, or because an earlier attempt received
    a part, the whole buffer has to be looked at to know which tensor it is, if it is one.
    """

    def __init__(self, layout: Layout, out: Buffer, received_bytes: int) -> None:
        super().__init__(layout, layout.nbytes, out, received_bytes)
        self._runs = layout.runs()
        self._sound = received_bytes == 0 and len(self._runs) <= RUNS_MAX
        self._run = 0  # the first one that is not looked at to its end
        self._looked_at_bytes = 0

    @property
    def is_finite(self) -> bool:
        """Every value has come and is known to be finite."""
        return self._sound and self._looked_at_bytes == self.layout.nbytes

    @override
    def put(self, offset: int, data: memoryview) -> None:
        super().put(offset, data)
        if self._sound:
            self._look((offset + len(data)) // ALIGNMENT_BYTES * ALIGNMENT_BYTES)  # no value lies across such a place

    def _look(self, to: int) -> None:
        while self._sound and self._looked_at_bytes < to:
            dtype, _, run_end = self._runs[self._run]
            end = min(run_end, to)
            if is_floating(dtype):
                values = self.out[self._looked_at_bytes : end].view(DTYPES[dtype])
                self._sound = all_finite(values)
            self._looked_at_bytes = end
            while self._run < len(self._runs) and self._runs[self._run][2] <= end:  # runs may be empty
                self._run += 1
