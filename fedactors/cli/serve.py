"""`fedactors serve`: many federations in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedactors.cli import options
from fedactors.cli.credentials import insecure
from fedactors.cli.credentials import overrides as credential_overrides
from fedactors.cli.options import Talk

if TYPE_CHECKING:
    from fedactors.cli.run import Interrupts
    from fedactors.dashboard.where import Where
    from fedactors.hosting.counter import Counter
    from fedactors.hosting.federations import Federations
    from fedactors.protocol.federations import Standing
    from fedactors.sharing import Sharing


@click.command(short_help="Serve every federation of a directory, in one process.")
@click.argument("folder", metavar="DIR", callback=options.as_path)
@click.option("--runs", metavar="DIR", default="runs", show_default=True, callback=options.as_path, help="Where runs are kept.")
@click.option("--admin", metavar="ADDRESS", help="Where operators list, add and stop federations, by `fedactors federations`.")
@click.option(
    "--admin-tokens",
    metavar="FILE",
    callback=options.as_path,
    help="Have them show a token of this list (`fedactors tokens` writes it); an observer's does for a list, and for --metrics.",
)
@click.option("--admin-certificate", metavar="FILE", callback=options.as_path, help="For an ADDRESS of grpcs:// or tcps://.")
@click.option("--admin-key", metavar="FILE", callback=options.as_path, help="The certificate's private key.")
@click.option(
    "--memory-bytes",
    type=click.IntRange(min=2),
    metavar="N",
    help="Of all uploads at the same time; no model may be larger than half of it.  [default: half of the machine's memory]",
)
@options.metrics
@click.option("--threads", type=click.IntRange(1, 1024), default=2, show_default=True, help="That combine updates.")
@insecure
@options.overrides
@options.log_file
@options.talk
def serve(
    folder: Path,
    runs: Path,
    admin: str | None,
    admin_tokens: Path | None,
    admin_certificate: Path | None,
    admin_key: Path | None,
    memory_bytes: int | None,
    metrics: str | None,
    threads: int,
    insecure: bool,
    overrides: tuple[str, ...],
    log_file: Path | None,
    talk: Talk,
) -> None:
    """Serve every NAME.toml, and every NAME/federation.toml, of DIR, each at its own address and with its own run in runs/NAME.

    A federation begins when learners.min are here, and its results are saved as by a driver. What goes wrong with one harms none
    of the others. Without --admin, the process ends when all are over. After Ctrl-C, or the death of the process, the same
    command goes on with those that are not.
    """
    from fedactors.cli.beside import metrics_place
    from fedactors.cli.run import run
    from fedactors.cli.watching import serving
    from fedactors.config.tables import RuntimeTable
    from fedactors.hosting.counter import Counter
    from fedactors.sharing import Sharing

    counter = None
    if admin is not None:
        counter = Counter.at(admin, tokens=admin_tokens, certificate=admin_certificate, key=admin_key, insecure=insecure)
    figures = None if metrics is None else metrics_place(metrics, admin_tokens, "--admin-tokens")
    given = (*overrides, *credential_overrides(insecure=insecure))
    with serving(talk, log_file), Sharing(threads=threads, memory_bytes=memory_bytes) as sharing:
        outcome = run(
            lambda interrupts: _serve(folder, runs, sharing, given, counter, figures, talk.log_level, interrupts),
            RuntimeTable(),
            said="every federation ends its open round; Ctrl-C again stops at once",
        )
    _conclude(outcome.value)


async def _serve(
    folder: Path,
    runs: Path,
    sharing: Sharing,
    overrides: Sequence[str],
    counter: Counter | None,
    figures: Where | None,
    log_level: str,
    interrupts: Interrupts,
) -> list[Standing]:
    import asyncio
    from contextlib import AsyncExitStack

    from fedactors.hosting.federations import Federations

    told_to_end = asyncio.Event()
    async with AsyncExitStack() as exits:
        federations = Federations(folder, runs, sharing, overrides=overrides, log_level=log_level, is_metered=figures is not None)
        await exits.enter_async_context(federations)
        if figures is not None:
            await exits.enter_async_context(_scraped(federations, figures))

        async def end() -> None:
            await federations.end()
            told_to_end.set()

        interrupts.then(end)
        if counter is not None:
            await exits.enter_async_context(counter.open(federations, runs))
            await told_to_end.wait()
        await federations.over()
        return federations.standings


@asynccontextmanager
async def _scraped(federations: Federations, where: Where) -> AsyncIterator[None]:
    """Figures of all of them in one place, for as long as the context lasts."""
    from fedactors.cli.beside import say
    from fedactors.dashboard.scraping import scraped
    from fedactors.observe.exposition import CONTENT_TYPE, ManyExpositions
    from fedactors.protocol.federations import Condition

    exposition = ManyExpositions(lambda: federations.metered, [str(state) for state in Condition])
    async with scraped(exposition.text, CONTENT_TYPE, where) as url:
        say("metrics", url)
        yield


def _conclude(standings: Sequence[Standing]) -> None:
    from fedactors.cli.exit_codes import ExitCode
    from fedactors.cli.federations import table
    from fedactors.protocol.federations import Condition

    click.echo(table(standings))
    if any(one.condition is Condition.FAILED for one in standings):
        raise click.exceptions.Exit(ExitCode.FAILED)
