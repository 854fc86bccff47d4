"""Loading by name: the one place where fedactors imports what a configuration names.

A plug-in is registered as an entry point; its group is its folder's dotted name. It is a frozen dataclass whose fields are its
options. (Command-line verbs are registered in the same way; they are click commands.)

    load("fedactors.aggregation", "fedavg")                        the class
    build("fedactors.aggregation", "fedavg", {"option": 1})        an instance, its options checked
    load_learner("learner.py:DigitsLearner", base_dir)             what a user's own file defines
    load_learner("flower:client.py:client_fn", base_dir)           the same, written in another framework's style
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from fedactors.errors import ConfigError, ExtraMissing, FedactorsError, LearnerFailed

if TYPE_CHECKING:
    from pydantic import TypeAdapter

KINDS: Mapping[str, str] = {
    "fedactors.scheduling": "protocol",
    "fedactors.selection": "selection policy",
    "fedactors.aggregation": "aggregation rule",
    "fedactors.privacy": "method of secure aggregation",
    "fedactors.compression": "form of updates",
    "fedactors.storage": "model store",
    "fedactors.transport": "transport",
    "fedactors.learner": "learner style",
    "fedactors.cli": "verb",
}
"""What the members of each entry-point group are called."""

STYLES = "fedactors.learner"
"""The group of what makes learners of code that was written for another framework."""

VALUE_CHARS_MAX = 80
"""Of a wrong value, in a message."""


@functools.lru_cache(maxsize=256)
def entry_points(*, group: str, **wanted: Any) -> EntryPoints:
    """What is registered; looked up once, for a look takes a file of every installed package."""
    return metadata.entry_points(group=group).select(**wanted)


def names(group: str) -> list[str]:
    """Every name registered in a group, in order of the alphabet."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The object registered under this name.

    Raises:
        ConfigError: there is none (the message suggests the nearest), or it cannot be imported.
        ExtraMissing: it needs a package that is not installed.
    """
    found = next(iter(entry_points(group=group, name=name)), None)
    if found is None:
        known = names(group)
        raise ConfigError(f"no {KINDS.get(group, group)} named {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})")
    what = f"{KINDS.get(group, group)} {name!r}"
    try:
        return found.load()
    except ModuleNotFoundError as error:
        raise _missing(what, found, error.name or str(error)) from error
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{what} ({found.value}) cannot be imported: {error}") from error


def build(group: str, name: str, options: Mapping[str, Any]) -> Any:
    """An instance of the plug-in of this name with these options.

    Raises:
        ConfigError: the name or an option is unknown, or an option's value is wrong.
        ExtraMissing: it needs a package that is not installed.
    """
    plugin = load(group, name)
    for _, problem in option_problems(plugin, name, options):
        raise ConfigError(problem)
    try:
        return plugin(**checked(plugin, options))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error


def option_problems(plugin: Any, name: str, options: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    """What is wrong with a plug-in's options: (option, in words) pairs; the option is None where one is missing."""
    from pydantic import ValidationError

    known = adapters(plugin)
    for option, value in options.items():
        if option not in known:
            listed = f"(known: {', '.join(known)})" if known else "(it has none)"
            yield option, f"{name} has no option {option!r}{did_you_mean(option, known)} {listed}"
            continue
        try:
            known[option].validate_json(_as_json(value), strict=True)
        except ValidationError as error:
            yield option, f"{name}: {expected(option, value, error.errors(include_url=False)[0])}"
    for field in fields(plugin):
        if field.init and field.default is MISSING and field.default_factory is MISSING and field.name not in options:
            yield None, f"{name} needs the option {field.name!r}"


def checked(plugin: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options without a problem, as the types of the plug-in's fields: lists become tuples, words become enum members."""
    known = adapters(plugin)
    return {option: known[option].validate_json(_as_json(value), strict=True) for option, value in options.items()}


def expected(key: str, value: Any, error: Mapping[str, Any]) -> str:
    """One of pydantic's errors as `key = value must be ...`; what is inside a list or a table is named by its place."""
    for part in error["loc"]:  # pydantic puts words of its own between the places
        if isinstance(value, list) and isinstance(part, int):
            key, value = f"{key}[{part}]", value[part]
        elif isinstance(value, dict) and part in value:
            key, value = f"{key}.{part}", value[part]
    wish = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return f"{key} = {as_written(value)} {wish}"


def as_written(value: Any) -> str:
    """A value as a configuration file would write it, cut where it is long."""
    written = value.isoformat() if hasattr(value, "isoformat") else json.dumps(value, default=str, ensure_ascii=False)
    return written if len(written) <= VALUE_CHARS_MAX else written[:VALUE_CHARS_MAX] + "..."


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean 'right'?` where a known word is near, else nothing."""
    near = get_close_matches(wrong, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def adapters(plugin: Any) -> dict[str, TypeAdapter[Any]]:
    """What checks each of a plug-in's options, by its name."""
    from pydantic import TypeAdapter

    hints = get_type_hints(plugin, include_extras=True)
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(plugin) if field.init}


def _as_json(value: Any) -> str:
    return json.dumps(value, default=str)  # strict JSON is what a file can say: a list may be a tuple, "1" is no number


def _missing(what: str, point: EntryPoint, module: str) -> ConfigError:
    package = module.partition(".")[0]
    if package == point.module.partition(".")[0]:
        return ConfigError(f"{what} is registered as {point.value}, but there is no module {module!r}; reinstall the package")
    extra = _extra_with(package, point)
    if extra is None:
        return ConfigError(f"{what} needs the package {package!r}, which is not installed: pip install {package}")
    return ExtraMissing(what, package, extra)


def _extra_with(package: str, point: EntryPoint) -> str | None:
    """The extra of fedactors that brings a package; None where the plug-in is a stranger's, or no extra does."""
    if point.dist is None or point.dist.name != "fedactors":
        return None
    for requirement in point.dist.requires or ():
        named = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""\bextra\s*==\s*["']([\w.-]+)""", requirement)
        if named and extra and named[0].replace("-", "_").lower() == package.lower():
            return extra[1]
    return None


# ---------------------------------------------------------------------------------------------------------- a learner's own code


def load_learner(entry: str, base_dir: Path) -> Any:
    """What `file.py:object` or `package.module:object` names: a Learner class, or a function that returns a learner.

    Relative files start at `base_dir`. The file's directory (for a module, `base_dir`) is put on the import path, so that it
    can import what lies beside it, as if it were run by `python file.py`.

    Code that was written for another framework has its learner style in front, `style:file.py:object` or `style:file.py`: the
    style, a member of the group fedactors.learner, is given what imports the object, or runs the file, and makes an entry of it.

    Raises:
        ConfigError: there is no such file, module, object or style.
        LearnerFailed: importing it raised; one line with the exception, the file and the line.
    """
    find_learner(entry, base_dir)
    style, code = _styled(entry)
    importing = functools.partial(_imported, entry, code, base_dir)
    return importing() if style is None else load(STYLES, style)(importing)


def find_learner(entry: str, base_dir: Path) -> None:
    """See that a learner's entry is well formed and its file is there, without running any of it.

    Raises:
        ConfigError: it is not.
    """
    style, code = _styled(entry)
    place, wanted = _parted(code)
    if not place or not (wanted or style):
        raise ConfigError(f"learner entry {entry!r} is not of the form file.py:object or package.module:object")
    if ":" in place:
        first, known = place.partition(":")[0], names(STYLES)
        raise ConfigError(
            f"learner entry {entry!r}: no learner style named {first!r}{did_you_mean(first, known)} (known: {', '.join(known)})"
        )
    if place.endswith(".py") and not (base_dir / place).is_file():
        beside = [file.name for file in (base_dir / place).parent.glob("*.py")]
        hint = did_you_mean(Path(place).name, beside)
        raise ConfigError(f"learner entry {entry!r}: there is no file {(base_dir / place).resolve()}{hint}")


def at_home(entry: str, base_dir: Path) -> tuple[str, Path]:
    """The same entry as it is named from the directory of its file, and that directory; of a module's entry nothing changes."""
    style, code = _styled(entry)
    place, wanted = _parted(code)
    if not place.endswith(".py"):
        return entry, base_dir.resolve()
    file = (base_dir / place).resolve()
    return ":".join(part for part in (style, file.name, wanted) if part), file.parent


def _styled(entry: str) -> tuple[str | None, str]:
    """The learner style in front of an entry, if there is one, and the rest. A module of a style's name is still a module."""
    style, _, code = entry.partition(":")
    has_style = (":" in code or code.endswith(".py")) and style in names(STYLES)
    return (style, code) if has_style else (None, entry)


def _parted(code: str) -> tuple[str, str]:
    """Of `place:object` both; of a file alone no object."""
    place, _, wanted = code.rpartition(":")
    return (place, wanted) if place or not code.endswith(".py") else (code, "")


def _imported(entry: str, code: str, base_dir: Path) -> Any:
    """The object that is named; where only a file is, run it as a program and return None."""
    place, wanted = _parted(code)
    if not wanted:
        _run(base_dir / place)
        return None
    module = _file_module(entry, base_dir / place) if place.endswith(".py") else _named_module(entry, place, base_dir)
    if not hasattr(module, wanted):
        public = [name for name in vars(module) if not name.startswith("_")]
        raise ConfigError(f"learner entry {entry!r}: {place} has no {wanted!r}{did_you_mean(wanted, public)}")
    return getattr(module, wanted)


def _run(file: Path) -> None:
    """Run a file as `python file.py` does, in this process and thread; whatever it raises, it raises."""
    file = file.resolve()
    _put_on_path(file.parent)
    exec(compile(file.read_bytes(), str(file), "exec"), {"__name__": "__main__", "__file__": str(file)})  # noqa: S102  # the user's


def _file_module(entry: str, file: Path) -> ModuleType:
    file = file.resolve()
    _put_on_path(file.parent)
    name = file.stem
    if name in sys.modules:  # two learners' files of one name live side by side
        name = f"{name}_{zlib.crc32(str(file).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _import_failed(entry, error) from error
    return module


def _named_module(entry: str, name: str, base_dir: Path) -> ModuleType:
    _put_on_path(base_dir.resolve())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigError(f"learner entry {entry!r}: no module {error.name!r}; a file is written file.py:object") from error
        raise _import_failed(entry, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(entry, error) from error


def _put_on_path(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))


def _import_failed(entry: str, error: BaseException) -> FedactorsError:
    if isinstance(error, FedactorsError):
        return error
    from fedactors.learner.blame import blamed

    return LearnerFailed(f"learner entry {entry!r} cannot be imported: {blamed(error)}")
