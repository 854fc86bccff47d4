"""A controller on its own: it serves learners and drivers of other processes until it is closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing, nullcontext

from fedactors.access.audit import Audit
from fedactors.config import CONTROLLER_ADDRESS, Config, to_toml
from fedactors.driver.driver import Observer
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
        journal = None
        if directory is not None:
            exits.callback(directory.close)
            if not directory.resumed:
                directory.write_config(to_toml(config))
            journal = exits.enter_context(closing(directory.open_journal(config)))
            observers = [directory.take, *observers]
        stored = config if directory is None else directory.stored(config)
        addresses = [config.controller.address or CONTROLLER_ADDRESS]
        audit = exits.enter_context(closing(Audit(None if directory is None else directory.audit_file)))
        federation = await exits.enter_async_context(Federation(stored, addresses=addresses, journal=journal, audit=audit))
        if directory is not None:
            directory.write_config(to_toml(config))  # of a resumed run only now: settings that are refused are not kept
            directory.write_environment()
            directory.write_addresses(federation.addresses)
        await exits.enter_async_context(beside(federation))
        on_federation(federation)
        async for event in federation.events():
            for observer in observers:
                observer(event)
        await federation.closed()
