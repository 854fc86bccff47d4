"""The federations that a directory holds: NAME.toml, or NAME/federation.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedactors.errors import ConfigError

FEDERATIONS_MAX = 1000
"""In one directory."""
TOML_BYTES_MAX = 1024**2
"""Of a configuration that is added."""
FILE = "federation.toml"


@dataclass(frozen=True, slots=True)
class Found:
    """A federation in a directory.

    Attributes:
        name: by which it is told from the others.
        file: of its configuration.
        problem: why it cannot be served, in words; empty if it may.
    """

    name: str
    file: Path
    problem: str = ""


def find(folder: Path) -> Sequence[Found]:
    """The federations of a directory, in the order of their names. Other files, and hidden ones, are passed over.

    Raises:
        ConfigError: it cannot be read, or holds too many.
    """
    try:
        files = [file for path in sorted(folder.iterdir()) if (file := _configuration(path)) is not None]
    except OSError as error:
        said = f"the directory {folder} cannot be read: {error.strerror}"
        raise ConfigError(f"{said}; name the one that holds NAME.toml, or NAME/{FILE}, of each federation") from None
    if len(files) > FEDERATIONS_MAX:
        raise ConfigError(
            f"{folder} holds {len(files):,} federations, more than {FEDERATIONS_MAX:,}; serve them by two processes"
        )
    found: dict[str, Found] = {}
    for file in files:
        name = name_of(file)
        other = found.get(name)
        problem = name_problem(name) if other is None else f"{other.file} and {file} have the same name; rename one of them"
        found[name] = Found(name, file, problem)
    return [found[name] for name in sorted(found)]


def _configuration(path: Path) -> Path | None:
    if path.name.startswith("."):
        return None
    if path.suffix == ".toml" and path.is_file():
        return path
    file = path / FILE
    return file if file.is_file() else None


def name_of(file: Path) -> str:
    """By which the federation of a file is told from others: its own name, or that of its directory."""
    return file.absolute().parent.name if file.name == FILE else file.stem


def name_problem(name: str) -> str:
    """Why this cannot be a federation's name, in words; empty if it can."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        return ""
    return f"{name!r:.80} cannot name a directory: take up to 64 letters, digits, '.', '_' and '-', the first a letter or a digit"


def write(folder: Path, name: str, toml: str, check: Callable[[Path], None], *, replaces: bool = False) -> Path:
    """Put a federation's configuration into a directory; its file.

    Args:
        folder: the directory.
        name: of the federation.
        toml: the configuration.
        check: raises ConfigError where the file that it is given cannot be used.
        replaces: it may take the place of one that says otherwise.

    Raises:
        ConfigError: the name cannot be one, or is another federation's; or the configuration is wrong, or cannot be written.
    """
    if problem := name_problem(name):
        raise ConfigError(problem)
    if len(toml.encode()) > TOML_BYTES_MAX:
        raise ConfigError(f"the configuration of {name} has more than {TOML_BYTES_MAX:,} bytes; is it the right file?")
    file = folder / name / FILE if (folder / name / FILE).is_file() else folder / f"{name}.toml"
    new = file.with_name(f".{file.name}")
    try:
        if not replaces and file.exists() and file.read_text(encoding="utf-8") != toml:
            raise ConfigError(f"there is a federation {name}, and {file} says otherwise of it; add this one under another name")
        new.write_text(toml, encoding="utf-8")
        check(new)
        new.replace(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)
    return file
