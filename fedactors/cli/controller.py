"""`fedactors controller`: the federation's centre, for learners and a driver of other processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.options import Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.config import Config
    from fedactors.system import Federation


@click.command(short_help="Serve a federation; learners and a driver come from elsewhere.")
@options.file
@options.address
@options.overrides
@options.log_file
@options.talk
def controller(file: Path, address: str | None, overrides: tuple[str, ...], log_file: Path | None, talk: Talk) -> None:
    """Serve the federation of FILE at ADDRESS until a driver closes it, or Ctrl-C."""
    from fedactors import config as configuration
    from fedactors.cli.run import run
    from fedactors.cli.watching import serving

    config = configuration.read(file, (*overrides, *options.at(address)))
    with serving(talk, log_file, federation=config.name):
        run(lambda interrupts: _serve(config, interrupts), config.runtime)


async def _serve(config: Config, interrupts: Interrupts) -> None:

    from fedactors.driver.serve import run_controller
    from fedactors.log import get_logger

    def listening(federation: Federation) -> None:
        interrupts.then(lambda: federation.close("Ctrl-C"))
        get_logger("fedactors.cli").info("listening", addresses=[str(one) for one in federation.addresses])

    await run_controller(config, on_federation=listening)
