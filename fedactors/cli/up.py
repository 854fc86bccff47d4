"""`fedactors up`: a whole federation in one command."""

from __future__ import annotations

from pathlib import Path

import click

from fedactors.cli import options
from fedactors.cli.options import Talk


@click.command(short_help="Run a whole federation on this machine.")
@options.file
@click.option("--in-process", is_flag=True, help="Learners as threads of this process instead of processes of their own.")
@options.run_dir
@options.overrides
@options.talk
def up(file: Path, in_process: bool, run_dir: Path | None, overrides: tuple[str, ...], talk: Talk) -> None:
    """Run the federation of FILE: controller, learners and driver, until it stops; then save it and show a summary.

    Ctrl-C once finishes the open round and saves; twice stops at once.
    """
    from fedactors import config as configuration
    from fedactors.cli.run import run
    from fedactors.cli.watching import conclude, watching
    from fedactors.driver.run_directory import RunDirectory, default_run_directory
    from fedactors.driver.up import run_up

    config = configuration.read(file, overrides)
    configuration.find_entry(config)
    directory = RunDirectory(run_dir or default_run_directory(config.name))
    with watching(config, directory, "controller", talk) as observers:
        outcome = run(
            lambda interrupts: run_up(
                config,
                directory,
                in_process=in_process,
                observers=observers,
                on_driver=lambda driver: interrupts.then(lambda: driver.stop("Ctrl-C")),
            ),
            uvloop=config.runtime.uvloop,
            said="finishing the round, then saving; Ctrl-C again stops at once",
        )
    conclude(outcome, directory.path)
