"""The actor that turns updates into versions: it lends the receive buffers, folds what is accepted and commits."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from typing_extensions import override

from fedactors.actors.compute import Compute
from fedactors.actors.kept_state import KeptState
from fedactors.actors.kept_updates import KeptUpdates
from fedactors.actors.messages import (
    BorrowBuffer,
    Combined,
    CombineRound,
    DropRound,
    DropUpdate,
    FoldUpdate,
    ForgetBases,
    ForgetLearner,
    GetModel,
    Initialise,
    Initialised,
    NotCombined,
    NotRecalled,
    Offer,
    ParkBuffer,
    PutModel,
    Recall,
    ReturnBuffer,
    RoomThere,
    ToAggregator,
    ToController,
    ToMaskBroker,
    ToModelStore,
    UnmaskRound,
    UpdateHere,
    UploadGivenUp,
    UploadsOverdue,
    Verdict,
)
from fedactors.actors.room import BOUNDLESS, Room
from fedactors.actors.shard import ShardActor, ShardMaker
from fedactors.actors.spill import Held, Spill, as_buffer
from fedactors.actors.upload_slots import Loan, UploadSlots, Wish
from fedactors.aggregation import Constant, Contribution, Discount, Fold, Rule, Weighting
from fedactors.aggregation.masked import MaskedFold
from fedactors.errors import ModelError, Rejected
from fedactors.form import IDENTITY, Form, Travelling
from fedactors.journal import Journal
from fedactors.log import get_logger
from fedactors.model import Buffer, GlobalModel, Layout, Version
from fedactors.protocol import BufferPool
from fedactors.runtime import Actor, ActorRef, Deferred, handle
from fedactors.scope import WHOLE, Scope
from fedactors.storage.entries import LearnerModel
from fedactors.task import Round, TaskId

log = get_logger("fedactors.aggregator")

PARKED_S = 30.0
"""How long a cut upload is kept for another attempt."""


@dataclass(frozen=True, slots=True)
class AggregationPlan:
    """How updates are combined.

    Attributes:
        rule: the aggregation rule.
        scope: which tensors travel; an initial model with others is refused.
        weighting: an update's share, from its report.
        discount: what an update's share is multiplied by, from its staleness.
        uploads_max: models that are received at the same time, >= 1, and as many again from slow learners: what bounds the
            memory of a round.
        buffers_kept: idle receive buffers that stay warm for the next upload.
        form: in which updates may travel.
        shards: contiguous stretches that the model is combined in, >= 1; with more than one, updates wait outside of memory.
        shards_dir: where they do.
        shard_maker: makes the actors that combine them.
    """

    rule: Rule
    weighting: Weighting
    discount: Discount = field(default_factory=Constant)
    scope: Scope = WHOLE
    uploads_max: int = 4
    buffers_kept: int = 4
    form: Form = IDENTITY
    shards: int = 1
    shards_dir: Path = field(default_factory=lambda: Path(gettempdir()))
    shard_maker: ShardMaker = ShardActor

    @property
    def needs_base(self) -> bool:
        """Whether an update is of use only together with the version that it was trained from."""
        return self.rule.needs_base or self.form.needs_base


class Aggregator(Actor[ToAggregator]):
    """Owns the rule at work and every tensor between its arrival and its commit."""

    def __init__(
        self,
        plan: AggregationPlan,
        store: ActorRef[ToModelStore],
        controller: ActorRef[ToController],
        compute: Compute,
        journal: Journal,
        masks: ActorRef[ToMaskBroker] | None = None,
        room: Room = BOUNDLESS,
    ) -> None:
        self._plan = plan
        self._store = store
        self._journal = journal
        self._masks = masks
        self._keeps_updates = journal.keeps_updates and masks is None  # another process could not unmask them
        self._kept = KeptUpdates(journal, store)
        self._state = KeptState(store, compute)
        self._controller = controller
        self._compute = compute
        self._travelling = Travelling(plan.form)
        self._model: GlobalModel | None = None
        self._fold: Fold | None = None
        self._offers: dict[TaskId, Offer] = {}
        self._pool = BufferPool(plan.buffers_kept)
        self._room = room
        self._slots = UploadSlots(plan.uploads_max, self._pool, room)
        self._held: list[Held] = []
        self._bases: dict[Version, Buffer] = {}

    @override
    async def started(self) -> None:
        self._room.call(lambda: self.ref.tell(RoomThere()))
        try:
            model = await self._store.ask(GetModel())
        except Rejected:
            return  # the federation is new: Initialise brings the model
        await self._restore(model)
        self._move_on(model)

    async def _restore(self, model: GlobalModel) -> None:
        """Go on from the newest version."""
        self._fold = await self._state.restored(self._plan.rule, model, self._journal.story.here)

    def _begin(self, layout: Layout) -> None:
        """Begin with version 0."""
        self._fold = self._plan.rule.fold(layout)

    @override
    def stopped(self, reason: BaseException | None) -> None:
        self._room.clear()  # whoever receives ends with the gateway, which ends with this actor

    # ------------------------------------------------------------------------------------------------------------- buffers

    @handle
    def borrow(self, message: BorrowBuffer) -> Deferred[Loan]:
        """Lend a buffer now, or as soon as there is a place."""
        deferred: Deferred[Loan] = self.reply_later()
        self._slots.wish(Wish(message.learner, message.nbytes, message.upload, deferred, message.in_memory))
        self._lend_on()
        return deferred

    @handle
    def take_back(self, message: ReturnBuffer) -> None:
        """An upload came to nothing."""
        if self._upload_over(message.buffer):
            self._give(message.buffer)

    @handle
    def park(self, message: ParkBuffer) -> None:
        """An upload was cut."""
        if self._slots.park(message.upload, message.loan, self.clock.now()):
            self.after(PARKED_S, UploadGivenUp(message.upload), key=message.upload)
            self._lend_on()

    @handle
    def give_up(self, message: UploadGivenUp) -> None:
        """It was not begun again; or it was, and is under way or over: then nothing of it is parked."""
        self._slots.drop(message.upload)

    @handle
    def overdue(self, _: UploadsOverdue) -> None:
        """Who takes long makes room for who waits."""
        self._lend_on()

    @handle
    def room_there(self, _: RoomThere) -> None:
        """Another federation has given memory back."""
        self._lend_on()

    def _give(self, held: Held) -> None:
        """What an update was received into makes room for another."""
        assert not isinstance(held, Spill), "updates are received into memory"
        self._pool.give(held)

    def _upload_over(self, buffer: Held) -> bool:
        """Whether the buffer was lent here, and not by an instance that failed."""
        was_lent = self._slots.over(buffer, self.clock.now())
        self._lend_on()
        return was_lent

    def _lend_on(self) -> None:
        now_s = self.clock.now()
        self._slots.make_room(now_s)
        while (granted := self._slots.next(now_s)) is not None:
            wish, loan = granted
            wish.reply.resolve(loan)
        if (overdue_s := self._slots.overdue_s()) is not None:
            self.after(max(overdue_s - now_s, 0.0), UploadsOverdue(), key="overdue")

    # ------------------------------------------------------------------------------------------------------------- versions

    @handle
    async def initialise(self, message: Initialise) -> None:
        """Make version 0."""
        self._upload_over(message.buffer)
        if self._model is not None:
            raise Rejected(f"the federation has a model already, version {self._model.version}")
        self._check(message.layout)
        model = GlobalModel(0, message.layout, message.buffer)
        await self._store.ask(PutModel(model))
        self._begin(model.layout)
        self._move_on(model)
        self._controller.tell(Initialised(message.source, model))

    def _check(self, layout: Layout) -> None:
        scope = self._plan.scope
        if not layout.num_parameters:
            raise Rejected("the model has not a single value; give one with weights")
        if (problem := scope.problem(layout)) is not None:
            raise Rejected(problem)
        try:
            self._travelling.layout(layout)
        except ModelError as error:
            raise Rejected(str(error)) from error
        for pattern in scope.unmatched("frozen", (tensor.name for tensor in layout.tensors)):
            log.warning("pattern_matches_nothing", key="model.frozen", pattern=pattern)

    def _move_on(self, model: GlobalModel, unused: Iterable[Version] = ()) -> None:
        """This is the newest version; of the older ones, those that learners still train from are kept."""
        self._model = model
        if self._plan.needs_base:
            for version in unused:
                self._bases.pop(version, None)
            self._bases[model.version] = model.buffer

    @handle
    def forget_bases(self, _: ForgetBases) -> None:
        """Nobody trains from an older version."""
        self._bases.clear()
        if self._model is not None:
            self._move_on(self._model)

    @handle
    def offer(self, message: Offer) -> None:
        """Hold an update until the scheduler has decided."""
        self._offers[message.task] = message
        if message.borrowed:
            self._upload_over(message.buffer)

    @handle
    def fold(self, message: FoldUpdate) -> Coroutine[Any, Any, None] | None:
        """Fold an offered update: a small one at once, a big one in a thread; where updates are kept, that comes first."""
        offer, model = self._offers.pop(message.task), self._model
        assert model is not None, "updates are folded only once there is a model"
        if self._keeps_updates or not self._compute.in_place(2 * model.buffer.nbytes):
            return self._fold_elsewhere(message, offer, model)
        opened = self._place(offer, model)
        self._add(offer, opened, model, message.staleness)
        self._folded(message, offer, opened)
        return None

    async def _fold_elsewhere(self, message: FoldUpdate, offer: Offer, model: GlobalModel) -> None:
        if self._keeps_updates:
            await self._kept.keep(message, offer, model)
        opened = self._place(offer, model)
        await self._compute.run(2 * model.buffer.nbytes, self._add, offer, opened, model, message.staleness)
        self._folded(message, offer, opened)

    def _place(self, offer: Offer, model: GlobalModel) -> Offer:
        """Where an update is when it is folded: where it came, or in memory of its own if it has to be unpacked first."""
        if not offer.form.opens:
            return offer
        return replace(offer, buffer=self._pool.take(model.buffer.nbytes), borrowed=True, form=IDENTITY)

    def _add(self, offer: Offer, opened: Offer, model: GlobalModel, staleness: int) -> None:
        """Fold an offered update, in a thread where it is big."""
        if opened is not offer:
            base = self._base(staleness) if offer.form.needs_base else model.buffer
            offer.form.unpack(as_buffer(offer.buffer), base, model.layout, as_buffer(opened.buffer))
        self._folding().add(self._contribution(opened, staleness))

    def _folded(self, message: FoldUpdate, offer: Offer, opened: Offer) -> None:
        if message.answer_to is not None:
            message.answer_to.tell(Verdict(message.task, None, ""))
        if offer is not opened and offer.borrowed:
            self._give(offer.buffer)
        if opened.borrowed:
            self._held.append(opened.buffer)
        if not self._plan.rule.keeps_updates:
            self._let_go()

    @handle
    async def recall(self, message: Recall) -> None:
        """Offer an update that counted before a restart."""
        counted = message.counted
        try:
            kept = await self._kept.find(message)
            form = self._form_of(kept)
        except Rejected as gone:
            log.warning("update_not_recalled", learner=counted.learner, why=str(gone))
            message.reply_to.tell(NotRecalled(message.task))
            return
        held = await self._recalled(kept.buffer)
        borrowed = held is not kept.buffer
        self._offers[message.task] = Offer(message.task, counted.learner, counted.report, held, borrowed, form)
        message.reply_to.tell(UpdateHere(message.task, counted.learner, counted.report, 0, 0))

    async def _recalled(self, buffer: Buffer) -> Held:
        """Where an update that was kept waits until it is folded."""
        return buffer

    def _form_of(self, kept: LearnerModel) -> Form:
        """In which form an update travelled that was kept.

        Raises:
            Rejected: not in one of this run, or the version that it was trained from is gone.
        """
        assert self._model is not None, "updates are recalled only once there is a model"
        model, form = self._model.layout, self._plan.form
        if kept.layout.digest == model.digest:
            return IDENTITY
        if kept.layout.digest != self._travelling.layout(model).digest:
            raise Rejected("it travelled in a form that this run does not have")
        if form.needs_base and kept.base not in self._bases:
            raise Rejected(f"version {kept.base}, without which it cannot be unpacked, is not at hand")
        return form

    def _contribution(self, offer: Offer, staleness: int) -> Contribution:
        discount = self._plan.discount.factor(staleness)
        return Contribution(
            offer.learner,
            as_buffer(offer.buffer),
            self._plan.weighting.factor(offer.report) * discount,
            staleness,
            discount,
            offer.report,
            self._base(staleness) if self._plan.rule.needs_base else None,
        )

    def _base(self, staleness: int) -> Buffer:
        """The weights that an update started from: kept for as long as a learner trains from them, whatever the store evicts."""
        assert self._model is not None, "updates are folded only once there is a model"
        return self._bases[self._model.version - staleness]

    @handle
    def forget(self, message: ForgetLearner) -> None:
        """A learner has left: what a rule keeps of it from round to round counts no more."""
        self._slots.forget(message.learner)
        if self._fold is not None:
            self._fold.forget(message.learner)

    @handle
    def drop(self, message: DropUpdate) -> None:
        """Forget an offered update."""
        offer = self._offers.pop(message.task, None)
        if offer is not None and offer.borrowed:
            self._give(offer.buffer)

    @handle
    async def combine(self, message: CombineRound) -> None:
        """Commit a version and have it kept before anybody hears of it."""
        current = self._model
        assert current is not None, "rounds are combined only once there is a model"
        try:
            buffer = await self._combined(message.round, current)
        except ModelError as error:
            self._release()
            message.reply_to.tell(NotCombined(message.round, str(error)))
            return
        self._release()
        version = await self._commit(GlobalModel(current.version + 1, current.layout, buffer), message)
        message.reply_to.tell(Combined(message.round, version))

    async def _combined(self, round_: Round, current: GlobalModel) -> Buffer:
        """The next version's buffer.

        Raises:
            ModelError: what was folded cannot be combined.
        """
        fold = self._folding()
        if self._masks is not None:
            await self._unmask(round_, fold, self._masks)
        return await self._compute.run((2 + len(self._held)) * current.buffer.nbytes, fold.commit, current)

    async def _commit(self, model: GlobalModel, asked: CombineRound) -> Version:
        """Make this the newest version; which that is."""
        await self._keep_state(model.version)
        self._kept.committing(asked.round, model.version)
        await self._store.ask(PutModel(model))
        self._kept.committed()
        self._state.committed()
        self._move_on(model, asked.unused)
        return model.version

    async def _keep_state(self, version: Version) -> None:
        """Keep what the rule keeps with a version that is about to be kept."""
        await self._state.keep(self._folding().state(), version)

    async def _unmask(self, round_: Round, fold: Fold, masks: ActorRef[ToMaskBroker]) -> None:
        """Have the learners whose masked updates are in the sum say how it is read; the broker bounds how long that takes."""
        assert isinstance(fold, MaskedFold), "where there is a broker, updates are masked"
        try:
            fold.unmask_by(await masks.ask(UnmaskRound(round_, tuple(fold.learners))))
        except Rejected as too_few:
            raise ModelError(str(too_few)) from too_few

    @handle
    def drop_round(self, _: DropRound) -> None:
        """Forget what was folded since the last version."""
        self._folding().abandon()
        self._kept.committed()
        self._release()

    def _let_go(self) -> None:
        """Of the updates that were folded, those that the rule does not read any more make room for others."""
        held, fold = self._held, self._folding()
        self._held = [buffer for buffer in held if fold.holds(as_buffer(buffer))]
        if len(held) > 1:
            self._pool.grow(len(held))
        for buffer in held:
            if not fold.holds(as_buffer(buffer)):
                self._give(buffer)

    def _release(self) -> None:
        """The rule is done with the updates that it kept: their buffers stay warm for the next round."""
        self._pool.grow(len(self._held))
        for buffer in self._held:
            self._give(buffer)
        self._held.clear()

    def _folding(self) -> Fold:
        assert self._fold is not None, "updates are folded only once there is a model"
        return self._fold
