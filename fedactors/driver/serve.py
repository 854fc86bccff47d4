"""A controller on its own: it serves learners and drivers of other processes until it is closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing, nullcontext

from fedactors.access.audit import Audit
from fedactors.config import CONTROLLER_ADDRESS, Config
from fedactors.driver.driver import Observer
from fedactors.driver.leading import federation_of
from fedactors.driver.run_directory import RunDirectory
from fedactors.driver.up import Beside
from fedactors.system import Federation


async def run_controller(
    config: Config,
    *,
    directory: RunDirectory | None = None,
    observers: Sequence[Observer] = (),
    on_federation: Callable[[Federation], None] = lambda _: None,
    beside: Beside = nullcontext,
) -> None:
    """Serve a federation until a driver closes it, or until it is done and nobody has closed it for a while.

    Args:
        config: of the federation.
        directory: where the run is kept, so that another controller can go on with it; None: nowhere.
        observers: are told every event.
        on_federation: is given the federation once it listens, to tell where and to stop it with.
        beside: what goes on beside the federation.

    Raises:
        AddressError: the address cannot be listened at.
        StoreError: the run cannot be kept, or gone on with.
        FederationFailed: the controller failed too often.
    """
    async with AsyncExitStack() as exits:
        addresses = [config.controller.address or CONTROLLER_ADDRESS]
        if directory is None:
            audit = exits.enter_context(closing(Audit()))
            federation = await exits.enter_async_context(Federation(config, addresses=addresses, audit=audit))
        else:
            exits.callback(directory.close)
            federation = await exits.enter_async_context(federation_of(config, directory, addresses))
            directory.write_environment()
            observers = [directory.take, *observers]
        await exits.enter_async_context(beside(federation))
        on_federation(federation)
        async for event in federation.events():
            for observer in observers:
                observer(event)
        await federation.closed()
