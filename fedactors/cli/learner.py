"""`fedactors learner`: one learner in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.credentials import credentials, insecure
from fedactors.cli.credentials import overrides as credential_overrides
from fedactors.cli.exit_codes import ExitCode
from fedactors.cli.options import Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.config import Config, Credentials
    from fedactors.learner import Learner
    from fedactors.privacy.sealing import Key
    from fedactors.transport import Channel


AWAY_S = 30.0


@click.command(short_help="Serve a federation as one of its learners.")
@click.argument("file", required=False, callback=options.as_path)
@click.option("--entry", metavar="ENTRY", help="The learner's code, as learner.py:MyLearner; FILE need not be given then.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="ADDRESS",
    help="Of the controller or relay, as in grpcs://HOST:4450, tcps://HOST:4450, grpc://127.0.0.1:4450 or grpc:///run/fed.sock."
    " Repeat it to name others to go to, in this order, when one is away.",
)
@click.option(
    "--away-s",
    type=click.FloatRange(min=0),
    default=AWAY_S,
    show_default=True,
    metavar="SECONDS",
    help="How long one of several addresses may give no answer before the next is tried.",
)
@click.option("--id", "identity", metavar="ID", help="This learner's identity.  [default: learner-INDEX]")
@click.option("--index", type=click.IntRange(min=0), default=0, show_default=True, help="Its place among the learners.")
@click.option("--count", type=click.IntRange(min=1), help="How many learners there are.  [default: as FILE says]")
@click.option(
    "--spool", callback=options.as_path, metavar="DIR", help="Keep updates there until they are delivered, for a restart."
)
@options.ckks_key
@click.option(
    "--dp-epsilon-max",
    type=click.FloatRange(min=0, min_open=True),
    metavar="EPSILON",
    help="Give no update that would take local differential privacy beyond this.",
)
@credentials
@insecure
@options.overrides
@options.log_file
@click.option("--parent-fd", type=int, hidden=True, help="A pipe that the parent holds open; when it closes, end.")
@options.talk
def learner(
    file: Path | None,
    entry: str | None,
    addresses: tuple[str, ...],
    away_s: float,
    identity: str | None,
    index: int,
    count: int | None,
    spool: Path | None,
    ckks_key: Path | None,
    dp_epsilon_max: float | None,
    credentials: Credentials,
    insecure: bool,
    overrides: tuple[str, ...],
    log_file: Path | None,
    parent_fd: int | None,
    talk: Talk,
) -> None:
    """Join the federation at a controller's or a relay's ADDRESS as one learner, until it is over, or Ctrl-C."""
    from fedactors import config as configuration
    from fedactors.cli.run import run
    from fedactors.cli.watching import serving
    from fedactors.learner import LearnerContext, build_learner
    from fedactors.learner.parent import exit_with_parent
    from fedactors.learner.worker import end_process_if_busy
    from fedactors.privacy.ckks_key import CkksKey

    if parent_fd is not None:
        exit_with_parent(parent_fd)
    if file is None and entry is None:
        raise click.UsageError("give a FILE, or the learner's code with --entry")
    given = {"learners.entry": entry, "learners.count": count}
    overrides += tuple(f"{key}={json.dumps(value)}" for key, value in given.items() if value is not None)
    overrides += (*options.at(addresses[0] if addresses else None), *credential_overrides(insecure=insecure))
    config = (
        configuration.from_mapping({}, overrides, listens=False)
        if file is None
        else configuration.read(file, overrides, listens=False)
    )
    expected = "" if file is None else config.name  # without a file, whichever federation is served there
    identity = identity or f"learner-{index}"
    context = LearnerContext(identity, index, config.learners.count, config.seed, config.learners.options)
    key = None if ckks_key is None else CkksKey.read(ckks_key)
    with serving(talk, log_file, federation=config.name, learner=identity):
        made = build_learner(configuration.load_entry(config), context)
        way = partial(_connect, config, credentials, addresses[1:], away_s)
        serve = partial(_serve, made, identity, way, expected, spool, key, dp_epsilon_max)
        run(serve, config.runtime)
    end_process_if_busy(ExitCode.DONE)


def _connect(config: Config, credentials: Credentials, others: Sequence[str], away_s: float) -> Channel:
    """The way to the configured address, and from there to the others."""
    from fedactors.config import connect, problems_at
    from fedactors.errors import ConfigError
    from fedactors.transport.fallback import Fallback

    first = connect(config, credentials)
    if not others:
        return first
    rest = []
    for other in others:
        for _, problem in problems_at(config, other, listens=False):
            raise ConfigError(problem)
        there = config.controller.model_copy(update={"address": other})
        rest.append(connect(config.model_copy(update={"controller": there}), credentials))
    return Fallback([first, *rest], away_s)


async def _serve(
    made: Learner,
    identity: str,
    way: Callable[[], Channel],
    expected: str,
    spool: Path | None,
    key: Key | None,
    dp_epsilon_max: float | None,
    interrupts: Interrupts,
) -> None:
    from fedactors.config import known_forms
    from fedactors.learner import LearnerClient
    from fedactors.learner.spool import Spool

    channel = way()
    try:
        kept = None if spool is None else Spool(spool)
        client = LearnerClient(
            made,
            identity,
            channel,
            federation=expected,
            spool=kept,
            forms=known_forms(),
            key=key,
            dp_epsilon_max=dp_epsilon_max,
        )
        interrupts.then(client.leave)
        await client.run()
    finally:
        await channel.close()
