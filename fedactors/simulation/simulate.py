"""A federation in virtual time: a day of it in seconds, with the controller's side as it is in earnest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from fedactors import config as configuration
from fedactors.actors.compute import Compute
from fedactors.actors.controller import Controller
from fedactors.actors.life import Life, Phase
from fedactors.actors.messages import EventsFrom, Order, ToController
from fedactors.actors.watchers import EVENTS_PER_ANSWER_MAX
from fedactors.config import Config
from fedactors.config.masking import masking
from fedactors.config.planning import blueprint
from fedactors.config.tables import ModelTable
from fedactors.errors import ConfigError
from fedactors.learner import LearnerContext, build_learner
from fedactors.learner.packing import Packing
from fedactors.learner.sealed import trainee
from fedactors.model import GlobalModel, Layout
from fedactors.privacy.ckks_layout import sealed
from fedactors.privacy.sealing import Key
from fedactors.protocol import Verb
from fedactors.record import Event, History, Results
from fedactors.runtime import ActorRef, ActorSystem, Restart
from fedactors.simulation.clock import VirtualLoop, run_virtual
from fedactors.simulation.costs import Costs, Progress, peak_bytes, resident_bytes
from fedactors.simulation.luck import Luck
from fedactors.simulation.population import Population, Profiles
from fedactors.simulation.virtual import Being, VirtualGateway
from fedactors.simulation.work import Idle, Real, Work
from fedactors.system import open_storage

Observer: TypeAlias = Callable[[Event], None]
Watch: TypeAlias = Callable[[Progress], bool]
"""Is shown how far a simulation has come; whether it shall go on."""

IDLE_PARAMETERS = 1_000
"""Parameters of the model of learners that do not really train."""
SCHEDULER = "/controller/scheduler"
WATCH_EVERY_S = 0.25
"""Of wall-clock time, between two looks at the progress."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came of a simulation.

    Attributes:
        results: as of any run; its times are virtual.
        virtual_s: how long the federation would have run.
        costs: what it took to simulate.
        profiles: of the learners.
    """

    results: Results
    virtual_s: float
    costs: Costs
    profiles: Profiles

    @property
    def updates(self) -> int:
        """How many updates all rounds were combined from."""
        return sum(record.totals.accepted for record in self.results.rounds)


def simulate(
    config: Config,
    population: Population,
    *,
    learners: int | None = None,
    entry: Any | None = None,
    parameters: int = IDLE_PARAMETERS,
    observers: Sequence[Observer] = (),
    watch: Watch | None = None,
) -> Simulated:
    """Run a federation in virtual time, to its end.

    Args:
        config: of the federation; what it says of addresses and liveness has no part in it.
        population: how fast and how reliable learners are.
        learners: how many; by default as configured.
        entry: the users' learners, which then really train; None: learners that take time and give back what they got.
        parameters: of the model, where nobody trains.
        observers: are told every event, a thousand together.
        watch: is shown the progress a few times a second; once it says no, the simulation ends with what there is.

    Raises:
        ConfigError: updates are masked, which virtual learners cannot do.
        LearnerFailed: a learner could not be made.
        Deadlock: every actor waits and no timer runs: a protocol's fault.
    """
    if masking(config) is not None:
        said = "virtual learners hold no keys, so that secure.method = 'masking' cannot be simulated"
        raise ConfigError(f"{said}: take it out, which changes no more than the masks' own cost (see fedactors check)")
    if entry is None:  # its one tensor is nobody's that [model] speaks of
        config = config.model_copy(update={"model": ModelTable()})
    count = config.learners.count if learners is None else learners
    profiles = population.draw(count, config.seed)
    began_s, began_cpu_s, began_bytes = time.perf_counter(), time.process_time(), resident_bytes()
    beings = partial(_beings, config, profiles, entry, parameters)
    results, virtual_s, messages, events = run_virtual(_run(config, beings, observers, watch))
    wall_s, cpu_s, peak = time.perf_counter() - began_s, time.process_time() - began_cpu_s, peak_bytes()
    costs = Costs(wall_s, cpu_s, messages, events, peak, max(peak - began_bytes, 0) / count)
    return Simulated(results, virtual_s, costs, profiles)


def _beings(config: Config, profiles: Profiles, entry: Any | None, parameters: int) -> list[Being]:
    count, scope, spec = len(profiles.epoch_s), configuration.scope(config), configuration.sealing_spec(config)
    layout = idle_layout(config, Layout.of(scope.travelling({"weights": np.zeros(parameters, np.float32)})), profiles)
    key = None if entry is None else drawn_key(config)
    form, zeros = configuration.build_form(config), GlobalModel(0, layout, np.zeros(layout.nbytes, np.uint8))
    update = Packing(form).pack("", zeros.buffer, zeros, config.seed)
    beings = []
    for index in range(count):
        profile, learner = profiles.of(index), f"learner-{index}"
        context = LearnerContext(learner, index, count, config.seed, config.learners.options)
        work: Work = (
            Idle(zeros, update, profile)
            if entry is None
            else Real(trainee(build_learner(entry, context), scope, spec, key), profile, form)
        )
        beings.append(Being(learner, profile, work, Luck(config.seed, index)))
    return beings


def drawn_key(config: Config) -> Key | None:
    """A key for virtual learners, which nobody needs when the simulation is over; None where nothing is sealed."""
    method = configuration.seal(config)
    if method is None:
        return None
    from fedactors.privacy.ckks_key import CkksKey

    return CkksKey.draw(method.preset)


def idle_layout(config: Config, layout: Layout, profiles: Profiles) -> Layout:
    """What learners that do not really train send: ciphertexts of the right size, of nothing, where updates are sealed."""
    method = configuration.seal(config)
    if method is None:
        return layout
    unit = (method.reference or float(np.mean(profiles.examples))) * configuration.updates_expected(config)
    return sealed(layout, method.parameters, "nobody", unit).layout


async def _run(
    config: Config, beings: Callable[[], list[Being]], observers: Sequence[Observer], watch: Watch | None
) -> tuple[Results, float, int, int]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "simulations run in virtual time"
    plan = blueprint(config, partial(VirtualGateway, agenda=loop.agenda, beings=beings), Compute())
    plan = replace(plan, describes=config.store.url is not None)  # nobody will look into what is forgotten at the end
    await open_storage(plan.storage, config, threaded=False)
    async with ActorSystem(name=config.name, seed=config.seed) as system:
        life = Life(configuration.stop_conditions(config))
        controller = system.spawn(partial(Controller, plan, life), name="controller", restart=Restart.TRANSIENT)
        await controller.ask(Order(Verb.START))
        if watch is not None:
            loop.on_turn = Look(watch, life, loop, controller)
        history, number = History(), life.forgotten
        while news := await controller.ask(EventsFrom(number, at_least=EVENTS_PER_ANSWER_MAX)):
            number += len(news)
            for event in news:
                history.take(event)
                for observer in observers:
                    observer(event)
        handled = {actor.path: actor.messages for actor in system.statistics().actors}
        virtual_s = system.clock.now()
        await controller.ask(Order(Verb.CLOSE))
    await plan.storage.close()
    results = history.results(config.name, config.seed, None)
    return results, virtual_s, sum(handled.values()), handled[SCHEDULER]


class Look:
    """Shows the progress to who watches, now and then by the wall clock, and ends the federation when it is told to."""

    def __init__(self, watch: Watch, life: Life, loop: VirtualLoop, controller: ActorRef[ToController]) -> None:
        self._watch = watch
        self._life = life
        self._loop = loop
        self._controller = controller
        self._began_s = time.perf_counter()
        self._next_s = self._began_s

    def __call__(self) -> None:
        """A turn of the loop."""
        now_s = time.perf_counter()
        if now_s < self._next_s:
            return
        self._next_s = now_s + WATCH_EVERY_S
        stop = self._life.stop
        progress = Progress(stop.committed, stop.updates, self._loop.time(), now_s - self._began_s)
        if not self._watch(progress) and self._life.phase is not Phase.DONE:
            self._controller.tell(Order(Verb.ABORT, "interrupted"))
