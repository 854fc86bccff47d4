"""Who waits for news: each is answered with many events at once, when there are as many as it wished for."""

from __future__ import annotations

from fedactors.actors.life import Life, Phase
from fedactors.actors.messages import EventsFrom
from fedactors.errors import Rejected
from fedactors.record import Event
from fedactors.runtime import Deferred

EVENTS_PER_ANSWER_MAX = 1_000


class Watchers:
    """Those who wait for events that have not happened yet."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._waiting: list[tuple[EventsFrom, Deferred[tuple[Event, ...]]]] = []

    def answer(self, request: EventsFrom) -> tuple[Event, ...] | None:
        """What there is; None: it is to be waited for.

        Raises:
            Rejected: the first event is forgotten, or lies further ahead than the next one.
        """
        life = self._life
        if not life.forgotten <= request.number <= life.next_number:
            kept = f"{life.forgotten} to {life.next_number}"
            raise Rejected(f"events are kept from number {kept}; {request.number} was asked for")
        if life.phase is not Phase.DONE and life.next_number < request.number + min(request.at_least, EVENTS_PER_ANSWER_MAX):
            return None
        return tuple(life.events_from(request.number, EVENTS_PER_ANSWER_MAX))

    def wait(self, request: EventsFrom, answer: Deferred[tuple[Event, ...]]) -> None:
        """Answer as soon as there is enough, or the federation is done."""
        self._waiting = [(known, waiting) for known, waiting in self._waiting if not waiting.done()]
        self._waiting.append((request, answer))

    def look(self) -> None:
        """Something has happened: answer those for whom it is enough."""
        waiting, self._waiting = self._waiting, []
        for request, answer in waiting:
            if (news := self.answer(request)) is not None:
                answer.resolve(news)
            elif not answer.done():
                self._waiting.append((request, answer))
