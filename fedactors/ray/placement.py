"""Which learner is on which host. Pure: it decides, and `hosts` makes hosts and learners accordingly.

place   a learner that has no host: on the one with the fewest, the eldest of several
lose    a host, whose learners then have none and are placed anew as they come
"""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from fedactors.model import LearnerId

HostId: TypeAlias = int


class Placement:
    """Learners on hosts, evenly; a learner stays where it is as long as its host is there.

    Attributes:
        hosts: that there are, the eldest first.
    """

    def __init__(self) -> None:
        self.hosts: list[HostId] = []
        self._host_of: dict[LearnerId, HostId] = {}
        self._counts: Counter[HostId] = Counter()

    def host_of(self, learner: LearnerId) -> HostId | None:
        """Where a learner is; None: nowhere yet, or nowhere any more."""
        return self._host_of.get(learner)

    def wants_host(self, learners: int, room: int) -> bool:
        """Whether one host more would serve so many learners where there is room for so many hosts."""
        return len(self.hosts) < min(learners, room)

    def add(self, host: HostId) -> None:
        """There is a new host."""
        assert host not in self.hosts
        self.hosts.append(host)

    def place(self, learner: LearnerId) -> HostId:
        """Put a learner that is nowhere on the host that has the fewest. There is one."""
        assert learner not in self._host_of
        host = min(self.hosts, key=lambda one: self._counts[one])
        self._host_of[learner] = host
        self._counts[host] += 1
        return host

    def lose(self, host: HostId) -> tuple[LearnerId, ...]:
        """A host is gone: the learners that it had, which are nowhere now. One that was gone before had none."""
        if host not in self.hosts:
            return ()
        self.hosts.remove(host)
        del self._counts[host]
        homeless = tuple(learner for learner, where in self._host_of.items() if where == host)
        for learner in homeless:
            del self._host_of[learner]
        return homeless
