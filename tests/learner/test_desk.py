"""A learner at work: which versions it fetches."""

from __future__ import annotations

import numpy as np
import pytest

from fedactors.learner.desk import Desk
from fedactors.learner.worker import inline
from fedactors.log import get_logger
from fedactors.model import GlobalModel, Layout
from fedactors.protocol.messages import Task
from fedactors.scope import WHOLE
from fedactors.task import EvaluateParams, TaskKind
from fedactors.testing import ScriptedLearner

LAYOUT = Layout.of({"w": np.zeros(2, np.float32)})


@pytest.mark.parametrize(("resumed", "fetches"), [(True, 1), (False, 2)])
async def test_a_version_is_kept_for_as_long_as_the_controller_knows_the_learner(resumed, fetches):
    fetched = []

    async def fetch(version, _known):
        fetched.append(version)
        return GlobalModel(version, LAYOUT, np.zeros(LAYOUT.nbytes, np.uint8))

    desk = Desk(ScriptedLearner(), inline, fetch, get_logger("test"))
    desk.begin(WHOLE, resumed=False)
    task = Task("task", TaskKind.EVALUATE, EvaluateParams(round=1, version=3))
    for _ in range(2):
        await desk.answer(task, lambda: True)
    desk.begin(WHOLE, resumed=resumed)  # another controller's version 3 is another model
    await desk.answer(task, lambda: True)
    assert fetched == [3] * fetches
