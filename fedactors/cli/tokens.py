"""`fedactors tokens`: give out tokens, list them, take them back."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedactors.cli import options

if TYPE_CHECKING:
    from fedactors.access.callers import Role
    from fedactors.access.tokens import Entry, TokenBook

Function = TypeVar("Function", bound=Callable[..., Any])

FILE = "tokens.json"
MODE = 0o600

file = click.option(
    "--file",
    default=FILE,
    callback=options.as_path,
    metavar="FILE",
    show_default=True,
    help="The list, as access.tokens names it.",
)
output = click.option(
    "--output", "-o", callback=options.as_path, metavar="FILE", help="Write the token there instead of showing it."
)


@click.group(short_help="Give out tokens to learners and operators, and take them back.")
def tokens() -> None:
    """Manage the tokens by which learners and operators show who they are.

    A token is shown once, when it is added; the list keeps its SHA-256. A running controller reads the list again when it
    changes: a revoked token opens nothing more, and what it has open ends within seconds.
    """


@tokens.group(short_help="A new token.")
def add() -> None:
    """Make a token, add it to the list, and show it, once."""


@add.command(short_help="A token for one learner.")
@click.argument("identity", metavar="ID")
@file
@output
@options.debug
def learner(identity: str, file: Path, output: Path | None) -> None:
    """Make a token by which a learner may take part as ID, and as nobody else."""
    from fedactors.access.callers import Role
    from fedactors.errors import ConfigError
    from fedactors.storage.entries import learner_problem

    if (problem := learner_problem(identity)) is not None:
        raise ConfigError(problem)
    _add(Role.LEARNER, identity, file, output)


@add.command(short_help="A token for an operator or an observer.")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["observer", "operator"]), default="operator", show_default=True, help="An observer looks."
)
@file
@output
@options.debug
def operator(name: str, role: str, file: Path, output: Path | None) -> None:
    """Make a token for somebody who watches a federation, and for an operator, who also gives orders."""
    from fedactors.access.callers import Role

    _add(Role(role), name, file, output)


@tokens.command("list", short_help="Who has a token.")
@file
@click.option("--all", "everything", is_flag=True, help="Those that were revoked, too.")
@options.debug
def list_(file: Path, everything: bool) -> None:
    """List whose tokens there are. The tokens themselves are not kept."""
    from fedactors.access.token_file import read
    from fedactors.cli.columns import in_columns

    entries = [entry for entry in read(file).entries if everything or entry.revoked is None]
    if not entries:
        click.echo(f"{file} holds no token that is valid")
        return
    click.echo(in_columns(("id", "role", "name", "added", "revoked"), [_row(entry) for entry in entries]))


@tokens.command(short_help="Take a token back.")
@click.argument("which", metavar="ID|NAME")
@file
@options.debug
def revoke(which: str, file: Path) -> None:
    """Take back the token of this ID, as `list` shows it, or every token of the learner or operator NAME."""
    from fedactors.access.token_file import change, read
    from fedactors.errors import ConfigError

    def without(book: TokenBook) -> tuple[TokenBook, list[Entry]]:
        return book.revoke(which, datetime.now(UTC))

    read(file)  # one that is not there is not begun
    revoked = change(file, without)
    if not revoked:
        raise ConfigError(f"{file} holds no valid token of {which!r}; `fedactors tokens list --file {file}` shows what there is")
    for entry in revoked:
        click.echo(f"revoked the token {entry.id} of {entry.caller}")


def _row(entry: Entry) -> tuple[str, ...]:
    return entry.id, entry.role, entry.name, entry.added, entry.revoked or "-"


def _add(role: Role, name: str, file: Path, output: Path | None) -> None:
    from fedactors.access.token_file import change
    from fedactors.access.tokens import new_token

    token = new_token()
    if output is not None:
        _keep(token, output)
    entry = change(file, lambda book: ((longer := book.add(role, name, token, datetime.now(UTC))), longer.entries[-1]))
    where = "it is shown this once" if output is None else f"it is in {output}"
    click.echo(f"added the token {entry.id} of {entry.caller} to {file}; {where}", err=True)
    if output is None:
        click.echo(token)


def _keep(token: str, output: Path) -> None:
    """In a file of its owner's alone."""
    from fedactors.errors import ConfigError

    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="ascii") as opened:
            opened.write(f"{token}\n")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}; name another file with --output") from error
