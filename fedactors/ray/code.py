"""Learners' code on its way to the hosts.

An entry that a configuration names goes as `TravellingEntry`: its name and the files that belong to it. Where its file is on the
node as it is here, on this machine or by a shared file system, it is loaded from there, so that it finds its data; elsewhere the
files are written to a directory of their own. An entry that is an object goes as a pickle, with its module inside unless that is
installed: what else it imports has to be there on the nodes.
"""

from __future__ import annotations

import functools
import pickle
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ray import cloudpickle

from fedactors import plugins
from fedactors.config import Config, find_entry
from fedactors.errors import ConfigError
from fedactors.learner.base import Learner, LearnerContext, build_learner

CODE_BYTES_MAX = 16 * 1024**2
"""Of all files that go with an entry."""


@dataclass(frozen=True)
class TravellingEntry:
    """An entry that a configuration names; itself an entry, which loads the named one where it is called.

    Attributes:
        entry: as the configuration names it, seen from `home`.
        home: the directory of its file; of a module, where it is looked for.
        files: contents by path relative to `home`.
    """

    entry: str
    home: str
    files: Mapping[str, bytes]

    def __call__(self, context: LearnerContext) -> Learner:
        """The learner that it makes.

        Raises:
            ConfigError, LearnerFailed: as `load_learner` and `build_learner`.
        """
        return build_learner(self._loaded, context)

    @functools.cached_property
    def _loaded(self) -> Any:
        return plugins.load_learner(self.entry, self._place())

    def _place(self) -> Path:
        """Where the files are: where they came from if that is the same here, else written anew, for as long as the process."""
        home = Path(self.home)
        if all(_content(home / name) == content for name, content in self.files.items()):
            return home
        written = Path(tempfile.mkdtemp(prefix="fedactors-code-"))
        for name, content in self.files.items():
            (written / name).parent.mkdir(parents=True, exist_ok=True)
            (written / name).write_bytes(content)
        return written


def travelling_entry(config: Config) -> TravellingEntry:
    """The entry that [learners] names, with the files that belong to it: those beside it, and packages beside it.

    Raises:
        ConfigError: none is named, its file does not exist, or the files are too large to travel.
    """
    entry, home = plugins.at_home(find_entry(config), config.base_dir)
    paths = sorted(_modules(home))
    if (total := sum(path.stat().st_size for path in paths)) > CODE_BYTES_MAX:
        said = f"the Python files of learners.entry in {home} come to {total:,} bytes, more than {CODE_BYTES_MAX:,}"
        raise ConfigError(f"{said}: put the learner's file into a directory of its own, or install what it imports as a package")
    return TravellingEntry(entry, str(home), {str(path.relative_to(home)): path.read_bytes() for path in paths})


def _modules(home: Path) -> Iterator[Path]:
    """The modules of a directory, and those of its packages."""
    yield from home.glob("*.py")
    for package in home.iterdir():
        if package.name.isidentifier() and (package / "__init__.py").is_file():
            yield from package.rglob("*.py")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def pickled(entry: Any) -> bytes:
    """An entry, or a learner, as a host unpickles it.

    Raises:
        ConfigError: it cannot be pickled.
    """
    module = _own_module(entry)
    if module is not None:
        cloudpickle.register_pickle_by_value(module)
    try:
        written: bytes = cloudpickle.dumps(entry)
        return written
    except (TypeError, pickle.PicklingError, ValueError, AttributeError, RecursionError) as error:
        said = f"the learner {entry!r:.80} cannot be sent to a Ray host, since it cannot be pickled: {error}"
        raise ConfigError(f"{said}; give a function that makes it there instead") from error
    finally:
        if module is not None:
            cloudpickle.unregister_pickle_by_value(module)


def _own_module(entry: Any) -> ModuleType | None:
    """The user's module that an entry is from; None where the nodes have it, or pickles hold it anyway."""
    while isinstance(entry, functools.partial):
        entry = entry.func
    name = getattr(entry, "__module__", None) or type(entry).__module__
    module = sys.modules.get(name)
    file = None if module is None else getattr(module, "__file__", None)
    if module is None or file is None or name == "__main__" or name.partition(".")[0] == "fedactors":
        return None
    installed = any(Path(file).is_relative_to(sysconfig.get_path(kind)) for kind in ("stdlib", "purelib", "platlib"))
    return None if installed else module
