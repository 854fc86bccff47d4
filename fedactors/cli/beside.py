"""What goes on beside a federation in its own process: the page that shows it, and figures for Prometheus."""

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
    from fedactors.dashboard.where import Where
    from fedactors.driver.up import Beside
    from fedactors.system import Federation


def pages(dashboard: str | None, metrics: str | None, tokens: Path | None) -> Beside:
    """What `--dashboard` and `--metrics` ask for; nothing where they were not given.

    Raises:
        ExtraMissing: the extra `dashboard` or `metrics` is not installed.
        AddressError: something may not be served where it was asked for.
    """
    page = None if dashboard is None else place(dashboard, tokens)
    figures = None if metrics is None else metrics_place(metrics, tokens)

    @asynccontextmanager
    async def beside(federation: Federation) -> AsyncIterator[None]:
        async with AsyncExitStack() as exits:
            if page is not None:
                from fedactors.dashboard.opening import of_federation

                where = replace(page, tokens=page.tokens or _operators_tokens(federation.config))
                say("dashboard", await exits.enter_async_context(of_federation(federation, where)))
            if figures is not None:
                from fedactors.dashboard.metering import metrics_of

                say("metrics", await exits.enter_async_context(metrics_of(federation, figures)))
            yield

    return beside


def say(what: str, url: str) -> None:
    """Where something is served. Not by click's echo, past a live display."""
    sys.stderr.write(f"{what}: {url}\n")
    sys.stderr.flush()


def metrics_place(text: str, tokens: Path | None, option: str = "--dashboard-tokens") -> Where:
    """Where figures are to be served; `option` gives the list of tokens.

    Raises:
        ExtraMissing: the extra `metrics` is not installed.
        AddressError: `text` is no place, or one that other machines can reach and no token guards.
    """
    from importlib.util import find_spec

    from fedactors.dashboard.where import METRICS_PORT, OPEN_FIGURES, Where
    from fedactors.errors import ExtraMissing

    if find_spec("prometheus_client") is None:
        raise ExtraMissing("--metrics", "prometheus_client", "metrics")
    return Where.parse(text, tokens, port=METRICS_PORT, option=option, danger=OPEN_FIGURES)


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
