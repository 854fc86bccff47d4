"""Updates that count, kept until their round is committed, so that they still count after the controller's death."""

from __future__ import annotations

import itertools

from fedactors.actors.messages import FoldUpdate, ForgetUpdates, GetUpdate, Offer, PutModel, Recall, ToModelStore
from fedactors.actors.spill import as_buffer
from fedactors.journal import Committing, Counted, Journal
from fedactors.model import GlobalModel, LearnerId, Version
from fedactors.runtime import ActorRef
from fedactors.storage.entries import LearnerModel
from fedactors.task import Round, TaskId

SEQUENCES_PER_LIFE = 2**32


class KeptUpdates:
    """The weights in the model store, what was said of them in the journal. It does nothing where the journal keeps nothing."""

    def __init__(self, journal: Journal, store: ActorRef[ToModelStore]) -> None:
        self._journal = journal
        self._store = store
        self._recalled: set[TaskId] = set()
        self._learners: dict[LearnerId, None] = dict.fromkeys(counted.learner for counted in journal.story.counted.values())
        self._sequences = itertools.count(journal.story.lives * SEQUENCES_PER_LIFE + len(journal.story.counted))

    async def keep(self, message: FoldUpdate, offer: Offer, newest: GlobalModel) -> None:
        """Keep an update that counts, as it travelled; when this returns, it is not forgotten any more."""
        if not self._journal.keeps_updates or message.task in self._recalled:
            return
        self._learners[offer.learner] = None
        sequence = next(self._sequences)
        started_from, layout = newest.version - message.staleness, offer.form.layout(newest.layout)
        await self._store.ask(PutModel(LearnerModel(offer.learner, sequence, started_from, layout, as_buffer(offer.buffer))))
        counted = Counted(message.task, offer.learner, message.round, sequence, message.staleness, offer.report)
        self._journal.write(counted)

    async def find(self, message: Recall) -> LearnerModel:
        """An update that counted before a restart.

        Raises:
            Rejected: it is not there.
        """
        counted = message.counted
        model = await self._store.ask(GetUpdate(counted.learner, counted.sequence))
        self._recalled.add(message.task)
        return model

    def committing(self, round_: Round, version: Version) -> None:
        """This version is about to be kept."""
        self._journal.write(Committing(round_, version))

    def committed(self) -> None:
        """It is, or the round was abandoned: nobody will ask for its updates."""
        if self._learners:
            self._store.tell(ForgetUpdates(tuple(self._learners)))
        self._learners.clear()
        self._recalled.clear()
