"""A whole federation in one command: controller and driver in this process, learners in their own, in here or on Ray."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from pathlib import Path
from typing import TypeAlias

from fedactors.config import Config, load_entry, seal
from fedactors.driver.driver import Driver, Observer
from fedactors.driver.leading import federation_of
from fedactors.driver.processes import Processes
from fedactors.driver.run_directory import RunDirectory
from fedactors.driver.unsealing import KEY_FILE, make_key
from fedactors.errors import ConfigError
from fedactors.learner import Entry
from fedactors.log import get_logger
from fedactors.privacy.ckks_key import CkksKey
from fedactors.record import Event, EventKind, Results
from fedactors.system import Federation, unless

log = get_logger("fedactors.driver")

Beside: TypeAlias = Callable[[Federation], AbstractAsyncContextManager[object]]
"""Makes a context that is entered when a federation is up and left before it goes down; a page that shows it, say."""

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Needed:
    """How many learners a run needs: all of the minimum before the first commit, then one, and none when it is over."""

    def __init__(self, minimum: int) -> None:
        self.learners = minimum

    def __call__(self, event: Event) -> None:
        """Watch an event."""
        if event.kind is EventKind.ROUND_COMMITTED:
            self.learners = 1
        elif event.kind is EventKind.FINISHED:
            self.learners = 0


async def run_up(
    config: Config,
    directory: RunDirectory,
    *,
    in_process: bool = False,
    key: Path | None = None,
    observers: Sequence[Observer] = (),
    on_driver: Callable[[Driver], None] = lambda _: None,
    beside: Beside = nullcontext,
) -> Results:
    """Run a federation from nothing to its saved results; whatever ends it, nothing of it is left running.

    Args:
        config: of the federation; it names the learners' entry.
        directory: where everything is saved.
        in_process: learners are threads of this process instead of processes.
        key: the file of the key to models that are sealed; where it is not given, one is made in the run's directory.
        observers: are told every event.
        on_driver: is given the driver, to stop or abort the run with, once there is one.
        beside: what goes on beside the federation.

    Raises:
        FederationFailed: it could not go on.
        LearnerFailed: too few learner processes are left.
    """
    needed, on_ray = Needed(config.learners.min), config.runtime.engine == "ray"
    if on_ray and in_process:
        raise ConfigError("--in-process has learners in this process, and runtime.engine = 'ray' on Ray: leave one of them out")
    own_processes = not (in_process or on_ray)
    async with AsyncExitStack() as exits:
        address = config.controller.address
        addresses = [] if in_process or address is None else [address]
        if own_processes:  # its own learners come by a socket that nobody else can open, and need no credentials
            place = exits.enter_context(tempfile.TemporaryDirectory(prefix="fedactors-"))
            addresses.insert(0, f"grpc://{place}/controller.sock")
        federation = await exits.enter_async_context(federation_of(config, directory, addresses))
        log.info("listening", addresses=[str(one) for one in federation.addresses])
        await exits.enter_async_context(beside(federation))
        key = await _key(config, directory, key)
        driver = Driver(config, federation.admin, directory, [needed, *observers], key=key)
        on_driver(driver)
        if not own_processes:
            entry = _travelling_entry(config) if on_ray else load_entry(config)
            held = None if key is None else CkksKey.read(key)
            for _ in range(config.learners.count):
                federation.add_learner(entry, key=held)
            return await (federation.unless_failed(driver.run()) if on_ray else driver.run())
        processes = await exits.enter_async_context(Processes(directory.logs))
        await start_learners(config, directory.path / "config.toml", str(federation.addresses[0]), processes, key)
        return await unless(processes.wait_too_few(lambda: needed.learners), driver.run())


def _travelling_entry(config: Config) -> Entry:
    from fedactors.ray.code import travelling_entry

    return travelling_entry(config)


async def _key(config: Config, directory: RunDirectory, given: Path | None) -> Path | None:
    """The key's file where the federation seals: the one that is given, or the run's own. It is not read here."""
    method, own = seal(config), directory.path / KEY_FILE
    if method is None and given is not None:
        said = f"--ckks-key {given} is given, and this federation seals nothing"
        raise ConfigError(f"{said}: write method = 'ckks' in [secure], or leave the key out")
    if method is None or given is not None:
        return given
    if not own.exists():
        await make_key(own, method.preset)
        log.info("key_made", file=str(own))
    return own


async def start_learners(config: Config, path: Path, address: str, processes: Processes, key: Path | None) -> None:
    """Start as many learner processes as the configuration counts; they share the machine's cores."""
    count = config.learners.count
    threads = str(max(1, (os.cpu_count() or 1) // count))
    environment = {name: os.environ.get(name, threads) for name in THREAD_SETTINGS} | {"PYTHONUNBUFFERED": "1"}
    for index in range(count):
        place = ["--address", address, "--id", f"learner-{index}", "--index", str(index)]
        place += [] if key is None else ["--ckks-key", str(key)]
        await processes.start(f"learner-{index}", ["learner", str(path), *place], environment)
