"""`fedactors relay`: the middle of a federation that is a tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure
from fedactors.cli.credentials import overrides as credential_overrides
from fedactors.cli.options import Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.config import Config, Credentials
    from fedactors.learner.spool import Spool


@click.command(short_help="Stand between a controller and some of its learners.")
@options.file
@click.option(
    "--parent", metavar="ADDRESS", help="Of the controller, or of a relay above.  [default: controller.address of FILE]"
)
@click.option(
    "--listen", metavar="ADDRESS", required=True, help="Where learners of this relay connect, as in grpc://127.0.0.1:4451."
)
@click.option("--id", "identity", metavar="ID", default="relay-0", show_default=True, help="This relay's identity at its parent.")
@click.option("--spool", callback=options.as_path, metavar="DIR", help="Keep its session and its updates there, for a restart.")
@credentials
@insecure
@options.overrides
@options.log_file
@options.talk
def relay(
    file: Path,
    parent: str | None,
    listen: str,
    identity: str,
    spool: Path | None,
    credentials: Credentials,
    insecure: bool,
    overrides: tuple[str, ...],
    log_file: Path | None,
    talk: Talk,
) -> None:
    """Be one learner to a parent and a controller to learners that connect here, until the federation of FILE is over, or Ctrl-C.

    It gives the parent one update in place of all of its learners'. FILE is the federation's, as its controller has it: its
    [tls] and [access] say how learners come to this relay; --ca, --certificate, --key and --token-file are what it shows its
    parent. It joins the parent once learners.min learners are here.
    """
    from fedactors import config as configuration
    from fedactors.cli.run import run
    from fedactors.cli.watching import serving
    from fedactors.learner.spool import Spool

    more = tuple(credential_overrides(insecure=insecure))
    above = configuration.read(file, (*overrides, *options.at(parent), *more), listens=False)
    config = configuration.read(file, (*overrides, *options.at(listen), *more))
    with serving(talk, log_file, federation=config.name, learner=identity):
        kept = None if spool is None else Spool(spool)
        run(lambda interrupts: _serve(config, above, credentials, identity, kept, interrupts), config.runtime)


async def _serve(
    config: Config, above: Config, credentials: Credentials, identity: str, spool: Spool | None, interrupts: Interrupts
) -> None:
    from fedactors.config import connect
    from fedactors.log import get_logger
    from fedactors.relay import Relay

    parent = connect(above, credentials)
    try:
        async with Relay(config) as relay:
            interrupts.then(relay.leave)
            get_logger("fedactors.cli").info("listening", addresses=[str(one) for one in relay.addresses])
            await relay.serve(parent, identity, spool=spool)
    finally:
        await parent.close()
