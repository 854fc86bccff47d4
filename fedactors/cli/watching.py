"""What a verb shows while it runs and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import click

from fedactors.cli.exit_codes import ExitCode
from fedactors.cli.options import Talk
from fedactors.cli.run import Outcome
from fedactors.config import Config
from fedactors.driver.run_directory import RunDirectory
from fedactors.errors import FedactorsError
from fedactors.observe import logging
from fedactors.observe.display import Display
from fedactors.observe.summary import summary
from fedactors.record import Event, Results

Observer: TypeAlias = Callable[[Event], None]


@contextmanager
def watching(config: Config, directory: RunDirectory, process: str, talk: Talk) -> Iterator[list[Observer]]:
    """Logs into the run directory and a display of the run; yields those who want its events.

    An error passes through, once it is said where everything is that was saved before.
    """
    console = talk.log_level if talk.verbose else "error"
    file, ids = directory.logs / f"{process}.jsonl", {"federation": config.name}
    try:
        with ExitStack() as exits:
            exits.enter_context(logging.configure(talk.log_level, console=console, file=file, tracebacks=talk.debug, ids=ids))
            exits.callback(directory.close)
            display = Display(config.name, rounds_total=config.stop.rounds, evaluate_every=config.evaluate.every)
            yield [] if talk.quiet else [exits.enter_context(display)]
    except FedactorsError:
        click.echo(f"what there is of the run is in {directory.path}", err=True)
        raise


@contextmanager
def serving(talk: Talk, log_file: Path | None, **ids: object) -> Iterator[None]:
    """Logs on stderr, as a service writes them, and in a file if one is wished."""
    level = "warning" if talk.quiet else "debug" if talk.verbose else talk.log_level
    with logging.configure(talk.log_level, console=level, file=log_file, tracebacks=talk.debug, ids=ids):
        yield


def conclude(outcome: Outcome[Results], run_dir: Path) -> None:
    """Show the summary and end the process with the code that fits."""
    click.echo(summary(outcome.value, run_dir))
    if outcome.value.failed:
        raise click.exceptions.Exit(ExitCode.FAILED)
    if outcome.interrupted:
        raise click.exceptions.Exit(ExitCode.INTERRUPTED)
