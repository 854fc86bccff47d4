"""`fedactors stop`: end a federation that is at work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli.operating import on_controller, order

if TYPE_CHECKING:
    from fedactors.driver.reaching import Reach


@click.command(short_help="End a federation that is at work: after its open round, or now.")
@click.option("--now", is_flag=True, help="Drop the open round; the run then counts as failed, and can be resumed.")
@click.option("--why", metavar="TEXT", default="stopped by the operator", show_default=True, help="For the record.")
@on_controller
def stop(run: Path | None, reach: Reach, now: bool, why: str) -> None:
    """End the federation of RUN, the directory of a run on this machine, or of the controller at ADDRESS.

    The open round is combined with what has come, the result is evaluated, and everything is saved, as by Ctrl-C.
    """
    from fedactors.protocol import Verb

    if now:
        order(run, reach, Verb.ABORT, why, "{name} ends now; its open round is dropped")
    else:
        order(run, reach, Verb.STOP, why, "{name} ends its open round, evaluates, and saves")
