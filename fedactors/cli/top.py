"""`fedactors top`: a live view of a federation that is at work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli.operating import on_controller

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.driver.reaching import Reach
    from fedactors.protocol import AdminClient


@click.command(short_help="A live view of a federation that is at work.")
@click.option("--once", is_flag=True, help="Show how it stands now, and end; so it is, too, where the output is no terminal.")
@on_controller
def top(run: Path | None, reach: Reach, once: bool) -> None:
    """Watch the federation of RUN, the directory of a run on this machine, or of the controller at ADDRESS, until Ctrl-C.

    It shows what `fedactors up` shows while it runs: rounds, metrics, and each learner with what it is doing.
    """
    from fedactors.cli.run import run as run_loop
    from fedactors.config.tables import RuntimeTable

    async def watching(interrupts: Interrupts) -> None:
        async with reach.admin(run) as admin:
            await _watch(admin, interrupts, once=once)

    run_loop(watching, RuntimeTable(), said="the run goes on")


async def _watch(admin: AdminClient, interrupts: Interrupts, *, once: bool) -> None:
    import asyncio
    import time
    from contextlib import nullcontext

    from fedactors.observe.display import Display, Output

    status, console = await admin.status(), Output()
    display = Display(
        status["name"],
        rounds_total=status["rounds_total"],
        evaluate_every=status["evaluate_every"],
        console=console,
        clock=time.time,
        watches=True,
    )

    async def leave() -> None:
        following.cancel()

    async def follow() -> None:
        known = status["next_event"]
        if once and known == status["first_event"]:
            return
        async for news in admin.follow(status["first_event"]):
            for event in news:
                display(event)
            if once and news[-1].number + 1 >= known:
                return

    once = once or not console.is_terminal
    following = asyncio.ensure_future(follow())
    interrupts.then(leave)
    with nullcontext() if once else display:
        try:
            await following
        except asyncio.CancelledError:
            if not following.cancelled():
                raise
    console.print(display.picture())
