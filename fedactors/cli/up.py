"""`fedactors up`: a whole federation in one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.options import Outlets, Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.cli.watching import Observer
    from fedactors.config import Config
    from fedactors.driver.driver import Driver
    from fedactors.driver.run_directory import RunDirectory
    from fedactors.driver.up import Beside
    from fedactors.record import Results


@click.command(short_help="Run a whole federation on this machine.")
@options.optional_file
@click.option("--in-process", is_flag=True, help="Learners as threads of this process instead of processes of their own.")
@options.run_dir
@options.resume
@options.ckks_key
@options.dashboard
@options.metrics
@options.dashboard_tokens
@options.outlets
@options.overrides
@options.talk
def up(
    file: Path | None,
    in_process: bool,
    run_dir: Path | None,
    resume: Path | None,
    ckks_key: Path | None,
    dashboard: str | None,
    metrics: str | None,
    dashboard_tokens: Path | None,
    outlets: Outlets,
    overrides: tuple[str, ...],
    talk: Talk,
) -> None:
    """Run the federation of FILE: controller, learners and driver, until it stops; then save it and show a summary.

    Ctrl-C once finishes the open round and saves; twice stops at once. A run that was cut short, in whatever way, goes on by
    --resume where it was; with `--set stop.rounds=N`, so does a finished one.
    """
    from fedactors.cli.beside import pages
    from fedactors.cli.outlets import check, told
    from fedactors.cli.run import run
    from fedactors.cli.watching import conclude, watching
    from fedactors.driver.run_directory import of_run

    check(outlets)
    beside = pages(dashboard, metrics, dashboard_tokens)
    config, directory = of_run(file, run_dir, resume, overrides, starts_learners=True)
    with watching(config, directory, "controller", talk) as watchers, told(outlets, config, directory) as others:
        outcome = run(
            lambda interrupts: _run_up(config, directory, in_process, ckks_key, [*watchers, *others], beside, interrupts),
            config.runtime,
            said="finishing the round, then saving; Ctrl-C again stops at once",
        )
    conclude(outcome, directory.path)


async def _run_up(
    config: Config,
    directory: RunDirectory,
    in_process: bool,
    key: Path | None,
    observers: Sequence[Observer],
    beside: Beside,
    interrupts: Interrupts,
) -> Results:
    from fedactors.driver.up import run_up

    def stoppable(driver: Driver) -> None:
        interrupts.then(lambda: driver.stop("Ctrl-C"))

    return await run_up(
        config, directory, in_process=in_process, key=key, observers=observers, on_driver=stoppable, beside=beside
    )
