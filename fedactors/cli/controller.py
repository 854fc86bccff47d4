"""`fedactors controller`: the federation's centre, for learners and a driver of other processes."""

from __future__ import annotations

from pathlib import Path

import click

from fedactors.cli import options
from fedactors.cli.options import Talk


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
    from fedactors.driver.serve import run_controller

    config = configuration.read(file, (*overrides, *options.at(address)))
    with serving(talk, log_file, federation=config.name):
        run(
            lambda interrupts: run_controller(
                config, on_federation=lambda federation: interrupts.then(lambda: federation.close("Ctrl-C"))
            ),
            uvloop=config.runtime.uvloop,
        )
