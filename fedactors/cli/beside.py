"""What goes on beside a federation in its own process: the page that shows it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fedactors.cli.dashboard import place

if TYPE_CHECKING:
    from fedactors.driver.up import Beside
    from fedactors.system import Federation


def pages(dashboard: str | None, token_file: Path | None) -> Beside:
    """What `--dashboard` asks for; nothing where it was not given.

    Raises:
        ExtraMissing: the extra `dashboard` is not installed.
        AddressError: the page may not be served there.
    """
    where = None if dashboard is None else place(dashboard, token_file)

    @asynccontextmanager
    async def beside(federation: Federation) -> AsyncIterator[None]:
        async with AsyncExitStack() as exits:
            if where is not None:
                from fedactors.dashboard.opening import of_federation

                url = await exits.enter_async_context(of_federation(federation, where))
                sys.stderr.write(f"dashboard: {url}\n")  # not by click's echo, past a live display
                sys.stderr.flush()
            yield

    return beside
