"""A controller on its own: it serves learners and drivers of other processes until it is closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedactors.config import CONTROLLER_ADDRESS, Config
from fedactors.driver.driver import Observer
from fedactors.system import Federation


async def run_controller(
    config: Config,
    *,
    observers: Sequence[Observer] = (),
    on_federation: Callable[[Federation], None] = lambda _: None,
) -> None:
    """Serve a federation until a driver closes it, or until it is done and nobody has closed it for a while.

    Args:
        config: of the federation.
        observers: are told every event.
        on_federation: is given the federation once it listens, to tell where and to stop it with.

    Raises:
        AddressError: the address cannot be listened at.
        FederationFailed: the controller failed too often.
    """
    async with Federation(config, addresses=[config.controller.address or CONTROLLER_ADDRESS]) as federation:
        on_federation(federation)
        async for event in federation.events():
            for observer in observers:
                observer(event)
        await federation.closed()
