"""`fedactors controller`: the federation's centre, for learners and a driver of other processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.credentials import insecure
from fedactors.cli.credentials import overrides as credential_overrides
from fedactors.cli.options import Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.config import Config
    from fedactors.driver.run_directory import RunDirectory
    from fedactors.driver.up import Beside
    from fedactors.system import Federation


@click.command(short_help="Serve a federation; learners and a driver come from elsewhere.")
@options.optional_file
@options.address
@click.option("--run-dir", callback=options.as_path, metavar="DIR", help="Keep the run there, so that it can be resumed.")
@options.resume
@options.dashboard
@options.metrics
@options.dashboard_tokens
@insecure
@options.overrides
@options.log_file
@options.talk
def controller(
    file: Path | None,
    address: str | None,
    run_dir: Path | None,
    resume: Path | None,
    dashboard: str | None,
    metrics: str | None,
    dashboard_tokens: Path | None,
    insecure: bool,
    overrides: tuple[str, ...],
    log_file: Path | None,
    talk: Talk,
) -> None:
    """Serve the federation of FILE at ADDRESS until a driver closes it, or Ctrl-C.

    With --run-dir, a controller that has died is followed by one with --resume: learners and drivers come back to it.
    """
    from fedactors import config as configuration
    from fedactors.cli.beside import pages
    from fedactors.cli.run import run
    from fedactors.cli.watching import serving
    from fedactors.driver.run_directory import of_run

    beside = pages(dashboard, metrics, dashboard_tokens)
    overrides = (*overrides, *options.at(address), *credential_overrides(insecure=insecure))
    if run_dir is None and file is not None and resume is None:
        config, directory = configuration.read(file, overrides), None
    else:
        config, directory = of_run(file, run_dir, resume, overrides, starts_learners=False)
    with serving(talk, log_file, federation=config.name):
        run(lambda interrupts: _serve(config, directory, beside, interrupts), config.runtime)


async def _serve(config: Config, directory: RunDirectory | None, beside: Beside, interrupts: Interrupts) -> None:
    from fedactors.driver.serve import run_controller
    from fedactors.log import get_logger

    def listening(federation: Federation) -> None:
        interrupts.then(lambda: federation.close("Ctrl-C"))
        get_logger("fedactors.cli").info("listening", addresses=[str(one) for one in federation.addresses])

    await run_controller(config, directory=directory, on_federation=listening, beside=beside)
