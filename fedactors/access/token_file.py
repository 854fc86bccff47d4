"""A list of tokens on disk: read, changed by one process at a time, and read again when it has changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fedactors.access.tokens import TokenBook, read_book
from fedactors.errors import ConfigError
from fedactors.log import get_logger

log = get_logger("fedactors.access")

T = TypeVar("T")

MODE = 0o600
FILE_BYTES_MAX = 16 * 1024**2
"""Of a list: some fifty thousand tokens."""


def read(path: Path) -> TokenBook:
    """The tokens in a file.

    Raises:
        ConfigError: there is no such file, or it holds something else.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is longer than {FILE_BYTES_MAX:,} bytes: it is no list of tokens")
        return read_book(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no list of tokens {path}: `fedactors tokens add learner ID --file {path}` begins one"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a list of tokens: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; `fedactors tokens` writes such a file") from None


def change(path: Path, edit: Callable[[TokenBook], tuple[TokenBook, T]]) -> T:
    """Replace the list by what `edit` makes of it, and hand on what it says besides. A list that is not there is empty.

    Two that change it at the same time do so one after the other, so that none of them takes back what the other one did.

    Raises:
        ConfigError: it holds something else, or cannot be written.
    """
    try:
        with _alone(path.parent):
            book, said = edit(read(path) if path.exists() else TokenBook())
            _write(path, json.dumps(book.to_map(), indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error}") from error
    return said


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else changes a list in this folder meanwhile."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _write(path: Path, text: str) -> None:
    """Whatever kills the process, the old list is there or the new one; only its owner may read it."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


class TokenFile:
    """The list that a controller goes by."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            ConfigError: it is not there, or holds something else.
        """
        self._path = path
        self._book = read(path)
        self._stamp = self._look()

    @property
    def book(self) -> TokenBook:
        """As the file is now. While it cannot be read it stays as it was: a slip of an editor ends no run."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._book = read(self._path)
            except ConfigError as error:
                log.warning("tokens_not_taken", why=str(error))
            else:
                log.info("tokens_taken", file=str(self._path), tokens=len(self._book.entries))
        return self._book

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
