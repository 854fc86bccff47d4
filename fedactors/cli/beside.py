"""What goes on beside a federation in its own process: the page that shows it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fedactors.cli.dashboard import place

if TYPE_CHECKING:
    from fedactors.config import Config
    from fedactors.driver.up import Beside
    from fedactors.system import Federation


def pages(dashboard: str | None, tokens: Path | None) -> Beside:
    """What `--dashboard` asks for; nothing where it was not given.

    Raises:
        ExtraMissing: the extra `dashboard` is not installed.
        AddressError: the page may not be served there.
    """
    where = None if dashboard is None else place(dashboard, tokens)

    @asynccontextmanager
    async def beside(federation: Federation) -> AsyncIterator[None]:
        async with AsyncExitStack() as exits:
            if where is not None:
                from fedactors.dashboard.opening import of_federation

                there = replace(where, tokens=where.tokens or _operators_tokens(federation.config))
                url = await exits.enter_async_context(of_federation(federation, there))
                sys.stderr.write(f"dashboard: {url}\n")  # not by click's echo, past a live display
                sys.stderr.flush()
            yield

    return beside


def _operators_tokens(config: Config) -> Path | None:
    """The list that operators are known by at the controller, so that the page is no way around it.

    Raises:
        ConfigError: they are known by certificates there.
    """
    from fedactors.errors import ConfigError

    match config.access.operators:
        case "open":
            return None
        case "token":
            return config.base_dir / config.access.tokens
        case "certificate":
            said = 'operators show a certificate to this controller (access.operators = "certificate"), and a browser has none'
            raise ConfigError(f"{said}: name a list of tokens to log in with, by --dashboard-tokens")
