"""Keys and sealed models where a controller may be at work: whatever touches the key is done by a process of its own."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from fedactors.errors import FederationFailed

KEY_FILE = "ckks.key"
"""In a run's directory, where `fedactors up` makes the key itself."""
PROCESS_S_MAX = 3600.0
"""A process may take so long; opening a model takes a second for ten million parameters."""


async def make_key(path: Path, preset: str) -> None:
    """A new key.

    Raises:
        FederationFailed: it could not be made; the message says why.
    """
    await _fedactors("keys", "ckks", str(path), "--preset", preset)


async def open_model(sealed: Path, key: Path, out: Path) -> None:
    """Open the sealed model in a file, and write it to another.

    Raises:
        FederationFailed: it could not be opened; the message says why.
    """
    await _fedactors("models", "open", str(sealed), "--ckks-key", str(key), "--output", str(out), "--force")


async def _fedactors(*arguments: str) -> None:
    command = [sys.executable, "-m", "fedactors", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True)
    try:
        async with asyncio.timeout(PROCESS_S_MAX):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        why = said.decode(errors="replace").strip().removeprefix("error: ")
        raise FederationFailed(f"fedactors {' '.join(arguments[:2])} failed: {why}")
