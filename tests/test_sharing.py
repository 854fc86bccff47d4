"""Federations that share threads and memory: as if each were alone, and none in the way of another."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from fedactors import Federation, Sharing
from fedactors.errors import FederationFailed
from fedactors.model import GlobalModel
from fedactors.testing import ScriptedLearner
from fedactors.testing.learners import adds

ROUNDS = 3
SMALL, LARGE = 1_000, 550_000
"""Parameters: of a model that is folded in place, and of one for which a thread is worth it."""


def config(name, **tables):
    return {"name": name, "seed": 1, "learners": {"count": 2}, "stop": {"rounds": ROUNDS}, **tables}


async def run(federation, parameters):
    for _ in range(2):
        federation.add_learner(ScriptedLearner({"w": np.zeros(parameters, np.float32)}, train=adds(1.0)))
    results = await federation.run()
    return results, await federation.model()


async def test_federations_that_share_end_with_the_bits_of_federations_that_do_not():
    async with Federation(config("alone")) as alone:
        expected = (await run(alone, LARGE))[1].sha256
    with Sharing(memory_bytes=64 * 2**20) as sharing:
        async with (
            Federation(config("a"), sharing=sharing) as a,
            Federation(config("b"), sharing=sharing) as b,
            Federation(config("c"), sharing=sharing) as c,
        ):
            ended = await asyncio.gather(run(a, LARGE), run(b, LARGE), run(c, SMALL))
    assert [model.sha256 for _, model in ended[:2]] == [expected, expected]
    assert [len(results.rounds) for results, _ in ended] == [ROUNDS] * 3


async def test_memory_for_one_model_at_a_time_is_enough_for_all():
    nbytes = 4 * LARGE
    with Sharing(memory_bytes=2 * nbytes) as sharing:
        async with Federation(config("a"), sharing=sharing) as a, Federation(config("b"), sharing=sharing) as b:
            async with asyncio.timeout(60):
                ended = await asyncio.gather(run(a, LARGE), run(b, LARGE))
    assert [len(results.rounds) for results, _ in ended] == [ROUNDS] * 2


async def test_a_model_that_is_too_large_to_share_ends_its_federation_alone_and_says_what_to_do():
    with Sharing(memory_bytes=1_000_000) as sharing:
        async with Federation(config("huge"), sharing=sharing) as huge, Federation(config("small"), sharing=sharing) as small:
            async with asyncio.timeout(60):
                failed, ended = await asyncio.gather(run(huge, LARGE), run(small, SMALL), return_exceptions=True)
    assert isinstance(failed, FederationFailed)
    assert "have it serve with --memory-bytes 4400" in str(failed)
    assert len(ended[0].rounds) == ROUNDS


async def test_so_does_one_that_is_shipped():
    with Sharing(memory_bytes=1_000_000) as sharing:
        async with Federation(config("huge"), sharing=sharing) as huge:
            model = GlobalModel.initial({"w": np.zeros(LARGE, np.float32)})
            with pytest.raises(FederationFailed, match="a model of 2,200,000 bytes is more than half"):
                await huge.admin.ship(model.layout, model.buffer)


async def test_what_a_federation_has_shared_is_given_back_when_it_ends():
    with Sharing(memory_bytes=64 * 2**20) as sharing:
        for name in ("first", "second"):
            async with Federation(config(name), sharing=sharing) as federation:
                await run(federation, SMALL)
            assert sharing.bytes_used == 0


@pytest.mark.parametrize("given", [{"threads": 0}, {"memory_bytes": 1}])
def test_what_cannot_be_shared_is_refused(given):
    with pytest.raises((ValueError, AssertionError)):
        Sharing(**given)
