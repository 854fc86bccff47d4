"""A federation in virtual time: a day of it in seconds, with the controller's side as it is in earnest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from fedactors import config as configuration
from fedactors.actors.compute import Compute
from fedactors.actors.controller import EVENTS_PER_ANSWER_MAX, Controller
from fedactors.actors.life import Life
from fedactors.actors.messages import EventsFrom, Order
from fedactors.config import Config
from fedactors.config.tables import ModelTable
from fedactors.learner import LearnerContext, build_learner
from fedactors.learner.trainee import Trainee
from fedactors.model import Layout
from fedactors.protocol import Verb
from fedactors.record import Event, History, Results
from fedactors.runtime import ActorSystem, Restart
from fedactors.simulation.clock import VirtualLoop, run_virtual
from fedactors.simulation.luck import Luck
from fedactors.simulation.population import Population, Profiles
from fedactors.simulation.virtual import Being, VirtualGateway
from fedactors.simulation.work import Idle, Real, Work
from fedactors.system import blueprint, open_storage

Observer: TypeAlias = Callable[[Event], None]

IDLE_PARAMETERS = 1_000
"""Parameters of the model of learners that do not really train."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of a simulation.

    Attributes:
        results: as of any run; its times are virtual.
        virtual_s: how long the federation would have run.
        wall_s: how long it took to simulate.
        messages: that the actors handled.
        profiles: of the learners.
    """

    results: Results
    virtual_s: float
    wall_s: float
    messages: int
    profiles: Profiles


def simulate(
    config: Config,
    population: Population,
    *,
    learners: int | None = None,
    entry: Any | None = None,
    parameters: int = IDLE_PARAMETERS,
    observers: Sequence[Observer] = (),
) -> Simulated:
    """Run a federation in virtual time, to its end.

    Args:
        config: of the federation; what it says of addresses and liveness has no part in it.
        population: how fast and how reliable learners are.
        learners: how many; by default as configured.
        entry: the users' learners, which then really train; None: learners that take time and give back what they got.
        parameters: of the model, where nobody trains.
        observers: are told every event.

    Raises:
        LearnerFailed: a learner could not be made.
        Deadlock: every actor waits and no timer runs: a protocol's fault.
    """
    if entry is None:  # its one tensor is nobody's that [model] speaks of
        config = config.model_copy(update={"model": ModelTable()})
    count = config.learners.count if learners is None else learners
    profiles = population.draw(count, config.seed)
    began_s = time.perf_counter()
    beings = partial(_beings, config, profiles, entry, parameters)
    results, virtual_s, messages = run_virtual(_run(config, beings, observers))
    return Simulated(results, virtual_s, time.perf_counter() - began_s, messages, profiles)


def _beings(config: Config, profiles: Profiles, entry: Any | None, parameters: int) -> list[Being]:
    count, scope = len(profiles.epoch_s), configuration.scope(config)
    layout = Layout.of(scope.travelling({"weights": np.zeros(parameters, np.float32)}))
    update = np.zeros(layout.nbytes, np.uint8)
    update.flags.writeable = False
    beings = []
    for index in range(count):
        profile, learner = profiles.of(index), f"learner-{index}"
        context = LearnerContext(learner, index, count, config.seed, config.learners.options)
        work: Work = (
            Idle(layout, update, profile) if entry is None else Real(Trainee(build_learner(entry, context), scope), profile)
        )
        beings.append(Being(learner, profile, work, Luck(config.seed, index)))
    return beings


async def _run(config: Config, beings: Callable[[], list[Being]], observers: Sequence[Observer]) -> tuple[Results, float, int]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "simulations run in virtual time"
    plan = blueprint(config, partial(VirtualGateway, agenda=loop.agenda, beings=beings), Compute())
    await open_storage(plan.storage, config, threaded=False)
    async with ActorSystem(name=config.name, seed=config.seed) as system:
        life = Life(configuration.stop_conditions(config))
        controller = system.spawn(partial(Controller, plan, life), name="controller", restart=Restart.TRANSIENT)
        await controller.ask(Order(Verb.START))
        history, number = History(), life.forgotten
        while news := await controller.ask(EventsFrom(number, at_least=EVENTS_PER_ANSWER_MAX)):
            number += len(news)
            for event in news:
                history.take(event)
                for observer in observers:
                    observer(event)
        messages, virtual_s = sum(actor.messages for actor in system.statistics().actors), system.clock.now()
        await controller.ask(Order(Verb.CLOSE))
    await plan.storage.close()
    return history.results(config.name, config.seed, None), virtual_s, messages
