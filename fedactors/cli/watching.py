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
from fedactors.observe import logging
from fedactors.observe.display import Display
from fedactors.observe.summary import summary
from fedactors.record import Event, Results

Observer: TypeAlias = Callable[[Event], None]


@contextmanager
def watching(config: Config, log_file: Path, talk: Talk) -> Iterator[list[Observer]]:
    """Logs into a file and a display of the run; yields those who want its events."""
    console = talk.log_level if talk.verbose else "error"
    with ExitStack() as exits:
        logs = logging.configure(
            talk.log_level, console=console, file=log_file, tracebacks=talk.debug, ids={"federation": config.name}
        )
        exits.enter_context(logs)
        if talk.quiet:
            yield []
            return
        display = Display(config.name, rounds_total=config.stop.rounds, evaluate_every=config.evaluate.every)
        yield [exits.enter_context(display)]


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
