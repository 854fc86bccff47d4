"""`fedactors federations`: list, add and stop the federations of a `fedactors serve`."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure

if TYPE_CHECKING:
    from fedactors.config import Credentials
    from fedactors.driver.reaching import Reach
    from fedactors.protocol.federations import FederationsClient, Standing

Function = TypeVar("Function", bound=Callable[..., Any])
T = TypeVar("T")

STATES = {
    "waiting": "for its first learners",
    "running": "its rounds go on",
    "finished": "it is over, and its results are saved",
    "failed": "it could not begin, or not go on; `add` tries again, where it was",
    "interrupted": "its process ends; the same command goes on with it",
}
_EPILOG = "\b\nStates:\n" + "\n".join(f"  {state:<11}  {meaning}" for state, meaning in STATES.items())
HEADS = ("federation", "state", "rounds", "learners", "")


def on_process(function: Function) -> Function:
    """Adds --address and what is shown there, given to the verb as one `reach`."""

    @click.option(
        "--address",
        required=True,
        metavar="ADDRESS",
        envvar="FEDACTORS_SERVE",
        show_envvar=True,
        help="Of the process, as its --admin says.",
    )
    @credentials
    @insecure
    @options.debug
    @functools.wraps(function)
    def wrapped(*args: Any, address: str, credentials: Credentials, insecure: bool, **kwargs: Any) -> Any:
        from fedactors.driver.reaching import Reach

        return function(*args, reach=Reach(address, credentials, insecure), **kwargs)

    return wrapped  # type: ignore[return-value]  # the same function, with its options in place of `reach`


@click.group(short_help="List, add and stop the federations of a `fedactors serve`.")
def federations() -> None:
    """Operate a process that serves many federations, at the address that its --admin says.

    One of them is asked at its own address, which `ls` tells: `fedactors status --address ADDRESS`, and `top`, `pause`, `resume`.
    """


@federations.command(short_help="A table of the federations.", epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with everything that is told.")
@on_process
def ls(reach: Reach, as_json: bool) -> None:
    """List every federation that is served at ADDRESS, was, or could not be."""
    standings = _ask(reach, lambda client: client.standings())
    click.echo(json.dumps([asdict(one) for one in standings], indent=2) if as_json else table(standings))


@federations.command(short_help="Serve one more federation.")
@options.file
@click.option("--name", help="By which it is told from the others.  [default: FILE's own, or its directory's]")
@on_process
def add(file: Path, name: str | None, reach: Reach) -> None:
    """Hand the configuration FILE to the process at ADDRESS, which keeps it in its directory and serves it from now on.

    One that has failed is begun once more, where it was.
    """
    from fedactors.errors import ConfigError
    from fedactors.hosting.files import name_of

    called = name or name_of(file)
    try:
        toml = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    _ask(reach, lambda client: client.add(called, toml))
    click.echo(f"{called} is begun")


@federations.command(short_help="End one federation: after its open round, or now.")
@click.argument("name")
@click.option("--now", is_flag=True, help="Drop the open round; the run then counts as failed, and can be begun again by `add`.")
@click.option("--why", metavar="TEXT", default="stopped by the operator", show_default=True, help="For the record.")
@on_process
def stop(name: str, now: bool, why: str, reach: Reach) -> None:
    """End the federation NAME of the process at ADDRESS. The others go on."""
    _ask(reach, lambda client: client.stop(name, why, now=now))
    click.echo(f"{name} ends now; its open round is dropped" if now else f"{name} ends its open round, evaluates, and saves")


def table(standings: Sequence[Standing]) -> str:
    """A line for each."""
    from fedactors.cli.columns import in_columns

    if not standings:
        return "there is no federation"
    return in_columns(HEADS, [_row(one) for one in standings], numbers=("rounds", "learners"))


def _row(one: Standing) -> tuple[str, ...]:
    rounds = f"{one.rounds:,}" + (f"/{one.rounds_total:,}" if one.rounds_total else "")
    return (one.name, one.condition, rounds, f"{one.learners:,}", one.why or " ".join(one.addresses))


def _ask(reach: Reach, work: Callable[[FederationsClient], Awaitable[T]]) -> T:
    from fedactors.cli.run import run
    from fedactors.config.tables import RuntimeTable
    from fedactors.protocol.federations import FederationsClient

    async def asking() -> T:
        async with reach.channel() as channel:
            return await work(FederationsClient(channel))

    return run(lambda _: asking(), RuntimeTable()).value
