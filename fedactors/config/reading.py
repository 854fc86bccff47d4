"""From a file to a Config, or to one error that says where it is wrong and what to write instead."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fedactors.config.differential import settled
from fedactors.config.impossible import problems
from fedactors.config.plugging import Key
from fedactors.config.tables import Config
from fedactors.config.wording import in_words, unreadable
from fedactors.errors import ConfigError

FILE_BYTES_MAX = 1024**2


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration was written down.

    Attributes:
        file: as the user calls it; None where the configuration is no file.
        lines: each key's line in that file, from 1.
        overrides: the keys that were set on the command line.
    """

    file: str | None = None
    lines: Mapping[Key, int] = field(default_factory=dict)
    overrides: Sequence[Key] = ()

    def line(self, key: Key) -> int:
        """The line of this key, or of the nearest table around it; 0 where there is none."""
        return next((self.lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.lines), 0)

    def override(self, key: Key) -> Key | None:
        """What the command line set of this key: itself, a table around it, or something in it."""
        return next((one for one in self.overrides if one[: len(key)] == key[: len(one)]), None)

    def place(self, key: Key) -> str:
        """`federation.toml:7: `, `--set stop.rounds: `, or nothing."""
        override = self.override(key)
        if override is not None:
            return f"--set {'.'.join(override)}: "
        if self.file is None:
            return ""
        line = self.line(key)
        return f"{self.file}:{line}: " if line else f"{self.file}: "


def read(path: Path | str, overrides: Sequence[str] = (), *, listens: bool = True) -> Config:
    """Read a federation's configuration from TOML (or YAML, by the file's name) and build its plug-ins once.

    Args:
        path: the file; relative paths in it start at its directory.
        overrides: `key.path=value`, the value in TOML; a bare word is a string.
        listens: whether a controller is to listen as it says; a client of one needs no certificate and no list of tokens.

    Raises:
        ConfigError: one line with the file and line (or the key), what is wrong and what to write instead.
        ExtraMissing: a plug-in needs a package that is not installed.
    """
    path = Path(path)
    text = _text(path)
    given, lines = _parsed(text, path)
    set_keys = [_override(given, override) for override in overrides]
    base_dir = given.get("base_dir", ".")
    if isinstance(base_dir, str):
        given["base_dir"] = str((path.parent / base_dir).resolve())
    return _config(given, Source(str(path), lines, set_keys), listens)


def from_mapping(mapping: Mapping[str, Any], overrides: Sequence[str] = (), *, listens: bool = True) -> Config:
    """The same from a mapping; relative paths start at the working directory unless it says `base_dir`.

    Raises:
        ConfigError: one line with the key, what is wrong and what to write instead.
        ExtraMissing: a plug-in needs a package that is not installed.
    """
    given = deepcopy(dict(mapping))
    return _config(given, Source(overrides=[_override(given, override) for override in overrides]), listens)


def to_toml(config: Config) -> str:
    """The configuration with nothing left open: a file that repeats the run from anywhere on this machine."""
    import tomlkit  # of use to those who write a configuration down

    document = tomlkit.document()
    for key, value in config.model_dump(mode="json", exclude_none=True).items():
        if value != {}:
            document.add(key, tomlkit.item({k: v for k, v in value.items() if v != {}} if isinstance(value, dict) else value))
    return tomlkit.dumps(document)


def _config(given: dict[str, Any], source: Source, listens: bool) -> Config:
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        wrong = in_words(error)
    else:
        wrong = list(problems(config, listens=listens))
        if not wrong:
            return settled(config)
    wrong.sort(key=lambda problem: (source.override(problem[0]) is not None, source.line(problem[0])))
    key, said = wrong[0]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    raise ConfigError(f"{source.place(key)}{said}{more}")


def _text(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; give the file in it, as in {path / 'federation.toml'}")
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
        if len(text) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} has more than {FILE_BYTES_MAX:,} bytes; a configuration is smaller: is it the right file?")
        return text.decode()
    except FileNotFoundError:
        raise ConfigError(f"there is no file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _parsed(text: str, path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    """What is written, and each key's line."""
    if path.suffix not in (".yaml", ".yml"):
        return _toml(text, str(path))
    from fedactors.config.yaml_file import read_yaml  # with a parser that few need

    return read_yaml(text, str(path))


def _toml(text: str, file: str) -> tuple[dict[str, Any], dict[Key, int]]:
    try:
        return tomllib.loads(text), _toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(.*) \(at (?:line (\d+), (column \d+)|(end of document))\)", str(error))
        if said is None:
            raise ConfigError(f"{file}: {error}") from error
        line = said[2] or text.count("\n", 0, len(text.rstrip())) + 1
        raise ConfigError(f"{file}:{line}: {_plainly(said[1])} ({said[3] or said[4]})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: {unreadable(error)}") from error


def _plainly(said: str) -> str:
    """What Python's parser says of names that are there twice, without its own data in it."""
    if (twice := re.fullmatch(r"Cannot (?:declare|mutate immutable namespace) \((.*)\)(?: twice)?", said)) is not None:
        table = ".".join(re.findall(r"['\"]([^'\"]*)['\"]", twice[1]))
        return f"[{table}] is there a second time: put its keys together"
    return "this key has a value already: keep one of the two" if said == "Cannot overwrite a value" else said


_TOML_PART = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_TOML_KEY = rf"{_TOML_PART}(?:\s*\.\s*{_TOML_PART})*"
_TOML_LINE = re.compile(rf"\s*(?:\[+\s*(?P<table>{_TOML_KEY})\s*\]|(?P<key>{_TOML_KEY})\s*=)")


def _toml_lines(text: str) -> dict[Key, int]:
    """Each key's line, found by its looks; the keys of an inline table are on their table's line."""
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        match = _TOML_LINE.match(line)
        if match is None:
            continue
        parts = tuple(part.strip("\"'") for part in re.findall(_TOML_PART, match["table"] or match["key"]))
        if match["table"]:
            table, parts = parts, ()
        lines.setdefault((*table, *parts), number)
    return lines


def _override(given: dict[str, Any], override: str) -> Key:
    """Write one `key.path=value` into `given`, and return its key."""
    path, separator, text = override.partition("=")
    key = tuple(part.strip() for part in path.split("."))
    if not separator or not all(key):
        raise ConfigError(f"--set {override!r} is not of the form key.path=value, as in --set stop.rounds=3")
    table = given
    for depth, part in enumerate(key[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {'.'.join(key)}: {'.'.join(key[:depth])} is no table")
    table[key[-1]] = _value(text.strip())
    return key


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML: a word
        return text
