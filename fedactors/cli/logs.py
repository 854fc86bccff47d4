"""`fedactors logs`: what a run's processes have written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.options import LEVELS

if TYPE_CHECKING:
    from fedactors.driver.saved_logs import LogFile

LINES = 50
LOOK_EVERY_S = 0.3


@click.command(short_help="Show the logs of a run, and follow them.")
@click.argument("run", type=click.Path(), callback=options.as_path)
@click.option("--learner", metavar="ID", help="What this learner's process has printed.  [default: the controller's log]")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added, until the run is over or Ctrl-C.")
@click.option("--lines", "-n", type=click.IntRange(min=0), default=LINES, show_default=True, help="The last so many first.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", show_default=True, help="The least level that is shown.")
@options.debug
def logs(run: Path, learner: str | None, follow: bool, lines: int, level: str) -> None:
    """Show the end of the log of RUN, the directory of a run: of its controller, or of one of its learners' processes."""
    from fedactors.driver.saved_logs import LogFile, log_file

    file = LogFile(log_file(run, learner))
    shown = _readable(level) if file.path.suffix == ".jsonl" else str
    kept = [text for line in file.lines() if (text := shown(line))]
    for text in kept[-lines:] if lines else []:
        click.echo(text)
    if follow:
        for line in _added(file, run):
            if text := shown(line):
                click.echo(text)


def _added(file: LogFile, run: Path) -> Iterator[str]:
    """What is added, until nobody is at the run and everything was read."""
    import time

    from fedactors.driver.saved_runs import State, look

    while True:
        running = look(run).state is State.RUNNING
        yield from file.lines()
        if not running:
            return
        time.sleep(LOOK_EVERY_S)


def _readable(level: str) -> Callable[[str], str]:
    """A line of JSON as people read it; empty where it is below the level."""
    from datetime import datetime

    wanted = LEVELS[LEVELS.index(level) :]

    def readable(line: str) -> str:
        try:
            entry = json.loads(line)
            moment = f"{datetime.fromisoformat(entry.pop('timestamp')).astimezone():%H:%M:%S}"
            its_level, said = entry.pop("level"), entry.pop("event")
        except (ValueError, KeyError, AttributeError):
            return line  # of another program, or cut
        if its_level not in wanted and its_level in LEVELS:
            return ""
        trace = entry.pop("exception", "")
        keys = "  ".join(f"{key}={value}" for key, value in entry.items())
        return f"{moment} {its_level:<7} {said}  {keys}".rstrip() + (f"\n{trace}" if trace else "")

    return readable
