"""How a learner's weights come in: from a push, when there is a place, into a borrowed buffer that never gets lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

from fedactors.actors.compute import Compute
from fedactors.actors.expected import Expected
from fedactors.actors.looking import LookingReceiver
from fedactors.actors.messages import BorrowBuffer, ParkBuffer, ReturnBuffer, ToAggregator
from fedactors.actors.open_tasks import OpenTask
from fedactors.actors.spill import Held, Spill
from fedactors.actors.spilling import SpillingReceiver
from fedactors.actors.upload_slots import Loan, UploadId
from fedactors.errors import StreamClosed
from fedactors.form import IDENTITY
from fedactors.model import LearnerId
from fedactors.protocol import BlobReceiver, PushOpening, receive_blob
from fedactors.runtime import ActorRef
from fedactors.task import TaskKind
from fedactors.transport import Stream


class Intake:
    """Receives the updates of one learner.

    Attributes:
        bytes_up: of all frames that came; its owner sets it back.
    """

    def __init__(self, learner: LearnerId, aggregator: ActorRef[ToAggregator], compute: Compute, refuse_not_finite: bool) -> None:
        self.bytes_up = 0
        self._learner = learner
        self._aggregator = aggregator
        self._compute = compute
        self._refuse_not_finite = refuse_not_finite

    async def take(self, open_task: OpenTask, stream: Stream, opening: PushOpening, expected: Expected) -> Held | None:
        """The weights in a borrowed buffer, or spill; None if the task is decided before they are here.

        An attempt that is cut leaves what has come to the next one; a next one that comes before this one has noticed ends it.

        Raises:
            RemoteProtocolError: a chunk is out of place or damaged.
            StreamClosed: the learner is gone, or has begun another attempt.
            UpdateRefused: a weight is not finite, or what came cannot be unpacked.
        """
        if opening.chunk:  # everything is here
            return await self._receive(open_task, stream, opening, expected)
        while open_task.attempt is not None and not open_task.attempt.done():
            open_task.attempt.cancel()
            await asyncio.wait([open_task.attempt])
        attempt = asyncio.create_task(self._receive(open_task, stream, opening, expected), name=f"upload {open_task.task.id}")
        open_task.attempt, either = attempt, set[asyncio.Future[Any]]((attempt, open_task.verdict))
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._abandon(attempt)
            raise
        if not attempt.done():
            await self._abandon(attempt)
            return None
        if attempt.cancelled():
            raise StreamClosed("the learner has begun to deliver the same weights again")
        return attempt.result()

    async def _abandon(self, attempt: asyncio.Task[Held]) -> None:
        attempt.cancel()
        await asyncio.wait([attempt])
        if not attempt.cancelled() and attempt.exception() is None:
            self._aggregator.tell(ReturnBuffer(attempt.result()))

    async def _receive(self, open_task: OpenTask, stream: Stream, opening: PushOpening, expected: Expected) -> Held:
        open_task.receiver = None
        upload = (opening.task, opening.upload) if opening.upload and not opening.chunk else None
        loan = await self._borrow(expected.layout.nbytes, upload, in_memory=open_task.task.kind is TaskKind.INITIALISE)
        receiver = open_task.receiver = self._receiver(expected, loan)
        try:
            await receive_blob(stream, opening, receiver)
            await self._check(expected, receiver)
        except (StreamClosed, asyncio.CancelledError):
            wanted = upload is not None and not open_task.verdict.done()
            self._give_up(upload if wanted else None, receiver)
            raise
        except BaseException:
            self._give_up(None, receiver)
            raise
        finally:
            self.bytes_up += receiver.frames_bytes
        return loan.buffer

    def _receiver(self, expected: Expected, loan: Loan) -> BlobReceiver | SpillingReceiver:
        layout, held, received_bytes = expected.layout, loan.buffer, loan.received_bytes
        if isinstance(held, Spill):
            return SpillingReceiver(layout, held, received_bytes, self._compute, refuse_not_finite=self._refuse_not_finite)
        if self._refuse_not_finite and expected.form is IDENTITY:
            return LookingReceiver(layout, held, received_bytes)
        return BlobReceiver(layout, layout.nbytes, held, received_bytes)

    async def _borrow(self, nbytes: int, upload: UploadId | None, *, in_memory: bool) -> Loan:
        asked = self._aggregator.ask(BorrowBuffer(nbytes, self._learner, upload, in_memory))
        try:
            return await asked
        except asyncio.CancelledError:
            if asked.done() and not asked.cancelled() and asked.exception() is None:  # it was lent just before
                self._aggregator.tell(ReturnBuffer(asked.result().buffer))
            raise

    async def _check(self, expected: Expected, receiver: BlobReceiver | SpillingReceiver) -> None:
        if isinstance(receiver, SpillingReceiver):
            await receiver.settle()  # it has looked at every window
            return
        if isinstance(receiver, LookingReceiver) and receiver.is_finite:
            return
        buffer = receiver.out
        refusal = await self._compute.run(buffer.nbytes, expected.refusal, buffer, refuse_not_finite=self._refuse_not_finite)
        if refusal is not None:
            raise refusal

    def _give_up(self, upload: UploadId | None, receiver: BlobReceiver | SpillingReceiver) -> None:
        """Leave what has come to another attempt, if there may be one; else to nobody."""
        left = _left_by(receiver)
        if upload is not None and left.received_bytes:
            self._aggregator.tell(ParkBuffer(upload, left))
        else:
            self._aggregator.tell(ReturnBuffer(left.buffer))


def _left_by(receiver: BlobReceiver | SpillingReceiver) -> Loan:
    """What an attempt that ends leaves to the next one."""
    if isinstance(receiver, SpillingReceiver):
        return Loan(receiver.spill, receiver.written_bytes)
    return Loan(receiver.out, receiver.received_bytes)
