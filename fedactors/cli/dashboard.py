"""`fedactors dashboard`: a run on a web page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.config import Credentials
    from fedactors.dashboard.where import Where
    from fedactors.driver.reaching import Reach


@click.command(short_help="Show a run on a web page, live or afterwards.")
@click.argument("run", required=False, callback=options.as_path)
@options.address
@click.option("--at", metavar="HOST:PORT", default="", help="Where the page is served; port 0: any.  [default: 127.0.0.1:4460]")
@options.dashboard_tokens
@credentials
@insecure
@options.debug
def dashboard(
    run: Path | None, address: str | None, at: str, dashboard_tokens: Path | None, credentials: Credentials, insecure: bool
) -> None:
    """Serve the page of RUN, a run's directory, or of the controller at ADDRESS, until Ctrl-C.

    A run that is going on is shown live, with buttons to pause and to stop it; of a finished one, everything that it has kept.
    """
    from fedactors.cli.run import run as run_loop
    from fedactors.config.tables import RuntimeTable
    from fedactors.driver.reaching import Reach
    from fedactors.errors import ConfigError

    if (run is None) == (address is None):
        raise ConfigError("name a RUN, or a controller by --address; one of the two")
    where = place(at, dashboard_tokens)
    run_loop(
        lambda interrupts: _serve(run, Reach(address, credentials, insecure), where, interrupts),
        RuntimeTable(),
        said="the page is closed",
    )


def place(text: str, tokens: Path | None) -> Where:
    """Where a page is to be served.

    Raises:
        ExtraMissing: the extra `dashboard` is not installed.
        AddressError: `text` is no place, or one that other machines can reach and no token guards.
    """
    from importlib.util import find_spec

    from fedactors.dashboard.where import Where
    from fedactors.errors import ExtraMissing

    for package in ("starlette", "uvicorn", "plotly"):
        if find_spec(package) is None:
            raise ExtraMissing("the dashboard", package, "dashboard")
    return Where.parse(text, tokens)


async def _serve(run: Path | None, reach: Reach, where: Where, interrupts: Interrupts) -> None:
    import asyncio

    from fedactors.dashboard.opening import at_address, of_run

    async def close() -> None:
        closed.set()

    closed = asyncio.Event()
    interrupts.then(close)
    async with of_run(run, reach, where) if run is not None else at_address(reach, where) as url:
        click.echo(f"{url}  (Ctrl-C closes it)")
        await closed.wait()
