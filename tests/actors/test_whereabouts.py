"""Who asks where the gateway listens is answered as soon as that is known."""

from __future__ import annotations

import asyncio

import pytest

from fedactors.actors.whereabouts import Whereabouts
from fedactors.errors import AddressError
from fedactors.runtime import Deferred
from fedactors.transport import Address

HERE = (Address.parse("memory://here"),)


def ask(whereabouts: Whereabouts) -> asyncio.Future[tuple[Address, ...]]:
    answer: asyncio.Future[tuple[Address, ...]] = asyncio.get_running_loop().create_future()
    whereabouts.tell(Deferred(answer))
    return answer


async def test_whoever_asks_too_early_is_answered_once_it_listens_and_others_at_once():
    whereabouts = Whereabouts()
    early = [ask(whereabouts), ask(whereabouts)]
    assert not any(answer.done() for answer in early)
    whereabouts.known(HERE)
    assert [answer.result() for answer in early] == [HERE, HERE]
    assert ask(whereabouts).result() == whereabouts.addresses == HERE


async def test_whoever_asks_hears_why_it_cannot_listen():
    whereabouts = Whereabouts()
    early = ask(whereabouts)
    whereabouts.failed(AddressError("the port is taken"))
    for answer in (early, ask(whereabouts)):
        with pytest.raises(AddressError, match="the port is taken"):
            answer.result()
    assert whereabouts.addresses == ()
