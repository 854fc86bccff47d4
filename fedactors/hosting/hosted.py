"""One federation of many: how it stands, and its run from beginning to end. Whatever becomes of it, it is its own affair."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from fedactors.config import CONTROLLER_ADDRESS
from fedactors.driver.driver import Driver
from fedactors.driver.leading import federation_of
from fedactors.driver.saved_runs import SavedRun, State
from fedactors.errors import FedactorsError, FederationFailed
from fedactors.hosting.beginning import INTERRUPTED, Beginning, begin
from fedactors.hosting.files import Found
from fedactors.log import get_logger
from fedactors.model import LearnerId
from fedactors.observe.logging import file_of
from fedactors.observe.meter import Kernel, Meter, Metered
from fedactors.protocol import AdminClient, Verb
from fedactors.protocol.federations import Condition, Standing
from fedactors.record import Event, EventKind
from fedactors.runtime.trace import SystemStatistics
from fedactors.sharing import Sharing
from fedactors.system import Federation

log = get_logger("fedactors.hosting")


class Hosted:
    """A federation, from the file of its configuration to the end of its run.

    Attributes:
        found: its name, and where its configuration is.
        run: the directory of its run.
        condition: how it stands.
    """

    def __init__(self, found: Found, run: Path, saved: SavedRun | None = None, *, is_metered: bool = False) -> None:
        """Take note of it; nothing runs yet.

        Args:
            found: its name, and where its configuration is.
            run: the directory of its run.
            saved: what there is of that run already.
            is_metered: figures are kept of it.
        """
        self.found = found
        self.run = run
        self.condition = Condition.WAITING
        self._why = ""
        self._rounds = 0 if saved is None else saved.rounds
        self._rounds_total = None if saved is None else saved.rounds_total
        self._learners: set[LearnerId] = set()
        self._addresses: tuple[str, ...] = ()
        self._admin: AdminClient | None = None
        self._is_metered = is_metered
        self._meter: Meter | None = None
        self._statistics: Callable[[], SystemStatistics] | None = None
        self._task: asyncio.Task[None] | None = None

    def was(self, saved: SavedRun) -> None:
        """Its run was over before this process began."""
        self.condition = Condition.FAILED if saved.state is State.FAILED else Condition.FINISHED
        self._why = saved.why

    def refuse(self, why: str) -> None:
        """It cannot even be begun."""
        self._ended(Condition.FAILED, why)

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return Standing(
            self.found.name,
            self.condition,
            self._addresses,
            self._rounds,
            self._rounds_total,
            len(self._learners),
            self._why,
            str(self.run),
        )

    @property
    def metered(self) -> Metered:
        """Its figures."""
        kernel = None if self._statistics is None else Kernel.of(self._statistics())
        return Metered(self.found.name, str(self.condition), self._meter, kernel)

    # ------------------------------------------------------------------------------------------------------------ from outside

    def begin(self, sharing: Sharing, overrides: Sequence[str], log_level: str) -> asyncio.Task[None]:
        """Have it run, in a task that ends with it, and never by an error."""
        self._task = asyncio.create_task(self._serve(sharing, overrides, log_level), name=f"federation {self.found.name}")
        return self._task

    async def stop(self, why: str, *, now: bool = False) -> None:
        """End it: after its open round, or now.

        Raises:
            FederationFailed: there is nothing to end, or not yet.
        """
        if self.condition.is_over:
            raise FederationFailed(f"{self.found.name} is {self.condition} already")
        if self._admin is None:
            raise FederationFailed(f"{self.found.name} is being begun; try again in a moment")
        await self._order(self._admin, Verb.ABORT if now else Verb.STOP, why)

    async def interrupt(self) -> None:
        """End it so that another process can go on with it: after its open round, or at once where none was ever begun."""
        if self.condition is Condition.RUNNING and self._admin is not None:
            await self._order(self._admin, Verb.STOP, INTERRUPTED)
        elif self._task is not None:
            self._task.cancel()

    async def _order(self, admin: AdminClient, verb: Verb, why: str) -> None:
        """Whoever orders is none of this federation's tasks; what is logged of it is the federation's all the same."""
        with structlog.contextvars.bound_contextvars(federation=self.found.name):
            await admin.order(verb, why)

    # ----------------------------------------------------------------------------------------------------------------- its run

    async def _serve(self, sharing: Sharing, overrides: Sequence[str], log_level: str) -> None:
        structlog.contextvars.bind_contextvars(federation=self.found.name)
        try:
            with file_of(self.run / "logs" / "controller.jsonl", log_level, federation=self.found.name):
                await self._run(begin(self.found.file, self.run, overrides), sharing)
        except asyncio.CancelledError:
            self._ended(Condition.INTERRUPTED, "its process was told to end")
            raise
        except (FedactorsError, OSError) as error:
            self._ended(Condition.FAILED, str(error))
        except Exception as error:  # it must not end the others
            log.exception("federation_broken")
            self._ended(Condition.FAILED, f"{type(error).__name__}: {error} (this is a bug in fedactors)")

    async def _run(self, beginning: Beginning, sharing: Sharing) -> None:
        config, directory = beginning.config, beginning.directory
        self._rounds_total = config.stop.rounds
        async with AsyncExitStack() as exits:
            exits.callback(directory.close)
            addresses = [config.controller.address or CONTROLLER_ADDRESS]
            federation = await exits.enter_async_context(federation_of(config, directory, addresses, sharing=sharing))
            self._up(federation)
            exits.callback(self._down)
            await self._enough(federation, config.learners.min)
            self.condition = Condition.RUNNING
            self._begin_to_count()  # the driver is told everything from the run's first event on
            driver = Driver(config, federation.admin, directory, [self._observe])
            results = await federation.unless_failed(driver.run())
        over = Condition.INTERRUPTED if results.stop_reason == INTERRUPTED else Condition.FINISHED
        self._ended(over, results.stop_reason)

    def _up(self, federation: Federation) -> None:
        self._admin = federation.admin
        self._addresses = tuple(map(str, federation.addresses))
        self._begin_to_count()
        self._statistics = federation.statistics if self._is_metered else None
        log.info("listening", addresses=list(self._addresses))

    def _down(self) -> None:
        self._admin, self._addresses, self._statistics = None, (), None
        self._learners.clear()

    def _begin_to_count(self) -> None:
        self._meter = Meter(self.found.name) if self._is_metered else None

    async def _enough(self, federation: Federation, minimum: int) -> None:
        """Wait for the first learners, as long as it takes; a federation that has begun already, or is over, waits for nobody."""
        if (await federation.admin.status())["phase"] != "waiting":
            return
        async for event in federation.events():
            self._take(event)
            if len(self._learners) >= minimum or (await federation.admin.status())["phase"] != "waiting":
                return

    def _ended(self, condition: Condition, why: str) -> None:
        self.condition, self._why = condition, why
        tell = log.error if condition is Condition.FAILED else log.info
        tell(f"federation_{condition}", federation=self.found.name, why=why, rounds=self._rounds)

    # -------------------------------------------------------------------------------------------------------------------- news

    def _observe(self, event: Event) -> None:
        self._take(event)
        if event.kind in (EventKind.ROUND_COMMITTED, EventKind.RESUMED):
            log.info(event.kind, **event.body)
        elif event.kind is EventKind.ROUND_ABANDONED:
            log.warning(event.kind, **event.body)

    def _take(self, event: Event) -> None:
        if self._meter is not None:
            self._meter.take(event)
        if event.kind is EventKind.LEARNER_JOINED:
            self._learners.add(event.body["learner"])
        elif event.kind is EventKind.LEARNER_DEPARTED:
            self._learners.discard(event.body["learner"])
        elif event.kind is EventKind.ROUND_COMMITTED:
            self._rounds = max(self._rounds, event.body["round"])
