"""What the verbs share that ask a controller at work, or order something."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure

if TYPE_CHECKING:
    from fedactors.config import Credentials
    from fedactors.driver.reaching import Reach
    from fedactors.protocol import AdminClient, Verb

Function = TypeVar("Function", bound=Callable[..., Any])
T = TypeVar("T")

_OF_A_RELAY = "this relay takes no further part; its open round is dropped, and the federation goes on without it"


def on_controller(function: Function) -> Function:
    """Adds RUN, --address and what is shown there, given to the verb as `run` and `reach`."""

    @click.argument("run", required=False, type=click.Path(), callback=options.as_path)
    @options.address
    @credentials
    @insecure
    @options.debug
    @functools.wraps(function)
    def wrapped(
        *args: Any, run: Path | None, address: str | None, credentials: Credentials, insecure: bool, **kwargs: Any
    ) -> Any:
        from fedactors.driver.reaching import Reach

        return function(*args, run=run, reach=Reach(address, credentials, insecure), **kwargs)

    return wrapped  # type: ignore[return-value]  # the same function, with its options in place of `run` and `reach`


def ask(run: Path | None, reach: Reach, work: Callable[[AdminClient], Awaitable[T]]) -> T:
    """What `work` makes of a conversation with the controller that is meant."""
    from fedactors.cli.run import run as run_loop
    from fedactors.config.tables import RuntimeTable

    async def asking() -> T:
        async with reach.admin(run) as admin:
            return await work(admin)

    return run_loop(lambda _: asking(), RuntimeTable()).value


def order(run: Path | None, reach: Reach, verb: Verb, why: str, said: str) -> None:
    """Have something done, and say what comes of it; the federation's name stands for {name}."""

    async def ordering(admin: AdminClient) -> str:
        status = await admin.status()
        await admin.order(verb, why)
        return _OF_A_RELAY if status.get("is_relay") else said.format(name=status["name"])

    click.echo(ask(run, reach, ordering))
