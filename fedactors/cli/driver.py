"""`fedactors driver`: starts, watches, stops and saves a federation whose controller runs elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure
from fedactors.cli.credentials import overrides as credential_overrides
from fedactors.cli.options import Outlets, Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.cli.watching import Observer
    from fedactors.config import Config, Credentials
    from fedactors.driver.run_directory import RunDirectory
    from fedactors.record import Results


@click.command(short_help="Start, watch, stop and save a federation.")
@options.file
@options.address
@options.run_dir
@options.ckks_key
@credentials
@insecure
@options.outlets
@options.overrides
@options.talk
def driver(
    file: Path,
    address: str | None,
    run_dir: Path | None,
    ckks_key: Path | None,
    credentials: Credentials,
    insecure: bool,
    outlets: Outlets,
    overrides: tuple[str, ...],
    talk: Talk,
) -> None:
    """Drive the federation of FILE, whose controller is at ADDRESS, until it stops; then save it and show a summary.

    Ctrl-C once finishes the open round and saves; twice leaves at once.
    """
    from fedactors import config as configuration
    from fedactors.cli.outlets import check, told
    from fedactors.cli.run import run
    from fedactors.cli.watching import conclude, watching
    from fedactors.driver.run_directory import RunDirectory, default_run_directory

    check(outlets)
    overrides = (*overrides, *options.at(address), *credential_overrides(insecure=insecure))
    config = configuration.read(file, overrides, listens=False)
    directory = RunDirectory(run_dir or default_run_directory(config.name))
    with watching(config, directory, "driver", talk) as watchers, told(outlets, config, directory) as others:
        outcome = run(
            lambda interrupts: _drive(config, credentials, directory, ckks_key, [*watchers, *others], interrupts),
            config.runtime,
            said="finishing the round, then saving; Ctrl-C again leaves at once",
        )
    conclude(outcome, directory.path)


async def _drive(
    config: Config,
    credentials: Credentials,
    directory: RunDirectory,
    key: Path | None,
    observers: Sequence[Observer],
    interrupts: Interrupts,
) -> Results:
    from fedactors.config import connect
    from fedactors.driver.driver import Driver
    from fedactors.protocol.admin import AdminClient

    channel = connect(config, credentials)
    try:
        session = Driver(config, AdminClient(channel), directory, observers, key=key)
        interrupts.then(lambda: session.stop("Ctrl-C"))
        return await session.run()
    finally:
        await channel.close()
