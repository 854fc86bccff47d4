"""The federation of a run, by the process that leads it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

from fedactors.access.audit import Audit
from fedactors.config import Config, to_toml
from fedactors.driver.run_directory import RunDirectory
from fedactors.sharing import Sharing
from fedactors.system import Federation


@asynccontextmanager
async def federation_of(
    config: Config, directory: RunDirectory, addresses: Sequence[str], *, sharing: Sharing | None = None
) -> AsyncIterator[Federation]:
    """The federation of a run, new or gone on with, listening; its journal, store and audit log are in the run's directory.

    Args:
        config: as it runs.
        directory: of the run; it stays the caller's.
        addresses: where it listens.
        sharing: with others of this process.

    Raises:
        AddressError: an address cannot be listened at.
        StoreError: the run cannot be kept, or gone on with.
    """
    if not directory.resumed:
        directory.write_config(to_toml(config))
    with closing(directory.open_journal(config)) as journal, closing(Audit(directory.audit_file)) as audit:
        stored = directory.stored(config)
        async with Federation(stored, addresses=addresses, journal=journal, audit=audit, sharing=sharing) as federation:
            directory.write_config(to_toml(config))  # of a resumed run only now: settings that are refused are not kept
            directory.write_addresses(federation.addresses)
            yield federation
