"""`fedactors pause` and `fedactors resume`: hold a federation that is at work, and let it go on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli.operating import on_controller, order

if TYPE_CHECKING:
    from fedactors.driver.reaching import Reach


@click.command(short_help="Let a federation that is at work begin no further round.")
@on_controller
def pause(run: Path | None, reach: Reach) -> None:
    """Hold the federation of RUN, or of the controller at ADDRESS: its open round ends, and no other begins until `resume`."""
    from fedactors.protocol import Verb

    order(run, reach, Verb.PAUSE, "paused by the operator", "{name} begins no further round until `fedactors resume`")


@click.command(short_help="Let a federation that was paused go on.")
@on_controller
def resume(run: Path | None, reach: Reach) -> None:
    """Let the federation of RUN, or of the controller at ADDRESS, go on after `pause`.

    A run whose process is gone goes on by `fedactors up --resume RUN`.
    """
    from fedactors.protocol import Verb

    order(run, reach, Verb.RESUME, "resumed by the operator", "{name} goes on")
