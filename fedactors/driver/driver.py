"""The driver's session with a controller: start it, watch it, end it, and save what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from fedactors import model_file
from fedactors.config import Config, scope, to_toml
from fedactors.driver.run_directory import RunDirectory
from fedactors.driver.unsealing import open_model
from fedactors.errors import AccessDenied, FederationFailed, TransportError
from fedactors.log import get_logger
from fedactors.model import GlobalModel
from fedactors.privacy.ckks_layout import is_sealed
from fedactors.protocol import AdminClient, Verb
from fedactors.protocol.admin import PATIENCE_S, RETRY_S
from fedactors.record import Event, EventKind, FinalModel, History, Results

log = get_logger("fedactors.driver")

T = TypeVar("T")

SAVING_TAKES_ONE_IN = 20
"""The share of the driver's time, while rounds go by, that goes into writing the results anew."""

Observer: TypeAlias = Callable[[Event], None]
"""Is told every event, in order; a display, say. One that raises is told no more; the run goes on."""


class Driver:
    """Runs one federation from its start to its saved results, over an admin conversation.

    It may be ended at any time: the controller goes on without it, and another driver may take its place and finds every event.
    """

    def __init__(
        self,
        config: Config,
        admin: AdminClient,
        directory: RunDirectory,
        observers: Sequence[Observer] = (),
        *,
        key: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare it; nothing is sent yet.

        Args:
            config: of the federation.
            admin: the conversation with its controller.
            directory: where everything is saved.
            observers: are told every event.
            key: the file of the key that opens the final model, if the federation seals; without one it is saved as it is.
            clock: seconds.
        """
        self._clock = clock
        self._key = key
        self._config = config
        self._admin = admin
        self._directory = directory
        self._observers = list(observers)
        self._history = History()
        self._next_save_s = 0.0

    async def run(self) -> Results:
        """Start the federation unless it runs already, follow it to its end, save, and close the controller.

        Raises:
            FederationFailed: it could not go on; what there is was saved.
            TransportError: the controller went away; what there is was saved.
        """
        self._directory.write_config(to_toml(self._config))
        self._directory.write_environment()
        try:
            first_event = await self._persist(self._begin)
            async for news in self._admin.follow(first_event):
                for event in news:
                    self._take(event)
            if not self._history.finished:
                raise FederationFailed("the controller ended before the federation was done")
        except (TransportError, FederationFailed):
            self._directory.write_results(self._results(None))
            raise
        results = await self._persist(self._save)
        try:
            await self._persist(partial(self._admin.order, Verb.CLOSE, "the results are saved"))
        except TransportError as error:
            log.warning("controller_not_closed", why=str(error))
        if results.failed:
            raise FederationFailed(results.stop_reason)
        return results

    async def stop(self, why: str) -> None:
        """Have the open round come to its end; `run` then returns with the results."""
        await self._admin.order(Verb.STOP, why)

    async def abort(self, why: str) -> None:
        """End the federation at once; `run` then raises."""
        await self._admin.order(Verb.ABORT, why)

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that may be done again, and do it again while the controller is away, for PATIENCE_S at most."""
        deadline_s = self._clock() + PATIENCE_S
        while True:
            try:
                return await work()
            except AccessDenied:
                raise
            except TransportError:
                if self._clock() > deadline_s:
                    raise
            await asyncio.sleep(RETRY_S)

    async def _begin(self) -> int:
        """Start the federation unless that was done; the number of its first event that is kept."""
        status = await self._admin.status()
        if status["phase"] == "waiting":
            await self._start(has_model=status["version"] is not None)
        return int(status["first_event"])

    async def _start(self, *, has_model: bool) -> None:
        if (path := self._config.initial_file) is not None and not has_model:
            weights = await asyncio.to_thread(model_file.load, path)
            model = GlobalModel.initial(scope(self._config).travelling(weights))
            await self._admin.ship(model.layout, model.buffer)
        await self._admin.order(Verb.START)

    def _take(self, event: Event) -> None:
        self._history.take(event)
        if not self._directory.write_event(event):
            return  # of a former life of the run
        if event.kind is EventKind.ROUND_ENDED and self._clock() >= self._next_save_s:
            self._save_so_far()
        for observer in list(self._observers):
            try:
                observer(event)
            except Exception:
                log.exception("observer_failed", observer=repr(observer))
                self._observers.remove(observer)

    def _save_so_far(self) -> None:
        """All rounds are written each time: the more there are, the less often."""
        began_s = self._clock()
        self._directory.write_results(self._results(None))
        self._next_save_s = began_s + SAVING_TAKES_ONE_IN * (self._clock() - began_s)

    async def _save(self) -> Results:
        final = None
        if (await self._admin.status())["version"] is not None:
            model = scope(self._config).visible(GlobalModel(*await self._admin.download()))
            final = await asyncio.to_thread(self._directory.write_model, model, self._history.metrics)
            if is_sealed(model.layout):
                final = await self._opened(final)
        results = self._results(final)
        self._directory.write_results(results)
        return results

    async def _opened(self, final: FinalModel) -> FinalModel:
        """The final model as its learners know it, where there is a key; the sealed one is kept beside it."""
        directory = self._directory
        if self._key is None:
            log.warning("final_model_is_sealed", file=str(directory.sealed_file), remedy="fedactors models open --ckks-key KEY")
            return final
        await open_model(directory.sealed_file, self._key, directory.model_file)
        return replace(final, model=directory.model_file.name)

    def _results(self, final: FinalModel | None) -> Results:
        return self._history.results(self._config.name, self._config.seed, final)
